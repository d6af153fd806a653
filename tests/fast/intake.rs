//! The door as its users meet it: case files over every route, real sockets, arbitrary bytes.

mod cases;
mod listener;
mod props;

use std::path::{Path, PathBuf};
use std::time::Duration;

use wod::intake::gate::{Peer, Policy};
use wod::intake::gatefile::{GateFile, publish};
use wod::intake::session::{Event, Mail, Session};
use wod::intake::spool::{Reader, Record, Spool};

/// A spool and a gate file in a directory that goes away with it.
pub struct Site {
    dir: tempfile::TempDir,
    pub policy: Policy,
}

impl Site {
    pub fn new(policy: Policy) -> Site {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &policy).unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        Site { dir, policy }
    }

    pub fn gate(&self) -> GateFile {
        GateFile::new(self.dir.path()).with_patience(Duration::ZERO)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    pub fn spool(&self) -> Spool {
        Spool::open(&self.path()).unwrap()
    }

    /// Every record in the spool, in order; leaves it empty.
    pub fn take_records(&self) -> Vec<Record> {
        let owner = rustix::process::geteuid().as_raw();
        let reader = Reader::open(&self.path(), vec![owner]).unwrap();
        let names = reader.pending(10_000).unwrap();
        let taken = names.iter().map(|name| {
            let record = reader.read(name).unwrap();
            reader.remove(name).unwrap();
            record
        });
        taken.collect()
    }
}

pub fn policy() -> Policy {
    let text = std::fs::read(cases_dir().join("gate.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

pub fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/intake")
}

/// Runs a session over these pieces of input; `answer` is given each mail.
pub fn converse<'a>(
    policy: &Policy,
    peer: Peer,
    pieces: impl Iterator<Item = &'a [u8]>,
    mut answer: impl FnMut(&Mail) -> Result<String, wod::intake::refusal::Refusal>,
) -> Vec<Event> {
    let mut session = Session::new(peer, "backend.example", Ok(policy.clone().into()));
    let mut events = Vec::new();
    for piece in pieces {
        session.feed(piece);
        while let Some(event) = session.next_event() {
            if let Event::Mail(mail) = &event {
                session.answer(answer(mail));
            }
            events.push(event);
        }
    }
    events
}
