//! `wod vault`: files and values encrypted as Ansible Vault does.

mod edit;
mod files;
mod prompt;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::cli::{Exit, out};
use crate::domain::Secret;
use crate::exec::Cmd;
use crate::site::{self, PasswordSource, Source, VaultId};
use crate::templates::{Passwords, Plain, is_sealed};

use files::{Input, Target};
use prompt::Confirm;

const ABOUT: &str = "\
Files and values are those of Ansible Vault (1.1, and 1.2 with ids): ansible-vault reads what this
writes, and the other way round.

Passwords come from, in this order:
  --vault-id [ID@]FILE, --vault-id [ID@]prompt, --vault-password-file FILE
  ANSIBLE_VAULT_IDENTITY_LIST, ANSIBLE_VAULT_PASSWORD_FILE
and where none of these is given from the site: VAULTPWD, WODANSIBLEPRIVDIR/vault_secret.
The first one encrypts, unless --encrypt-vault-id names another; decrypting tries the one with the
file's id, then all. A password file that is executable is run and prints the password. No password
and no value is ever an argument: those show in ps.

A file is replaced in one step and keeps its mode and owner. FILE - is stdin, and then stdout.

Examples:
  wod vault encrypt group_vars/production/secrets.yml
  wod vault edit --vault-id prod@~/.prod-password secrets.yml
  printf %s \"$TOKEN\" | wod vault encrypt-string --name WODBETOKEN >>all.yml
  wod vault rekey --new-vault-password-file new-password secrets.yml";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct With {
    /// A password: ID@FILE, FILE, ID@prompt or prompt; may be repeated
    #[arg(long, value_name = "[ID@]SOURCE")]
    vault_id: Vec<VaultId>,
    /// A file with a password; may be repeated
    #[arg(long, value_name = "FILE")]
    vault_password_file: Vec<PathBuf>,
}

#[derive(clap::Args)]
struct Seal {
    /// Encrypt with the password of this id, instead of the first one
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
}

#[derive(clap::Args)]
struct Files {
    /// Files, or - for stdin [default: -]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write here instead of over FILE; - is stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Encrypt files
    Encrypt {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        seal: Seal,
        #[command(flatten)]
        with: With,
    },
    /// Decrypt files for good
    Decrypt {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        with: With,
    },
    /// Print what encrypted files hold, in a pager at a terminal
    View {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
    },
    /// Change encrypted files with $EDITOR
    Edit {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
    },
    /// Encrypt files anew with another password
    Rekey {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        with: With,
        /// The new password: ID@FILE, FILE, ID@prompt or prompt [default: prompt]
        #[arg(
            long,
            value_name = "[ID@]SOURCE",
            conflicts_with = "new_vault_password_file"
        )]
        new_vault_id: Option<VaultId>,
        /// A file with the new password
        #[arg(long, value_name = "FILE")]
        new_vault_password_file: Option<PathBuf>,
    },
    /// Encrypt one value from stdin, or asked for at a terminal, as a line for a vars file
    EncryptString {
        /// The variable's name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        seal: Seal,
        #[command(flatten)]
        with: With,
    },
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Encrypt { files, seal, with } => {
            let passwords = with.passwords(source, Confirm::Twice)?;
            let id = seal.id()?;
            files.each(|input| {
                if is_sealed(input.bytes()) {
                    bail!("{input} is encrypted already; wod vault rekey changes its password");
                }
                let sealed = passwords.seal(id.as_deref(), input.bytes())?;
                Ok(Plain::new(sealed.into_bytes()))
            })?;
        }
        Command::Decrypt { files, with } => {
            let passwords = with.passwords(source, Confirm::Once)?;
            files.each(|input| Ok(input.open(&passwords)?.plain))?;
        }
        Command::View { files, with } => {
            let passwords = with.passwords(source, Confirm::Once)?;
            let open = |file: &PathBuf| anyhow::Ok(Input::read(file)?.open(&passwords)?.plain);
            let opened: Vec<Plain> = files.iter().map(open).collect::<anyhow::Result<_>>()?;
            opened.iter().try_for_each(show)?;
        }
        Command::Edit { files, with } => {
            let passwords = with.passwords(source, Confirm::Once)?;
            for file in files {
                edit::edit(&Input::read(file)?, &passwords)?;
            }
        }
        Command::Rekey {
            files,
            with,
            new_vault_id,
            new_vault_password_file,
        } => {
            let passwords = with.passwords(source, Confirm::Once)?;
            let new = new_vault_id.clone().unwrap_or(VaultId {
                id: None,
                source: match new_vault_password_file {
                    Some(file) => PasswordSource::File(file.clone()),
                    None => PasswordSource::Prompt,
                },
            });
            let new = Passwords::new([password(&new, "new vault password", Confirm::Twice)?]);
            let files = Files {
                files: files.clone(),
                output: None,
            };
            files.each(|input| {
                let plain = input.open(&passwords)?.plain;
                let sealed = new.seal(None, plain.expose())?;
                Ok(Plain::new(sealed.into_bytes()))
            })?;
        }
        Command::EncryptString { name, seal, with } => {
            let passwords = with.passwords(source, Confirm::Twice)?;
            encrypt_string(name.as_deref(), seal.id()?.as_deref(), &passwords)?;
        }
    }
    Ok(Exit::Done)
}

impl With {
    /// What the command line names, then Ansible's environment; else the site's.
    fn passwords(&self, source: &Source, confirm: Confirm) -> anyhow::Result<Passwords> {
        let files = self.vault_password_file.iter().map(|file| VaultId {
            id: None,
            source: PasswordSource::File(file.clone()),
        });
        let mut named = Vec::new();
        for id in self.vault_id.iter().cloned().chain(files) {
            named.push(password(&id, "vault password", confirm)?);
        }
        if named.is_empty() {
            return Ok(site::vault_passwords(source)?);
        }
        named.extend(site::vault_environment().map_err(anyhow::Error::msg)?);
        Ok(Passwords::new(named))
    }
}

impl Seal {
    /// `default` is the password without an id: the first one.
    fn id(&self) -> anyhow::Result<Option<String>> {
        let Some(id) = &self.encrypt_vault_id else {
            return Ok(None);
        };
        site::vault_id(id).map_err(|problem| anyhow::anyhow!("--encrypt-vault-id: {problem}"))
    }
}

fn password(
    id: &VaultId,
    what: &str,
    confirm: Confirm,
) -> anyhow::Result<(Option<String>, Secret)> {
    match id.from_file() {
        Some(read) => read.map_err(anyhow::Error::msg),
        None => {
            let of = id.id.as_deref().map(|id| format!(" of {id}"));
            let asked = format!("{what}{}", of.unwrap_or_default());
            Ok((id.id.clone(), prompt::secret(&asked, confirm)?))
        }
    }
}

impl Files {
    /// All of them are changed in memory before the first one is written.
    fn each(&self, change: impl Fn(&Input) -> anyhow::Result<Plain>) -> anyhow::Result<()> {
        let stdin = [PathBuf::from("-")];
        let files = match self.files.as_slice() {
            [] => &stdin,
            files => files,
        };
        if self.output.is_some() && files.len() > 1 {
            bail!("--output takes one FILE; {} are named", files.len());
        }
        let mut changed = Vec::new();
        for file in files {
            let input = Input::read(file)?;
            let made = change(&input)?;
            let target = match &self.output {
                Some(output) => Target::at(output)?,
                None => input.target(),
            };
            changed.push((target, made));
        }
        for (target, made) in &changed {
            target.write(made.expose())?;
        }
        Ok(())
    }
}

fn show(plain: &Plain) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() {
        out::bytes(plain.expose());
        return Ok(());
    }
    let pager = std::env::var("PAGER").unwrap_or_default();
    let words: Vec<&str> = pager.split_whitespace().collect();
    let (program, args) = words.split_first().unwrap_or((&"less", &[]));
    // What less is asked to look for would be kept in its history, `!` would be a shell's.
    Cmd::new(program)
        .args(args)
        .env("LESSHISTFILE", "-")
        .env("LESSSECURE", "1")
        .stdin(plain.expose().to_vec())
        .run_at_terminal()
        .with_context(|| format!("PAGER {program} cannot be used; pipe the output to cat"))?;
    Ok(())
}

fn encrypt_string(
    name: Option<&str>,
    id: Option<&str>,
    passwords: &Passwords,
) -> anyhow::Result<()> {
    if let Some(name) = name {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            bail!("--name {name:?} is no name of a variable; expected letters, digits or _-.");
        }
    }
    let value = match std::io::stdin().is_terminal() {
        true => {
            let asked = prompt::secret("value", Confirm::Twice)?;
            Plain::new(asked.expose().as_bytes().to_vec())
        }
        false => Input::read("-".as_ref())?.into_plain(),
    };
    let text = std::str::from_utf8(value.expose())
        .context("the value is no UTF-8 text; encrypt a file instead")?;
    if text.ends_with('\n') {
        errln!("wod: the value ends with a line feed; printf %s writes one without");
    }
    let sealed = passwords.seal(id, value.expose())?;
    let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
    outln!("{name}!vault |");
    for line in sealed.lines() {
        outln!("          {line}");
    }
    Ok(())
}
