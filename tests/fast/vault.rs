//! The vault against envelopes that the real `ansible-vault` sealed (`tests/cases/vault`).

mod command;
mod site;
mod terminal;

use std::fs;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use wod::domain::Secret;
use wod::templates::{Passwords, VaultError, seal};

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/vault")
        .join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn envelopes_of_ansible_vault_open() {
    let long = "x".repeat(5000);
    let vectors = [
        ("plain.txt", "secret", "hello"),
        ("empty.txt", "secret", ""),
        ("block.txt", "secret", "sixteen bytes!!!"),
        ("unicode.txt", "gehëim", "pässwörd 🎉\nline two\n"),
        ("labelled.txt", "other password", "labelled"),
        ("long.txt", "secret", &long),
    ];
    for (name, password, text) in vectors {
        let opened = Passwords::single(secret(password)).open(&vector(name));
        assert_eq!(opened.unwrap().expose(), text, "{name}");
    }
}

#[test]
fn the_password_of_the_label_is_tried_first_and_any_may_fit() {
    let passwords = Passwords::new([
        (None, secret("secret")),
        (Some("prod".into()), secret("other password")),
    ]);
    assert_eq!(
        passwords.open(&vector("labelled.txt")).unwrap().expose(),
        "labelled"
    );
    assert_eq!(
        passwords.open(&vector("plain.txt")).unwrap().expose(),
        "hello"
    );
}

#[test]
fn what_does_not_open_says_why() {
    let passwords = Passwords::single(secret("wrong"));
    assert_eq!(
        passwords.open(&vector("plain.txt")),
        Err(VaultError::WrongPassword {
            label: None,
            tried: 1
        })
    );
    assert_eq!(
        Passwords::default().open(&vector("plain.txt")),
        Err(VaultError::NoPassword { label: None })
    );
    for (text, part) in [
        ("hello", "no vault header"),
        ("$ANSIBLE_VAULT;1.1;AES256\nxyz", "not hexadecimal"),
        ("$ANSIBLE_VAULT;1.1;AES256\n616", "not hexadecimal"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162", "three parts"),
        ("$ANSIBLE_VAULT;1.0;AES\n6162", "only versions 1.1 and 1.2"),
        ("", "no vault header"),
    ] {
        let error = passwords.open(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn a_changed_envelope_does_not_open() {
    let envelope = vector("plain.txt");
    let passwords = Passwords::single(secret("secret"));
    let last = envelope.trim_end().len() - 1;
    let other = if envelope.as_bytes()[last] == b'1' {
        "2"
    } else {
        "1"
    };
    assert!(
        passwords
            .open(&format!("{}{other}\n", &envelope[..last]))
            .is_err()
    );
}

/// With eight threads that want the same key at once, too.
#[test]
fn a_key_is_derived_once() {
    let passwords = Passwords::single(secret("secret"));
    let sealed = vector("plain.txt");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(passwords.open(&sealed).unwrap().expose(), "hello"));
        }
    });
    let first = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..1000 {
        passwords.open(&sealed).unwrap();
    }
    let rest = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..20 {
        Passwords::single(secret("secret")).open(&sealed).unwrap();
    }
    let one = begun.elapsed() / 20;
    println!("one derivation {one:?}, 8 first opens {first:?}, 1000 more {rest:?}");
    assert!(first < one * 3, "{first:?} for 8 at once, {one:?} for one");
    assert!(
        rest < one * 200,
        "{rest:?} for 1000, {one:?} for one derivation"
    );
}

#[test]
fn bytes_that_are_no_text_come_back_as_they_were() {
    let passwords = Passwords::new([(Some("prod".into()), secret("one")), (None, secret("two"))]);
    let bytes: Vec<u8> = (0..=255).rev().cycle().take(1 << 20).collect();
    let sealed = passwords.seal(None, &bytes).unwrap();
    assert!(sealed.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    let opened = passwords.open_bytes(sealed.as_bytes()).unwrap();
    assert!(opened.plain.expose() == bytes);
    assert_eq!(passwords.open(&sealed), Err(VaultError::NotText));
    // As it was: label and password, another salt.
    let again = passwords.seal_as(&opened, b"x").unwrap();
    assert!(again.starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert_ne!(again, passwords.seal_as(&opened, b"x").unwrap());
    assert_eq!(
        Passwords::single(secret("one"))
            .open(&again)
            .unwrap()
            .expose(),
        "x"
    );
    let unknown = passwords.seal(Some("dev"), b"x").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no vault password with id dev"
    );
    let wrong = Passwords::single(secret("two")).open(&again).unwrap_err();
    assert!(wrong.to_string().contains("of vault id `prod`"), "{wrong}");
}

#[test]
fn debug_shows_no_password() {
    let passwords = Passwords::single(secret("hunter2"));
    assert_eq!(format!("{passwords:?}"), "Passwords(1)");
}

proptest! {
    // Deriving a key takes 10,000 rounds.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_sealed_opens(text in ".*", password in ".+", label in proptest::option::of("[a-z]{1,8}")) {
        let envelope = seal(&secret(&password), label.as_deref(), &secret(&text)).unwrap();
        prop_assert!(envelope.lines().all(|line| line.len() <= 80));
        let version = if label.is_some() { "1.2" } else { "1.1" };
        prop_assert_eq!(envelope.split(';').nth(1), Some(version));
        let opened = Passwords::single(secret(&password)).open(&envelope).unwrap();
        prop_assert_eq!(opened.expose(), text);
    }

    #[test]
    fn rubbish_never_panics(text in "(\\$ANSIBLE_VAULT;1\\.[12];AES256(;x)?\n)?[0-9a-f\n]{0,400}") {
        let _ = Passwords::single(secret("p")).open(&text);
    }
}
