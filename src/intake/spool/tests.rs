//! The border under attack: what a writer can leave in the spool, and who may write.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use super::*;
use crate::domain::StudentRange;

fn record(student: &str) -> Record {
    Record {
        version: 1,
        received: Time(0),
        route: Route::Pipe,
        peer: "uid 0".to_owned(),
        sender: "api@frontend.example".to_owned(),
        message_id: None,
        signed: None,
        reason: None,
        action: Action {
            verb: Verb::Reset,
            seat: Seat::Students(student.parse::<StudentRange>().unwrap()),
            participant: Participant::new(5),
            email: None,
            workshop: Some("WKSHP-A".parse().unwrap()),
        },
    }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

const NAME: &str = "00000000000000000001-1-0123456789abcdef.action";

#[test]
fn what_goes_in_comes_out_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    let put: Vec<Name> = (1..=20)
        .map(|n| spool.put(&record(&n.to_string())).unwrap())
        .collect();
    fs::write(dir.path().join(".tmp-1"), "half").unwrap();
    assert_eq!(reader.pending(100).unwrap(), put);
    assert_eq!(reader.pending(3).unwrap(), put[..3]);
    for (n, name) in (1..=20).zip(&put) {
        assert_eq!(reader.read(name).unwrap(), record(&n.to_string()));
        reader.remove(name).unwrap();
        reader.remove(name).unwrap();
        assert!(matches!(reader.read(name), Err(Unusable::Gone)));
    }
    assert!(reader.pending(100).unwrap().is_empty());
}

#[test]
fn a_reader_never_sees_half_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| drop(spool.put(&record("3,5")).unwrap())));
        }
        let mut seen = 0;
        while seen < 100 {
            for name in reader.pending(100).unwrap() {
                reader.read(&name).unwrap();
                reader.remove(&name).unwrap();
                seen += 1;
            }
        }
    });
}

/// Why `read` calls the file bad that `make` left under a name of ours.
fn verdict(make: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    make(&dir.path().join(NAME));
    let names = reader.pending(10).unwrap();
    let [name] = names.as_slice() else {
        panic!("{names:?}");
    };
    let Err(Unusable::Bad(why)) = reader.read(name) else {
        panic!("{:?}", reader.read(name));
    };
    reader.quarantine(name).unwrap();
    assert!(reader.pending(10).unwrap().is_empty());
    assert!(dir.path().join(BAD).join(NAME).symlink_metadata().is_ok());
    why
}

fn json(change: impl Fn(&mut Record)) -> Vec<u8> {
    let mut record = record("3");
    change(&mut record);
    serde_json::to_vec(&record).unwrap()
}

#[test]
fn only_plain_files_are_read() {
    let good = json(|_| ());
    assert_eq!(
        verdict(|path| symlink("/etc/passwd", path).unwrap()),
        "is a symbolic link"
    );
    assert_eq!(
        verdict(|path| fs::create_dir(path).unwrap()),
        "is not a regular file"
    );
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    assert_eq!(verdict(fifo), "is not a regular file");
    assert_eq!(
        verdict(|path| drop(UnixListener::bind(path).unwrap())),
        "is not a regular file"
    );
    let linked = |path: &Path| {
        fs::write(path, &good).unwrap();
        fs::hard_link(path, path.with_file_name(".tmp-other")).unwrap();
    };
    assert_eq!(verdict(linked), "has 2 names, expected one");
    assert_eq!(
        verdict(|path| fs::write(path, vec![b' '; 20_000]).unwrap()),
        "is larger than 16 KiB"
    );
}

#[test]
fn every_value_is_checked_again() {
    let junk = |text: &'static [u8]| verdict(move |path| fs::write(path, text).unwrap());
    assert!(junk(b"").starts_with("is not a record"));
    assert!(junk(b"{\"version\":1}").starts_with("is not a record"));
    let good = String::from_utf8(json(|_| ())).unwrap();
    for (from, to) in [
        ("WKSHP-A", "../../etc"),
        ("[3,3]", "[0,3]"),
        ("[3,3]", "[5,3]"),
        ("[3,3]", "[3,100000]"),
        ("RESET", "DESTROY"),
        ("\"version\":1", "\"version\":2"),
        ("\"version\"", "\"extra\":1,\"version\""),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        verdict(|path| fs::write(path, &text).unwrap());
    }
    for change in [
        (|r: &mut Record| r.action.workshop = None) as fn(&mut Record),
        |r| {
            r.action.verb = Verb::Create;
            r.action.seat = Seat::Students("3,5".parse().unwrap());
        },
        |r| {
            r.action.seat = Seat::OfParticipant;
            r.action.participant = Participant::NOBODY;
        },
        |r| r.action.participant = Participant::new(u32::MAX),
        |r| r.action.email = Some("-x@y".to_owned()),
        |r| r.sender = "a\nb".to_owned(),
        |r| r.message_id = Some("x".repeat(1000)),
    ] {
        verdict(|path| fs::write(path, json(change)).unwrap());
    }
}

#[test]
fn a_foreign_file_or_name_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    Spool::open(dir.path()).unwrap().put(&record("3")).unwrap();
    let reader = Reader::open(dir.path(), vec![me() + 1]).unwrap();
    let name = reader.pending(1).unwrap().remove(0);
    assert!(
        reader
            .read(&name)
            .unwrap_err()
            .to_string()
            .starts_with("belongs to uid")
    );
    reader.quarantine(&name).unwrap();
    fs::write(dir.path().join("x.action"), json(|_| ())).unwrap();
    let name = reader.pending(1).unwrap().remove(0);
    assert!(matches!(reader.read(&name), Err(Unusable::Bad(_))));
}

#[test]
fn a_name_that_is_in_the_quarantine_already_keeps_nothing_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    for _ in 0..3 {
        fs::create_dir_all(dir.path().join("x/y")).unwrap();
        let name = reader.pending(1).unwrap().remove(0);
        reader.quarantine(&name).unwrap();
    }
    assert!(reader.pending(1).unwrap().is_empty());
    assert_eq!(fs::read_dir(dir.path().join(BAD)).unwrap().count(), 3);
}

#[test]
fn nobody_writes_a_line_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    fs::write(dir.path().join("a\nERROR b"), "").unwrap();
    let name = reader.pending(1).unwrap().remove(0);
    assert_eq!(name.to_string(), "a\\nERROR b");
    reader.quarantine(&name).unwrap();
    fs::write(dir.path().join(NAME), "{\"a\\nERROR b\": 1}").unwrap();
    let why = reader.read(&reader.pending(1).unwrap()[0]).unwrap_err();
    assert!(why.to_string().contains("`a\\nERROR b`"), "{why}");
}

#[test]
fn a_quarantine_that_is_a_link_is_refused() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(elsewhere.path(), dir.path().join(BAD)).unwrap();
    assert!(Reader::open(dir.path(), vec![me()]).is_err());
}

#[test]
fn a_failed_put_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let mut wrong = record("3");
    wrong.sender = "x".repeat(1000);
    let refusal = spool.put(&wrong).unwrap_err();
    assert_eq!(refusal.kind, Kind::Temporary);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_writer_left_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    fs::write(dir.path().join(".tmp-0000000000000001"), "half").unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(reader.sweep_tmp(Time::now(), hour).unwrap(), 0);
    assert_eq!(
        reader.sweep_tmp(Time::now() + hour + hour, hour).unwrap(),
        1
    );
}

/// The other half of [`a_writer_who_may_not_list_can_put`], which runs it as somebody else.
#[test]
fn as_nobody() {
    let Ok(dir) = std::env::var("WOD_TEST_SPOOL") else {
        return;
    };
    assert!(fs::read_dir(&dir).is_err(), "still may list");
    let spool = Spool::open(Path::new(&dir)).unwrap();
    assert_ne!(spool.sync, Sync::Directory);
    spool.put(&record("3")).unwrap();
}

#[test]
fn a_writer_who_may_not_list_can_put() {
    const NOBODY: u32 = 65_534;
    if me() != 0 {
        writeln!(
            std::io::stderr(),
            "skipped: only root can become somebody else"
        )
        .unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let spool = dir.path().join("spool");
    fs::create_dir(&spool).unwrap();
    std::os::unix::fs::chown(&spool, Some(0), Some(NOBODY)).unwrap();
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o1730)).unwrap();
    // The test program itself may be where nobody can reach it.
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let status = Command::new(&program)
        .args(["--exact", "intake::spool::tests::as_nobody"])
        .env("WOD_TEST_SPOOL", &spool)
        .uid(NOBODY)
        .gid(NOBODY)
        .status();
    assert!(status.unwrap().success());
    let reader = Reader::open(&spool, vec![NOBODY]).unwrap();
    let name = reader.pending(9).unwrap().remove(0);
    assert_eq!(reader.read(&name).unwrap(), record("3"));
    fs::write(spool.join(NAME), json(|_| ())).unwrap();
    let name = reader.pending(9).unwrap().remove(0);
    assert_eq!(
        reader.read(&name).unwrap_err().to_string(),
        "belongs to uid 0, which is not the door's"
    );
}

#[test]
fn the_time_of_a_file_is_not_its_writers_to_choose() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    // The kernel's clock for files may be a tick behind.
    let before = Time(Time::now().0 - 100);
    let name = spool.put(&record("1")).unwrap();
    let file = fs::File::options()
        .append(true)
        .open(dir.path().join(name.to_string()))
        .unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    let (read, changed) = reader.read_dated(&name).unwrap();
    assert_eq!(read.received, Time(0));
    assert!(before <= changed && changed <= Time::now(), "{changed}");
}

#[test]
fn a_signature_is_short_and_plain() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Reader::open(dir.path(), vec![me()]).unwrap();
    let mut signed = record("1");
    let header = format!("v1 key 1 {}", "ab".repeat(32));
    for (subject, line, expected) in [
        ("RESET 1 5".to_owned(), "WKSHP-A".to_owned(), None),
        ("RESET 1 5\nx".to_owned(), String::new(), Some("signed: ")),
        ("x".repeat(501), String::new(), Some("signed: ")),
        (String::new(), "x".repeat(321), Some("signed: ")),
    ] {
        signed.signed = Some(Signed {
            signature: header.parse().unwrap(),
            subject,
            line,
        });
        fs::write(dir.path().join(NAME), serde_json::to_vec(&signed).unwrap()).unwrap();
        let name = reader.pending(1).unwrap().remove(0);
        match (reader.read(&name), expected) {
            (Ok(read), None) => assert_eq!(read, signed),
            (Err(Unusable::Bad(why)), Some(told)) => assert!(why.starts_with(told), "{why}"),
            (read, _) => panic!("{read:?}"),
        }
    }
}
