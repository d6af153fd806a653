//! Where vault passwords come from: VAULTPWD, `vault_secret`, Ansible's environment, the command
//! line. Never an argument of a command: those show in `ps`.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::domain::{Secret, quoted};
use crate::exec::Cmd;

/// Below WODANSIBLEPRIVDIR.
pub(super) const SITE_FILE: &str = "vault_secret";
/// Ansible's name for "no id": its envelopes are of version 1.1.
const DEFAULT_ID: &str = "default";
const LARGEST: u64 = 64 << 10;
const SCRIPT_TIME: Duration = Duration::from_secs(60);

/// A vault password that somebody named: `ID@FILE`, `FILE`, `ID@prompt` or `prompt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultId {
    /// None for Ansible's `default`.
    pub id: Option<String>,
    pub source: PasswordSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    Prompt,
    File(PathBuf),
}

/// A password with its id.
pub type Named = (Option<String>, Secret);

impl FromStr for VaultId {
    type Err = String;

    fn from_str(text: &str) -> Result<VaultId, String> {
        let (id, source) = match text.split_once('@') {
            Some((id, source)) => (vault_id(id)?, source),
            None => (None, text),
        };
        if source.is_empty() {
            return Err("expected ID@FILE, FILE, ID@prompt or prompt".to_owned());
        }
        let source = match source {
            "prompt" | "prompt_ask_vault_pass" => PasswordSource::Prompt,
            file => PasswordSource::File(file.into()),
        };
        Ok(VaultId { id, source })
    }
}

/// An id as envelopes can name it; None for `default`.
pub fn vault_id(text: &str) -> Result<Option<String>, String> {
    // Ansible takes a file with any other letter in its header for no vault at all.
    let fits = |c: char| c.is_ascii_graphic() && c != ';';
    match text {
        "" => Err("expected a vault id before the @".to_owned()),
        DEFAULT_ID => Ok(None),
        id if id.chars().all(fits) => Ok(Some(id.to_owned())),
        _ => Err("expected a vault id of ASCII letters, without blanks and ;".to_owned()),
    }
}

impl VaultId {
    /// The password in the file; an executable one is run and prints it, as Ansible has it. None
    /// for a prompt, which is not ours to make.
    pub fn from_file(&self) -> Option<Result<Named, String>> {
        let PasswordSource::File(path) = &self.source else {
            return None;
        };
        let id = self.id.as_deref();
        let read = password_of(path, id).map(|password| (self.id.clone(), password));
        Some(read.map_err(|problem| {
            let id = id.map_or(String::new(), |id| format!(" (vault id {})", quoted(id)));
            format!("vault password file {}{id} {problem}", path.display())
        }))
    }
}

/// `ANSIBLE_VAULT_IDENTITY_LIST` and `ANSIBLE_VAULT_PASSWORD_FILE`; one that asks at a terminal
/// is passed over here.
pub fn of_environment() -> Result<Vec<Named>, String> {
    let text =
        |name: &str| -> Option<OsString> { std::env::var_os(name).filter(|text| !text.is_empty()) };
    let mut named = Vec::new();
    if let Some(list) = text("ANSIBLE_VAULT_IDENTITY_LIST") {
        for part in list.to_string_lossy().split(',').map(str::trim) {
            let id: VaultId = part
                .parse()
                .map_err(|problem| format!("ANSIBLE_VAULT_IDENTITY_LIST: {problem}"))?;
            named.push(id);
        }
    }
    named.extend(text("ANSIBLE_VAULT_PASSWORD_FILE").map(|path| VaultId {
        id: None,
        source: PasswordSource::File(path.into()),
    }));
    named.iter().filter_map(VaultId::from_file).collect()
}

/// `vault_secret` of a private inventory; None when there is no such file. It is never run: who
/// may write it is WODUSER, and who reads it is root.
pub fn of_site(private_dir: &Path) -> Result<Option<Secret>, String> {
    let path = private_dir.join(SITE_FILE);
    match read_password(&path) {
        Ok(password) => Ok(Some(password)),
        Err(Problem::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(Problem::Io(e)) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(format!("{}: {e}; run wod with sudo", path.display()))
        }
        Err(problem) => Err(format!(
            "vault password file {} {}",
            path.display(),
            problem.line()
        )),
    }
}

enum Problem {
    Io(io::Error),
    Said(String),
}

impl Problem {
    fn line(&self) -> String {
        match self {
            Problem::Io(e) => format!("cannot be read: {e}"),
            Problem::Said(line) => line.clone(),
        }
    }
}

fn password_of(path: &Path, id: Option<&str>) -> Result<Secret, String> {
    let meta = std::fs::metadata(path).map_err(|e| Problem::Io(e).line())?;
    if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
        return from_script(path, &meta, id);
    }
    read_password(path).map_err(|problem| problem.line())
}

fn read_password(path: &Path) -> Result<Secret, Problem> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(Problem::Io)?;
    file.take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(Problem::Io)?;
    trimmed(&bytes).map_err(Problem::Said)
}

/// Blanks and line feeds around it do not count, as with Ansible.
fn trimmed(bytes: &[u8]) -> Result<Secret, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    match text.trim() {
        "" => Err("is empty; write the password into it".to_owned()),
        text => Ok(Secret::new(text.to_owned())),
    }
}

fn from_script(path: &Path, meta: &std::fs::Metadata, id: Option<&str>) -> Result<Secret, String> {
    let us = rustix::process::geteuid().as_raw();
    let foreign = meta.uid() != us && meta.uid() != 0;
    if foreign || meta.permissions().mode() & 0o022 != 0 {
        return Err(
            "is executable, but others can change it; chown it to you and chmod go-w, or chmod -x \
             where it just holds the password"
                .to_owned(),
        );
    }
    let path = path
        .canonicalize()
        .map_err(|e| format!("cannot be found: {e}"))?;
    // Ansible tells only scripts of this name which password it wants.
    let asks = path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().ends_with("-client"));
    let mut cmd = Cmd::new(&path)
        .envs(std::env::vars_os())
        .timeout(SCRIPT_TIME);
    if asks {
        cmd = cmd.args(["--vault-id", id.unwrap_or(DEFAULT_ID)]);
    }
    let output = cmd.run().map_err(|e| format!("failed: {e}"))?;
    let printed = Zeroizing::new(output.stdout);
    trimmed(&printed).map_err(|problem| format!("prints what {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_sources_are_told_apart_as_ansible_does() {
        for (text, id, source) in [
            ("prod@/a/b", Some("prod"), "/a/b"),
            ("/a/b", None, "/a/b"),
            ("default@b@c", None, "b@c"),
            ("prod@prompt", Some("prod"), "prompt"),
            ("prompt", None, "prompt"),
        ] {
            let parsed: VaultId = text.parse().unwrap();
            assert_eq!(parsed.id.as_deref(), id, "{text}");
            let prompts = parsed.source == PasswordSource::Prompt;
            assert_eq!(prompts, source == "prompt", "{text}");
            if let PasswordSource::File(path) = parsed.source {
                assert_eq!(path, Path::new(source), "{text}");
            }
        }
        for bad in ["", "@x", "a@", "a b@x", "a;b@x", "a\n@x", "ä@x"] {
            assert!(bad.parse::<VaultId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_read_or_printed_and_trimmed() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            VaultId {
                id: Some("prod".to_owned()),
                source: PasswordSource::File(path),
            }
        };
        let read = |id: VaultId| {
            let read = id.from_file().unwrap();
            read.map(|(_, password)| password.expose().to_owned())
        };
        assert_eq!(read(put("plain", " a b \r\n", 0o600)).unwrap(), "a b");
        let script = "#!/bin/sh\necho \"printed $*\"\n";
        assert_eq!(read(put("run", script, 0o700)).unwrap(), "printed");
        let asked = read(put("my-client.sh", script, 0o700)).unwrap();
        assert_eq!(asked, "printed --vault-id prod");
        for (name, text, mode, said) in [
            ("open", script, 0o722, "others can change it"),
            ("empty", "\n", 0o600, "is empty"),
            ("fails", "#!/bin/sh\necho no >&2; exit 3\n", 0o700, "failed"),
            ("silent", "#!/bin/sh\n", 0o700, "prints what is empty"),
        ] {
            let line = read(put(name, text, mode)).unwrap_err();
            assert!(
                line.contains(said) && line.contains("vault id `prod`"),
                "{line}"
            );
        }
        assert!(of_site(dir.path()).unwrap().is_none());
        put(SITE_FILE, script, 0o700);
        let never_run = of_site(dir.path()).unwrap().unwrap();
        assert_eq!(never_run.expose(), script.trim());
    }
}
