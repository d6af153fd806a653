//! The registry of a site without a frontend: workshops from their `wod.yml` files, seats and
//! participants in the journal's tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{
    AskedWorkshop, Participant, Secret, Student, StudentRange, Workshop, WorkshopName,
};
use crate::inventory::{self, Map, Value};
use crate::journal::{self, Journal};
use crate::ports::{Fault, ParticipantRecord, ParticipantReport, Registry, SeatMap, SeatReport};
use crate::safefs::{self, Account, Dir, Kind};

const METADATA: &str = "wod.yml";
const METADATA_BYTES: u64 = 1 << 20;
/// How long a listing of the workshops is good for.
const FRESH: Duration = Duration::from_secs(1);

pub struct LocalRegistry {
    journal: Arc<Journal>,
    shelves: Shelves,
    listed: Mutex<Option<(Instant, Vec<Workshop>)>>,
}

/// The directories with workshops, public first.
#[derive(Debug, Clone)]
pub struct Shelves {
    pub dirs: Vec<PathBuf>,
    /// With whose rights they are read; None for ours.
    pub admin: Option<Account>,
}

/// A `wod.yml` that cannot be used: where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    pub path: PathBuf,
    pub problem: String,
}

impl LocalRegistry {
    pub fn new(journal: Arc<Journal>, shelves: Shelves) -> LocalRegistry {
        LocalRegistry {
            journal,
            shelves,
            listed: Mutex::new(None),
        }
    }
}

impl Registry for LocalRegistry {
    fn workshops(&self) -> Result<Vec<Workshop>, Fault> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, workshops)) = &*listed
            && at.elapsed() < FRESH
        {
            return Ok(workshops.clone());
        }
        let (mut workshops, unusable) = self.shelves.list()?;
        for Unusable { path, problem } in unusable {
            tracing::warn!("workshop left out: {}: {problem}", path.display());
        }
        for workshop in &mut workshops {
            if let Some(seats) = self.journal.capacity(&workshop.name).map_err(of_journal)? {
                workshop.capacity = seats;
            }
        }
        *listed = Some((Instant::now(), workshops.clone()));
        Ok(workshops)
    }

    fn workshop(&self, name: &WorkshopName) -> Result<Option<Workshop>, Fault> {
        let workshops = self.workshops()?;
        Ok(workshops
            .into_iter()
            .find(|workshop| workshop.name == *name))
    }

    fn participant(&self, id: Participant) -> Result<Option<ParticipantRecord>, Fault> {
        self.journal.participant(id).map_err(of_journal)
    }

    fn enrol(
        &self,
        id: Participant,
        student: Student,
        workshop: &AskedWorkshop,
        email: Option<&str>,
    ) -> Result<(), Fault> {
        self.journal
            .enrol(id, student, workshop, email)
            .map_err(of_journal)
    }

    fn report_seat(&self, student: Student, report: &SeatReport) -> Result<(), Fault> {
        self.journal
            .report_seat(student, report)
            .map_err(of_journal)
    }

    fn report_participant(&self, id: Participant, report: &ParticipantReport) -> Result<(), Fault> {
        self.journal
            .report_participant(id, report)
            .map_err(of_journal)
    }

    fn report_capacity(&self, workshop: &WorkshopName, seats: u32) -> Result<(), Fault> {
        self.journal
            .report_capacity(workshop, seats)
            .map_err(of_journal)
    }

    fn seats(&self) -> Result<SeatMap, Fault> {
        let of = self.journal.participant_seats().map_err(of_journal)?;
        let cleaned = self.journal.cleaned_participants().map_err(of_journal)?;
        Ok(SeatMap {
            of,
            complete: true,
            cleaned,
        })
    }

    /// It is in our own journal: no script speaks with it.
    fn access_token(&self) -> Result<Option<Secret>, Fault> {
        Ok(None)
    }
}

fn of_journal(e: journal::Error) -> Fault {
    Fault::retry("the local registry cannot be used").because(&e)
}

impl Shelves {
    /// All workshops in the order of their names, and the `wod.yml` files that say too little.
    /// The id of a workshop is its place in that order, from 1.
    pub fn list(&self) -> Result<(Vec<Workshop>, Vec<Unusable>), Fault> {
        let read = || {
            let mut found = BTreeMap::new();
            let mut unusable = Vec::new();
            for shelf in &self.dirs {
                read_shelf(shelf, &mut found, &mut unusable)?;
            }
            Ok((found, unusable))
        };
        let (found, unusable) = match &self.admin {
            None => read(),
            Some(admin) => {
                safefs::as_user(admin.uid, admin.gid, &admin.groups, read).and_then(|read| read)
            }
        }
        .map_err(|e: safefs::Error| {
            Fault::of_files("the workshops in WODNOBO cannot be listed", &e)
        })?;
        let workshops = (1..).zip(found.into_values());
        let workshops = workshops.map(|(id, workshop)| Workshop { id, ..workshop });
        Ok((workshops.collect(), unusable))
    }
}

fn read_shelf(
    shelf: &Path,
    found: &mut BTreeMap<WorkshopName, Workshop>,
    unusable: &mut Vec<Unusable>,
) -> Result<(), safefs::Error> {
    let dir = Dir::open_root(shelf)?;
    for entry in dir.entries()? {
        let name = entry.name.to_str().and_then(|name| name.parse().ok());
        let Some(name) =
            name.filter(|name| entry.kind == Kind::Directory && !found.contains_key(name))
        else {
            continue;
        };
        let path = shelf.join(&entry.name).join(METADATA);
        match read_metadata(&dir, &name) {
            Ok(workshop) => {
                found.insert(name, workshop);
            }
            Err(problem) => unusable.push(Unusable { path, problem }),
        }
    }
    Ok(())
}

fn read_metadata(shelf: &Dir, name: &WorkshopName) -> Result<Workshop, String> {
    let dir = shelf
        .open_dir(name.as_str().as_ref())
        .map_err(|e| e.to_string())?;
    let bytes = match dir.read(METADATA.as_ref(), METADATA_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Err(format!("there is no {METADATA}")),
        Err(e) => return Err(e.to_string()),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let document = inventory::from_str(METADATA, text).map_err(|e| e.to_string())?;
    let Value::Map(fields) = document.value else {
        return Err("expected fields such as name: and range:".to_owned());
    };
    metadata(name, &Fields(&fields))
}

fn metadata(name: &WorkshopName, fields: &Fields<'_>) -> Result<Workshop, String> {
    Ok(Workshop {
        id: 0,
        name: name.clone(),
        title: fields
            .text("name")?
            .unwrap_or_else(|| name.as_str().to_owned()),
        capacity: fields.number("capacity")?.unwrap_or(0),
        range: fields.range()?,
        reset: fields.flag("reset")?,
        ldap: fields.flag("ldap")?,
        varpass: fields.flag("varpass")?,
        monoappliance: fields.flag("monoappliance")?,
        multiappliance: fields.flag("multiappliance")?,
        compile: fields.compile()?,
        duration: fields.number("duration")?,
        cpu_minutes: fields.number("cpu_minutes")?,
        active: fields.flag("active")?,
    })
}

struct Fields<'a>(&'a Map);

impl Fields<'_> {
    fn text(&self, field: &str) -> Result<Option<String>, String> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text) | Value::Unsafe(text)) => Ok(Some(text.clone())),
            Some(Value::Int(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(format!("field {field}: expected a text")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<u32>, String> {
        let number = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Int(number)) => u32::try_from(*number).ok(),
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number
            .map(Some)
            .ok_or_else(|| format!("field {field}: expected a whole number"))
    }

    fn flag(&self, field: &str) -> Result<bool, String> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(format!("field {field}: expected true or false")),
        }
    }

    /// `[1,10]`; and `[1-10]`, which is a text with a dash, as `[1,10]`.
    fn range(&self) -> Result<Option<StudentRange>, String> {
        const EXPECTED: &str = "field range: expected two student numbers as [1,10]";
        let ends: Vec<u32> = match self.0.get("range") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::List(items)) => match items.as_slice() {
                [Value::Text(text)] => dashed(text),
                items => items.iter().filter_map(whole).collect(),
            },
            Some(Value::Text(text)) => dashed(text),
            Some(_) => Vec::new(),
        };
        let [first, last] = ends[..] else {
            return Err(EXPECTED.to_owned());
        };
        let student = |number| Student::new(number).map_err(|_| EXPECTED.to_owned());
        StudentRange::new(student(first)?, student(last)?)
            .map(Some)
            .map_err(|e| format!("field range: {e}"))
    }

    /// Null, `"false"` or empty for none, else names with commas between them.
    fn compile(&self) -> Result<Vec<String>, String> {
        match self.0.get("compile") {
            None | Some(Value::Null | Value::Bool(false)) => Ok(Vec::new()),
            Some(Value::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(Vec::new()),
            Some(Value::Text(text)) => Ok(text
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()),
            Some(_) => Err("field compile: expected the names of scripts".to_owned()),
        }
    }
}

fn whole(value: &Value) -> Option<u32> {
    match value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn dashed(text: &str) -> Vec<u32> {
    text.trim_matches(['[', ']'])
        .split(['-', ','])
        .filter_map(|end| end.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Workshop, String> {
        let document = inventory::from_str(METADATA, text).unwrap();
        let Value::Map(fields) = document.value else {
            panic!("no fields")
        };
        metadata(&"WKSHP-X".parse().unwrap(), &Fields(&fields))
    }

    #[test]
    fn fields_are_read_as_sites_write_them() {
        let workshop = read(
            "%YAML 1.1\n---\nname: A title\nactive: yes\ncapacity: '20'\nrange: [1981-1985]\n\
             reset: \"false\"\nldap: true\ncompile: a.sh, b.sh\nduration: 4\n\
             cpu_minutes: 90\n",
        )
        .unwrap();
        assert_eq!(workshop.title, "A title");
        assert_eq!((workshop.capacity, workshop.duration), (20, Some(4)));
        assert_eq!(workshop.cpu_minutes, Some(90));
        assert_eq!(workshop.range.unwrap().to_string(), "1981,1985");
        assert_eq!(
            (workshop.active, workshop.reset, workshop.ldap),
            (true, false, true)
        );
        assert_eq!(workshop.compile, ["a.sh", "b.sh"]);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (text, field) in [
            ("range: [5,1]", "range"),
            ("range: [1]", "range"),
            ("range: 0-5", "range"),
            ("reset: maybe", "reset"),
            ("capacity: many", "capacity"),
            ("cpu_minutes: -5", "cpu_minutes"),
            ("compile: [a]", "compile"),
        ] {
            assert!(read(text).unwrap_err().contains(field), "{text}");
        }
    }
}
