//! The journal is cut or damaged anywhere: the engine refuses it and leaves it as it is, or what
//! it does is what was accepted. What `wod journal salvage` makes of it works, and does nothing
//! else either.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Options, SMTP, STATE, STUDENTS, send};
use crate::support::seats::{picture, workshop};
use crate::support::{on_private_host, sh, wait_for};

use super::{end, out_of_the_way};

/// Places per kind of damage.
const SPREAD: usize = 64;
/// One in so many is salvaged, too.
const SALVAGED: usize = 4;

/// Bytes of the journal, of its log, and of what says how far it is.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    journal: Vec<u8>,
    log: Vec<u8>,
    head: Vec<u8>,
}

const HEAD: &str = "/var/lib/wod/private/journal.head";

fn path(suffix: &str) -> String {
    format!("{STATE}/private/journal.db{suffix}")
}

impl Files {
    fn read() -> Files {
        Files {
            journal: fs::read(path("")).unwrap(),
            log: fs::read(path("-wal")).unwrap_or_default(),
            head: fs::read(HEAD).unwrap_or_default(),
        }
    }

    fn write(&self) {
        let _ = fs::remove_file(path("-shm"));
        let _ = fs::remove_file(path("-wal"));
        fs::write(path(""), &self.journal).unwrap();
        fs::write(HEAD, &self.head).unwrap();
        if !self.log.is_empty() {
            fs::write(path("-wal"), &self.log).unwrap();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Started {
    Works,
    Refused(String),
}

/// Starts an engine, lets it do what it wants to do, and kills it.
fn start() -> Started {
    let told = fs::File::create("/run/damaged.log").unwrap();
    let mut engine = Command::new("/run/wod")
        .arg("serve")
        .stdin(Stdio::null())
        .stderr(told)
        .spawn()
        .unwrap();
    let mut deadline = None;
    let refused = loop {
        if let Some(status) = engine.try_wait().unwrap() {
            break Some(status);
        }
        let ready = fs::read_to_string("/run/damaged.log")
            .unwrap()
            .contains("ready;");
        if ready {
            let deadline =
                *deadline.get_or_insert_with(|| Instant::now() + Duration::from_millis(1500));
            if end::try_open_actions() == Some(0) || Instant::now() > deadline {
                break None;
            }
        }
        thread::sleep(Duration::from_millis(4));
    };
    let _ = engine.kill();
    engine.wait().unwrap();
    wait_for(10, "free port", || TcpStream::connect(SMTP).err());
    let told = fs::read_to_string("/run/damaged.log").unwrap();
    match refused {
        None => Started::Works,
        Some(status) => {
            let line = told.lines().last().unwrap_or_default().to_owned();
            assert_eq!(status.code(), Some(4), "{told}");
            Started::Refused(line)
        }
    }
}

/// What must not change: other seats, and which there are.
fn others() -> String {
    let seats = sh(&format!(
        "ls {STUDENTS}; getent passwd | grep ^student | cut -d: -f1"
    ));
    format!("{seats}{}{}", picture(1), picture(2))
}

struct Judge {
    accepted: Vec<String>,
    others: String,
    refused: usize,
    works: usize,
    begun: Instant,
    salvaged: usize,
    rounds: usize,
    wrong: Vec<String>,
}

/// Another version is what a flipped bit makes of the number.
fn told_what_to_do(line: &str) -> bool {
    line.contains("wod journal salvage") || line.contains("use the wod that wrote it")
}

impl Judge {
    fn round(&mut self, what: &str, files: &Files) {
        files.write();
        self.rounds += 1;
        match start() {
            Started::Refused(line) => {
                self.refused += 1;
                let same = Files::read() == *files;
                if !same || !line.contains("journal") || !told_what_to_do(&line) {
                    self.wrong
                        .push(format!("{what}: {line}; left as it was: {same}"));
                }
                if self.rounds.is_multiple_of(SALVAGED) {
                    self.salvage(what);
                }
            }
            Started::Works => {
                self.works += 1;
                let actions = end::try_actions();
                let prefix = actions
                    .as_ref()
                    .is_some_and(|all| self.accepted.starts_with(all));
                if !prefix || others() != self.others {
                    self.wrong.push(format!("{what}: works with {actions:?}"));
                }
            }
        }
    }

    fn salvage(&mut self, what: &str) {
        let output = Command::new("/run/wod")
            .args(["journal", "salvage"])
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let started = output.status.success().then(start);
        let actions = end::try_actions().unwrap_or_default();
        let known = actions.iter().all(|action| self.accepted.contains(action));
        if started != Some(Started::Works) || !known || others() != self.others {
            self.wrong
                .push(format!("{what}: {said}{started:?} with {actions:?}"));
        }
        self.salvaged += 1;
        sh("rm -f /var/lib/wod/private/journal.db.damaged-*");
    }

    fn told(&mut self, what: &str) {
        println!(
            "{:.0?} {what}: {} refused, {} work, {} salvaged, {} wrong",
            self.begun.elapsed(),
            self.refused,
            self.works,
            self.salvaged,
            self.wrong.len()
        );
        self.wrong.iter().for_each(|wrong| println!("  {wrong}"));
        (self.refused, self.works, self.salvaged) = (0, 0, 0);
    }
}

#[test]
fn a_journal_that_is_cut_or_damaged_anywhere() {
    on_private_host(|| {
        let slow = "[ -e /tmp/quick ] || { touch /tmp/began; sleep 100; }";
        workshop("Half", "range: [1,10]\n", &[]);
        workshop("Slow", "range: [1,10]\n", &[("create", slow)]);
        let mut backend = Backend::start(Options::default());
        out_of_the_way();
        for n in [1, 2, 3] {
            send(&format!("CREATE {n} {}", 800 + n), "WKSHP-Half");
        }
        backend.settled(3);
        send("CLEANUP 3 803", "WKSHP-Half");
        send("CREATE 4 804", "WKSHP-Slow");
        wait_for(10, "script", || {
            Path::new("/tmp/began").exists().then_some(())
        });
        // After the log was emptied of passwords: it ends with something that was acknowledged.
        let log = path("-wal");
        wait_for(10, "end of the CLEANUP", || {
            (end::try_open_actions() == Some(1)).then_some(())
        });
        wait_for(10, "empty log", || {
            (fs::metadata(&log).unwrap().len() == 0).then_some(())
        });
        send("CLEANUP 4 804", "WKSHP-Slow");
        wait_for(10, "sixth action", || (end::actions() == 6).then_some(()));
        assert!(fs::metadata(log).unwrap().len() > 0);
        backend.kill_engine();
        sh("touch /tmp/quick; pkill -x sleep || true");
        let in_log = Files::read();
        // The same with everything in the journal itself.
        end::change("pragma wal_checkpoint(truncate)");
        let whole = Files::read();
        let accepted = end::try_actions().unwrap();
        assert_eq!((accepted.len(), whole.log.len()), (6, 0));
        assert_eq!(start(), Started::Works);
        let mut judge = Judge {
            accepted,
            others: others(),
            refused: 0,
            works: 0,
            begun: Instant::now(),
            salvaged: 0,
            rounds: 0,
            wrong: Vec::new(),
        };
        let written = |bytes: &[u8]| -> Vec<usize> {
            let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
            (0..SPREAD)
                .map(|n| used[(2 * n + 1) * used.len() / (2 * SPREAD)])
                .collect()
        };
        let spread = |bytes: &[u8]| -> Vec<usize> {
            (0..SPREAD)
                .map(|n| (2 * n + 1) * bytes.len() / (2 * SPREAD))
                .collect()
        };
        for at in spread(&whole.journal) {
            let mut files = whole.clone();
            files.journal.truncate(at);
            judge.round(&format!("cut at {at}"), &files);
        }
        judge.told("journal cut");
        for at in written(&whole.journal) {
            let mut files = whole.clone();
            files.journal[at] ^= 0x01;
            judge.round(&format!("flipped at {at}"), &files);
        }
        judge.told("journal flipped");
        for at in spread(&in_log.log) {
            let mut files = in_log.clone();
            files.log.truncate(at);
            judge.round(&format!("log cut at {at}"), &files);
        }
        judge.told("log cut");
        for at in spread(&in_log.log) {
            let mut files = in_log.clone();
            files.log[at] ^= 0x10;
            judge.round(&format!("log flipped at {at}"), &files);
        }
        judge.told("log flipped");
        assert!(judge.wrong.is_empty(), "{}", judge.wrong.join("\n"));
    });
}
