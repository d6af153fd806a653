//! Signed mails from the frontend to the journal: what is taken, refused, or taken for a copy.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::backend::{Backend, Options, SENDER, STATE, send, send_bytes};
use crate::support::client::as_account;
use crate::support::{fed, on_private_host, sh, wait_for};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn secret(backend: &Backend, key: &str) -> String {
    let output = backend.wod(&["keys", "show", key]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn new_key(backend: &Backend, key: &str) -> String {
    let output = backend.wod(&["keys", "new", "--id", key]);
    assert!(output.status.success(), "{output:?}");
    let secret = secret(backend, key);
    assert_eq!(secret.len(), 64);
    let told = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8(told).unwrap().contains(&secret));
    secret
}

/// A whole mail, signed by Python as `wod keys --help` says it.
fn signed(key: &str, secret: &str, message_id: &str, subject: &str, workshop: &str) -> String {
    let header = header(now(), [key, secret, message_id, subject, workshop]);
    format!(
        "Message-ID: {message_id}\r\nSubject: {subject}\r\n\
         X-Wod-Signature: {header}\r\n\r\n{workshop}\r\n"
    )
}

fn header(at: u64, words: [&str; 5]) -> String {
    let [key, secret, message_id, subject, workshop] = words;
    let script = format!(
        "import hmac; print(hmac.new(b'{secret}', '\\n'.join(['wod-signature-v1', '{key}', '{at}', \
         '{message_id}', '{subject}', '{workshop}', '']).encode(), 'sha256').hexdigest())"
    );
    let mac = sh(&format!("python3 -c \"{script}\""));
    format!("v1 {key} {at} {}", mac.trim())
}

fn deliver(mail: &str) -> String {
    send_bytes(SENDER, mail.as_bytes())
}

fn required(more: &str) -> Backend {
    Backend::start(Options {
        inventory: &format!("WODSIGNATURES: required\n{more}\n"),
        ..Options::default()
    })
}

fn line(backend: &Backend, action: &Value) -> String {
    backend.action(action["id"].as_i64().unwrap()).to_string()
}

#[test]
fn only_signed_mails_and_each_once() {
    on_private_host(|| {
        let mut backend = required("");
        let plain = "550 5.7.1 signature: expected an X-Wod-Signature header";
        assert!(send("CREATE 12 825", "WKSHP-API101").starts_with(plain));
        let create = ["CREATE", "WKSHP-API101", "12", "--participant", "825"];
        let output = backend.wod(&[&["test-action"], &create[..]].concat());
        assert!(String::from_utf8_lossy(&output.stderr).contains(plain));
        let secret = new_key(&backend, "a");
        assert_eq!(backend.act(&create)["state"], "done");
        let unsigned = backend.wod(&[&["test-action", "--no-sign"], &create[..]].concat());
        assert!(String::from_utf8_lossy(&unsigned.stderr).contains(plain));

        let mail = signed(
            "a",
            &secret,
            "<1@frontend>",
            "CREATE 13 826",
            "WKSHP-API101",
        );
        assert!(deliver(&mail).starts_with("250 "));
        let all = backend.settled(2);
        assert_eq!(all[1]["state"], "done", "{all:?}");

        // A changed one is refused, and does not keep the real one out.
        let mail = signed(
            "a",
            &secret,
            "<2@frontend>",
            "CREATE 14 827",
            "WKSHP-API101",
        );
        assert!(deliver(&mail.replace("CREATE 14", "CREATE 15")).starts_with("250 "));
        assert!(deliver(&mail.replace("CREATE 14 827", "PURGE 13 826")).starts_with("250 "));
        let all = backend.settled(4);
        for action in &all[2..4] {
            assert_eq!(action["state"], "refused", "{action}");
            let told = "signature: does not fit the mail under key `a`";
            assert!(line(&backend, action).contains(told), "{action}");
        }
        assert!(backend.seat(15).is_none());
        assert_eq!(backend.seat(13).unwrap()["participant"], 826);
        assert!(deliver(&mail).starts_with("250 "));
        let all = backend.settled(5);
        assert_eq!(all[4]["state"], "done", "{all:?}");

        // Once more, and again after a crash: said to be taken, and not done again.
        let cleanup = signed(
            "a",
            &secret,
            "<3@frontend>",
            "CLEANUP 14 827",
            "WKSHP-API101",
        );
        assert!(deliver(&cleanup).starts_with("250 "));
        backend.settled(6);
        assert!(deliver(&mail).starts_with("250 "));
        is_duplicate(&backend, 1);
        backend.kill_engine();
        backend.start_engine();
        assert!(deliver(&mail).starts_with("250 "));
        is_duplicate(&backend, 2);
        assert_eq!(backend.settled(6).len(), 6);
        assert_eq!(backend.seat(14).unwrap()["assigned"], false);
    });
}

fn is_duplicate(backend: &Backend, times: usize) {
    wait_for(20, "duplicate", || {
        let log = backend.log();
        (log.matches("duplicate: CREATE student14").count() == times).then_some(())
    });
}

/// `wod ingest` as WODUSER: its exit status and what it said.
fn ingest(mail: &str) -> (i32, String) {
    let words = ["/run/wod", "ingest", "--sender", SENDER];
    let output = fed(&mut as_account("wodadmin", &words), mail.as_bytes());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn a_mail_that_waits_for_the_engine_does_not_grow_too_old() {
    on_private_host(|| {
        let mut backend = required("WODREPLAYSECONDS: 10");
        let secret = new_key(&backend, "a");
        let (exit, said) = ingest("Subject: CREATE 12 825\n\nWKSHP-API101\n");
        assert_eq!(exit, 77, "{said}");
        backend.stop_engine();
        let mail = signed(
            "a",
            &secret,
            "<1@frontend>",
            "CREATE 12 825",
            "WKSHP-API101",
        );
        let (exit, said) = ingest(&mail);
        assert_eq!(exit, 0, "{said}");
        let kept = sh(&format!("cat {STATE}/spool/*.action"));
        thread::sleep(Duration::from_secs(12));
        let (exit, said) = ingest(&mail);
        assert_eq!(exit, 77, "{said}");
        assert!(said.contains("signature: made at"), "{said}");
        backend.start_engine();
        let all = backend.settled(1);
        assert_eq!(all[0]["state"], "done", "{all:?}");
        // Whoever has the spool's account says that it came long ago; the file tells otherwise.
        let at = now() - 40;
        let words = [
            "a",
            &secret,
            "<2@frontend>",
            "CREATE 12 825",
            "WKSHP-API101",
        ];
        let mut record: Value = serde_json::from_str(&kept).unwrap();
        record["signed"]["signature"] = header(at, words).into();
        record["message_id"] = "<2@frontend>".into();
        record["received"] = (at * 1000).into();
        fs::write("/run/old", record.to_string()).unwrap();
        sh(&format!(
            "cd {STATE}/spool; install -m 600 -o wodadmin /run/old .tmp-1
             touch -d @{at} .tmp-1; mv .tmp-1 00000000000000000001-1-0123456789abcdef.action"
        ));
        let all = backend.settled(2);
        assert_eq!(all[1]["state"], "refused", "{all:?}");
        assert!(line(&backend, &all[1]).contains("signature: made at"));
    });
}

#[test]
fn one_key_follows_another() {
    on_private_host(|| {
        let backend = required("");
        let old = new_key(&backend, "old");
        assert!(
            !backend
                .wod(&["keys", "new", "--id", "old"])
                .status
                .success()
        );
        let new = new_key(&backend, "new");
        assert_ne!(old, new);
        let mut participant = 800;
        let mut state_of = |key: &str, secret: &str| {
            participant += 1;
            let subject = format!("PURGE 20 {participant}");
            let message_id = format!("<{participant}@frontend>");
            let before = backend.actions().len();
            let reply = deliver(&signed(key, secret, &message_id, &subject, "VOID"));
            assert!(reply.starts_with("250 "), "{reply}");
            let last = backend.settled(before + 1).pop().unwrap();
            (
                last["state"].as_str().unwrap().to_owned(),
                line(&backend, &last),
            )
        };
        assert_eq!(state_of("old", &old).0, "done");
        assert_eq!(state_of("new", &new).0, "done");
        let wod = |words: &[&str]| {
            let output = backend.wod(words);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        wod(&["keys", "retire", "old"]);
        assert_eq!(state_of("old", &old).0, "done");
        let list = wod(&["keys", "list"]) + &wod(&["keys", "list", "--json"]);
        assert!(!list.contains(&old) && !list.contains(&new), "{list}");
        assert!(list.contains("retired") && list.contains("signs"), "{list}");
        wod(&["keys", "retire", "old", "--hours", "0"]);
        let (state, told) = state_of("old", &old);
        assert_eq!(state, "refused");
        assert!(told.contains("key `old` was retired"), "{told}");
        wod(&["keys", "remove", "old"]);
        let (state, told) = state_of("old", &old);
        assert_eq!(state, "refused");
        assert!(told.contains("key `old` is not known here"), "{told}");
        assert_eq!(state_of("new", &new).0, "done");
        let mode = sh(&format!("stat -c '%a %U' {STATE}/private/keys.json"));
        assert_eq!(mode.trim(), "600 root");
        let all = backend.log() + &sh(&format!("strings {STATE}/private/journal.db || true"));
        assert!(!all.contains(&new) && !all.contains(&old));
    });
}
