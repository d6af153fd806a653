//! A site whose secrets are vaulted: values, and variable files as a whole.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use wod::domain::Secret;
use wod::inventory::HubSettings;
use wod::site::{Site, Source};
use wod::templates::{Passwords, seal};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// `all/` as a directory: one file in the clear, one vaulted as a whole.
fn site(open: &str, sealed: &str) -> (TempDir, Source) {
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("group_vars/all");
    fs::create_dir_all(&all).unwrap();
    fs::write(all.join("open.yml"), open).unwrap();
    fs::write(all.join("sealed.yml"), sealed).unwrap();
    let source = Source {
        inventory: dir.path().to_owned(),
        set: Vec::new(),
    };
    (dir, source)
}

fn token(site: &Site) -> String {
    match &site.settings.hub {
        HubSettings::JupyterHub { token, .. } => token.expose().to_owned(),
        HubSettings::None => String::new(),
    }
}

#[test]
fn a_file_that_is_vaulted_as_a_whole_is_read_with_the_password_of_another() {
    let text = seal(&secret("word"), None, &secret("WODBETOKEN: hidden\n")).unwrap();
    let (_dir, source) = site("WODSENDER: a@b\nVAULTPWD: word\n", &text);
    assert_eq!(token(&Site::load(&source).unwrap()), "hidden");
    let (_dir, source) = site("WODSENDER: a@b\nVAULTPWD: other\n", &text);
    let line = Site::load(&source).err().unwrap().to_string();
    assert!(
        line.contains("group_vars/all/sealed.yml: none of the 1 vault passwords opens"),
        "{line}"
    );
    let (_dir, source) = site("WODSENDER: a@b\n", &text);
    let line = Site::load(&source).err().unwrap().to_string();
    assert!(
        line.contains("group_vars/all/sealed.yml: a vault value needs a password"),
        "{line}"
    );
}

#[test]
fn vault_secret_and_vaultpwd_are_both_tried() {
    let dir = tempfile::tempdir().unwrap();
    let private: PathBuf = dir.path().join("ansible");
    fs::create_dir(&private).unwrap();
    fs::write(private.join("vault_secret"), "from the file\n").unwrap();
    let value = |password: &str, text: &str| {
        let sealed = seal(&secret(password), None, &secret(text)).unwrap();
        sealed
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    };
    let open = format!(
        "WODSENDER: a@b\nVAULTPWD: of a variable\nWODANSIBLEPRIVDIR: {}\n\
         WODBETOKEN: !vault |\n{}WODMONITOR: !vault |\n{}",
        private.display(),
        value("from the file", "hidden"),
        value("of a variable", "c@d"),
    );
    let (_dir, source) = site(&open, "");
    let site = Site::load(&source).unwrap();
    assert_eq!(token(&site), "hidden");
    assert_eq!(site.settings.monitor.as_deref(), Some("c@d"));
    let passwords: Passwords = wod::site::vault_passwords(&source).unwrap();
    assert_eq!(format!("{passwords:?}"), "Passwords(2)");
    // The first one seals.
    let sealed = passwords.seal(None, b"x").unwrap();
    let opened = Passwords::single(secret("of a variable")).open(&sealed);
    assert_eq!(opened.unwrap().expose(), "x");
}
