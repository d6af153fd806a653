//! What workshop scripts may know of workshops and participants: `public/facts.json`, published by
//! the engine, read by `wod facts`. No secret and no name of a person is in it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::{AskedWorkshop, Participant, Student, Workshop};
use crate::ports::SeatMap;
use crate::safefs::{self, Dir};

const NAME: &str = "facts.json";
const LARGEST: u64 = 64 << 20;

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub workshops: Vec<Workshop>,
    /// Whoever has a seat.
    pub participants: BTreeMap<Participant, Seated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seated {
    pub student: Student,
    pub cleaned: bool,
}

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub enum NoFacts {
    #[error("there are no facts in {0} yet; start wod serve")]
    NotYet(String),
    #[error("the facts cannot be read; restart wod serve")]
    Files(#[from] safefs::Error),
    #[error("the facts are damaged; restart wod serve")]
    Damaged(#[from] serde_json::Error),
}

impl Facts {
    pub fn new(workshops: &[Workshop], seats: &SeatMap) -> Facts {
        let seated = |(&participant, &student)| {
            let cleaned = seats.cleaned.contains(&participant);
            (participant, Seated { student, cleaned })
        };
        Facts {
            workshops: workshops.to_vec(),
            participants: seats.of.iter().map(seated).collect(),
        }
    }

    /// Into `dir`, whole or not at all, readable by everybody; not written when it is as before.
    pub fn publish(&self, dir: &Path) -> Result<(), NoFacts> {
        let text = serde_json::to_vec(self)?;
        let dir = Dir::open_root(dir)?;
        if dir
            .read(NAME.as_ref(), LARGEST)
            .is_ok_and(|before| before == text)
        {
            return Ok(());
        }
        Ok(dir.write(NAME.as_ref(), &text, 0o644)?)
    }

    pub fn read(dir: &Path) -> Result<Facts, NoFacts> {
        let read = Dir::open_root(dir).and_then(|dir| dir.read(NAME.as_ref(), LARGEST));
        match read {
            Err(e) if e.is_not_found() => Err(NoFacts::NotYet(dir.display().to_string())),
            read => Ok(serde_json::from_slice(&read?)?),
        }
    }

    /// By the registry's id, or by name; a challenge is its workshop.
    pub fn workshop(&self, wanted: &str) -> Option<&Workshop> {
        let mut all = self.workshops.iter();
        match (wanted.parse::<u32>(), wanted.parse::<AskedWorkshop>()) {
            (Ok(id), _) => all.find(|workshop| workshop.id == id),
            (_, Ok(asked)) => all.find(|workshop| workshop.name == asked.name),
            _ => None,
        }
    }
}
