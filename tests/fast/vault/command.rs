//! `wod vault` as somebody at a shell uses it: files that keep what they are, errors of one line.

use std::fs;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A directory with the password files `one` and `two`, and no site.
struct Desk(TempDir);

struct Ended {
    exit: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        desk.put("one", "first password\n", 0o600);
        desk.put("two", "second password\n", 0o600);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wod"));
        command
            .args(["--inventory", "none", "vault"])
            .args(words.split(' '))
            .current_dir(self.0.path())
            .env_remove("VISUAL")
            .env_remove("ANSIBLE_VAULT_PASSWORD_FILE")
            .env_remove("ANSIBLE_VAULT_IDENTITY_LIST")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn end(mut command: Command, stdin: &[u8]) -> Ended {
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Ended {
            exit: output.status.code(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, words: &str) -> Ended {
        Desk::end(self.command(words), b"")
    }

    fn done(&self, words: &str) -> String {
        let ended = self.run(words);
        assert_eq!(ended.exit, Some(0), "{words}: {}", ended.err);
        String::from_utf8(ended.out).unwrap()
    }

    /// The one line that it fails with.
    fn refused(&self, words: &str) -> String {
        let ended = self.run(words);
        assert_eq!(ended.exit, Some(1), "{words}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{words}: {}", ended.err);
        ended.err.trim_end().to_owned()
    }

    fn edit(&self, editor: &str) -> Ended {
        let editor = self.put("editor", editor, 0o700);
        let mut command = self.command("edit --vault-id one secrets");
        command.env("EDITOR", editor);
        Desk::end(command, b"")
    }
}

#[test]
fn a_file_is_replaced_and_stays_what_it_is() {
    let desk = Desk::new();
    let path = desk.put("secrets", "a: 1\n", 0o640);
    symlink("secrets", desk.path("link")).unwrap();
    let mut before = fs::File::open(&path).unwrap();
    desk.done("encrypt --vault-id prod@one link");
    assert!(
        desk.get("secrets")
            .starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n")
    );
    assert_eq!(desk.mode("secrets"), 0o640);
    assert!(desk.path("link").symlink_metadata().unwrap().is_symlink());
    // What was in the clear is on no disk any more.
    let mut old = String::new();
    before.rewind().unwrap();
    before.read_to_string(&mut old).unwrap();
    assert_eq!(old, "\0\0\0\0\0");
    assert_eq!(desk.done("view --vault-id one secrets"), "a: 1\n");
    desk.done("rekey --vault-id one --new-vault-id two secrets");
    assert!(
        desk.get("secrets")
            .starts_with("$ANSIBLE_VAULT;1.1;AES256\n")
    );
    desk.done("decrypt --vault-password-file two secrets");
    assert_eq!(
        (desk.get("secrets").as_str(), desk.mode("secrets")),
        ("a: 1\n", 0o640)
    );
    assert_eq!(desk.names(), ["link", "one", "secrets", "two"]);
}

#[test]
fn pipes_and_other_files() {
    let desk = Desk::new();
    let sealed = Desk::end(desk.command("encrypt --vault-id one"), b"x\xff\n");
    assert_eq!(sealed.exit, Some(0), "{}", sealed.err);
    let opened = Desk::end(desk.command("decrypt --vault-id one -"), &sealed.out);
    assert_eq!(opened.out, b"x\xff\n");
    desk.put("plain", "text", 0o644);
    desk.done("encrypt --vault-id one --vault-id b@two --encrypt-vault-id b --output new plain");
    assert_eq!(
        (desk.get("plain").as_str(), desk.mode("new")),
        ("text", 0o600)
    );
    assert!(desk.get("new").starts_with("$ANSIBLE_VAULT;1.2;AES256;b\n"));
    assert_eq!(desk.done("decrypt --vault-id two --output - new"), "text");
    // As Ansible has it.
    let mut command = desk.command("view new");
    command.env("ANSIBLE_VAULT_PASSWORD_FILE", "two");
    assert_eq!(Desk::end(command, b"").out, b"text");
    let mut command = desk.command("view new");
    command.env("ANSIBLE_VAULT_IDENTITY_LIST", "a@one, b@two");
    assert_eq!(Desk::end(command, b"").out, b"text");
}

#[test]
fn errors_name_the_file_and_change_nothing() {
    let desk = Desk::new();
    desk.put("plain", "text\n", 0o600);
    desk.put("secrets", "a: 1\n", 0o600);
    desk.done("encrypt --vault-id prod@one secrets");
    let sealed = desk.get("secrets");
    desk.put("broken", &sealed[..sealed.len() - 40], 0o600);
    desk.put("blank", " \n", 0o600);
    for (words, said) in [
        (
            "view --vault-id two secrets",
            "secrets (vault id prod) stays closed: the password is another; --vault-password-file or --vault-id names one",
        ),
        (
            "decrypt secrets",
            "secrets (vault id prod) stays closed: there is no password for it; --vault-password-file or --vault-id names one",
        ),
        ("view --vault-id one broken", "broken stays closed: "),
        ("decrypt --vault-id one plain", "plain is not encrypted"),
        (
            "encrypt --vault-id one plain secrets",
            "secrets is encrypted already",
        ),
        (
            "rekey --vault-id one --new-vault-id two secrets plain",
            "plain is not encrypted",
        ),
        (
            "encrypt --vault-id one plain missing",
            "missing cannot be read: No such file",
        ),
        ("encrypt --vault-id one .", ". is no file"),
        (
            "encrypt --vault-id x@missing plain",
            "vault password file missing (vault id `x`) cannot be read: No such file",
        ),
        (
            "encrypt --vault-id blank plain",
            "vault password file blank is empty",
        ),
        (
            "encrypt plain",
            "a vault value needs a password and none is configured",
        ),
        (
            "encrypt --vault-id one --encrypt-vault-id dev plain",
            "there is no vault password with id dev",
        ),
        (
            "encrypt --vault-id one --output x plain two",
            "--output takes one FILE; 2 are named",
        ),
        (
            "encrypt --vault-id one --output no/x plain",
            "no/x stays as it was: No such file",
        ),
        (
            "edit --vault-id one -",
            "stdin cannot be edited; name a file",
        ),
        (
            "encrypt-string --vault-id one --name a:b",
            "\"a:b\" is no name of a variable",
        ),
    ] {
        let line = desk.refused(words);
        assert!(
            line.starts_with("wod: ") && line.contains(said),
            "{words}: {line}"
        );
    }
    let usage = desk.run("encrypt --vault-id a;b@one plain");
    assert_eq!(usage.exit, Some(2), "{}", usage.err);
    assert_eq!(
        (desk.get("plain").as_str(), desk.get("secrets")),
        ("text\n", sealed)
    );
}

#[test]
fn a_value_becomes_a_line_of_a_vars_file() {
    let desk = Desk::new();
    let ended = Desk::end(
        desk.command("encrypt-string --vault-id one --name TOKEN"),
        b"s3cret",
    );
    assert_eq!((ended.exit, ended.err.as_str()), (Some(0), ""));
    let text = String::from_utf8(ended.out).unwrap();
    assert!(
        text.starts_with("TOKEN: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n"),
        "{text}"
    );
    let ended = Desk::end(desk.command("encrypt-string --vault-id one"), b"s3cret\n");
    assert!(ended.out.starts_with(b"!vault |\n"));
    assert!(ended.err.contains("ends with a line feed"), "{}", ended.err);
    let ended = Desk::end(desk.command("encrypt-string --vault-id one"), b"\xff");
    assert_eq!(ended.exit, Some(1));
    assert!(ended.err.contains("no UTF-8 text"), "{}", ended.err);
}

#[test]
fn an_editor_gets_a_private_copy_in_memory() {
    let desk = Desk::new();
    desk.put("secrets", "a: 1\n", 0o604);
    desk.done("encrypt --vault-id one secrets");
    let ended = desk.edit(
        "#!/bin/sh\nset -e\ncd /tmp\n[ \"$(stat -c %a \"$1\")\" = 600 ]\n\
         [ \"$(stat -c %a \"$(dirname \"$1\")\")\" = 700 ]\n\
         case \"$(stat -f -c %T \"$1\")\" in tmpfs|ramfs) ;; *) [ ! -w /dev/shm ] ;; esac\n\
         echo \"$1\"; cp \"$1\" \"$1~\"; echo b: 2 >>\"$1\"\n",
    );
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(desk.done("view --vault-id one secrets"), "a: 1\nb: 2\n");
    assert_eq!(desk.mode("secrets"), 0o604);
    let copy = PathBuf::from(String::from_utf8(ended.out).unwrap().trim());
    assert!(
        copy.ends_with("secrets") && !copy.parent().unwrap().exists(),
        "{copy:?}"
    );

    let sealed = desk.get("secrets");
    let ended = desk.edit("#!/bin/sh\n");
    assert_eq!(
        (ended.exit, ended.err.as_str()),
        (Some(0), "wod: secrets is not changed\n")
    );
    let ended = desk.edit("#!/bin/sh\necho c >>\"$1\"; exit 3\n");
    assert_eq!(ended.exit, Some(1));
    assert!(
        ended
            .err
            .contains("failed (exit status: 3); secrets stays as it was"),
        "{}",
        ended.err
    );
    let ended = desk.edit("#!/bin/sh\nkill -INT $PPID; kill -TERM $PPID; sleep 0.1; exit 1\n");
    assert_eq!(
        ended.exit,
        Some(1),
        "a signal of the keyboard is the editor's: {}",
        ended.err
    );
    assert_eq!(desk.get("secrets"), sealed);
    assert_eq!(desk.names(), ["editor", "one", "secrets", "two"]);
}

#[test]
fn what_was_edited_is_not_lost_when_somebody_else_was_faster() {
    let desk = Desk::new();
    desk.put("secrets", "a: 1\n", 0o600);
    desk.done("encrypt --vault-id one secrets");
    desk.put("other", "a: 2\n", 0o600);
    desk.done("encrypt --vault-id one other");
    let other = desk.path("other");
    let ended = desk.edit(&format!(
        "#!/bin/sh\necho b: 2 >>\"$1\"; cp {} {}\n",
        other.display(),
        desk.path("secrets").display()
    ));
    assert_eq!(ended.exit, Some(1));
    let line = ended.err.trim_end();
    assert!(
        line.ends_with("secrets was changed by somebody else meanwhile"),
        "{line}"
    );
    let kept = line.split("kept, encrypted, in ").nth(1).unwrap();
    let kept = PathBuf::from(kept.split(": ").next().unwrap());
    let view = format!("view --vault-id one {}", kept.display());
    assert_eq!(desk.done(&view), "a: 1\nb: 2\n");
    assert_eq!(desk.done("view --vault-id one secrets"), "a: 2\n");
    fs::remove_dir_all(kept.parent().unwrap()).unwrap();
}

#[test]
fn a_crash_during_an_edit_leaves_the_file() {
    let desk = Desk::new();
    desk.put("secrets", "a: 1\n", 0o600);
    desk.done("encrypt --vault-id one secrets");
    let sealed = desk.get("secrets");
    let running = desk.path("running");
    let note = format!(
        "#!/bin/sh\necho $$ \"$1\" >{}\nexec sleep 60\n",
        running.display()
    );
    let editor = desk.put("editor", &note, 0o700);
    let mut command = desk.command("edit --vault-id one secrets");
    let mut child = command.env("EDITOR", &editor).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let is_running =
        || fs::read_to_string(desk.path("running")).is_ok_and(|text| text.ends_with('\n'));
    while !is_running() {
        assert!(Instant::now() < until, "no editor was started");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(desk.get("secrets"), sealed);
    let running = desk.get("running");
    let (pid, copy) = running.trim().split_once(' ').unwrap();
    Command::new("kill").arg(pid).status().unwrap();
    fs::remove_dir_all(PathBuf::from(copy).parent().unwrap()).unwrap();
}
