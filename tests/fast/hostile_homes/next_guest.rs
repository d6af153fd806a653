//! A workshop is published into a hostile home, as if its things had been planted between the
//! fresh home and the content; then it is erased, and the next guest's seat is made.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::time::Duration;

use wod::content::{Admin, Homes, HomesConfig, Publisher, PublisherConfig};
use wod::domain::Time;
use wod::ports::{Account, Disposition, Fault};

use super::{Accounts, proper};

/// What the student must find: path below the workshop's directory, and text.
const CONTENT: [(&str, &str); 6] = [
    ("0-ReadMeFirst.ipynb", "{\"seat\": 7}\n"),
    ("notes.txt", "as it is: {{ STDID }}\n"),
    ("data/deep/values.csv", "1,2,3\n"),
    ("data/Variables.ps1", "$seat = 7\n"),
    ("check.sh", "#!/bin/sh\necho seat 7\n"),
    (
        ".ipynb_checkpoints/0-ReadMeFirst-checkpoint.ipynb",
        "{\"seat\": 7}\n",
    ),
];

/// The parts of a backend that make and unmake a home.
pub struct Seat {
    pub homes: Homes,
    pub publisher: Publisher,
    pub account: Account,
}

impl Seat {
    /// A seat whose home is `homes/student`, and beside `homes` the workshop WKSHP-Sample.
    pub fn new(homes: &Path, who: Accounts) -> Seat {
        let site = homes.parent().expect("a case's directory");
        let workshops = site.join("workshops");
        make_workshop(&workshops, who);
        let (scratch, skeleton) = (site.join("scratch"), site.join("skeleton"));
        for dir in [&scratch, &skeleton] {
            fs::create_dir_all(dir).expect("mkdir");
        }
        fs::write(skeleton.join(".profile"), "umask 077\n").expect("write");
        let admin = who.root.then(|| Admin {
            uid: who.wod,
            gid: who.wod,
            groups: Vec::new(),
        });
        Seat {
            homes: Homes::new(HomesConfig {
                students: homes.to_owned(),
                skeletons: vec![skeleton],
                admin: admin.clone(),
                keep: Duration::ZERO,
                scratch,
            }),
            publisher: Publisher::new(PublisherConfig {
                public: workshops,
                private: None,
                admin,
            }),
            account: Account {
                name: "student".to_owned(),
                uid: who.student,
                gid: who.gid,
            },
        }
    }

    pub fn publish(&self) -> Result<(), Fault> {
        let asked = "WKSHP-Sample".parse().expect("a workshop's name");
        let render = |_: &str, text: &str, _: Option<wod::templates::Include>| {
            Ok(text.replace("{{ STDID }}", "7"))
        };
        let home = self.homes.open(&self.account.name)?;
        self.publisher.publish(&asked, &home, &render)
    }

    pub fn fresh(&self) -> Result<(), Fault> {
        self.homes.fresh(&self.account, Time::now())
    }

    pub fn own(&self) -> Result<(), Fault> {
        self.homes.own(&self.account)
    }

    pub fn erase(&self) -> Result<(), Fault> {
        self.homes.erase(&self.account.name, Time::now())
    }
}

fn make_workshop(workshops: &Path, who: Accounts) {
    let dir = workshops.join("WKSHP-Sample");
    fs::create_dir_all(dir.join("data/deep")).expect("mkdir");
    for (path, text) in CONTENT.iter().filter(|(path, _)| !path.starts_with('.')) {
        let text = match path.ends_with(".txt") {
            true => (*text).to_owned(),
            false => text.replace('7', "{{ STDID }}"),
        };
        fs::write(dir.join(path), text).expect("write");
    }
    symlink("data/deep/values.csv", dir.join("link")).expect("link");
    // Read as WODUSER, whom the usual temporary directory would keep out.
    for dir in [workshops.parent().expect("a case's directory"), workshops] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    if who.root {
        lchown(&dir, Some(who.wod), Some(who.wod)).expect("chown");
    }
}

pub fn exercise(homes: &Path, who: Accounts, refused: Option<&str>) -> Result<(), String> {
    let seat = Seat::new(homes, who);
    let home = homes.join("student");
    match (seat.publish(), refused) {
        (Ok(()), None) => {
            complete(&home)?;
            // A hard link that is left must be refused, all else be the student's.
            match seat.own() {
                Ok(()) => proper(homes, who)?,
                Err(fault) => clear("own", &fault)?,
            }
        }
        (Ok(()), Some(text)) => return Err(format!("was not refused: {text}")),
        (Err(fault), Some(text)) if fault.line().contains(text) => clear("publish", &fault)?,
        (Err(fault), _) => return Err(format!("publish: {}", fault.chain())),
    }
    next(&seat, homes, who)
}

/// One line that names what is in the way; not one of those that pass by themselves.
fn clear(what: &str, fault: &Fault) -> Result<(), String> {
    let line = fault.line();
    let fits = line.len() < 600 && !line.contains(|c: char| c.is_control());
    match fits && line.contains("student") && fault.disposition == Disposition::Violation {
        true => Ok(()),
        false => Err(format!("{what}: not a clear fault: {fault:?}")),
    }
}

/// The home goes, and the next guest's is what it has to be.
fn next(seat: &Seat, homes: &Path, who: Accounts) -> Result<(), String> {
    let said = |what: &'static str| move |fault: Fault| format!("{what}: {}", fault.chain());
    seat.erase().map_err(said("erase"))?;
    if homes.join("student").symlink_metadata().is_ok() {
        return Err("the home is still there".into());
    }
    seat.fresh().map_err(said("fresh"))?;
    seat.publish().map_err(said("the next publish"))?;
    seat.own().map_err(said("the next own"))?;
    proper(homes, who)?;
    complete(&homes.join("student"))?;
    let expected = [".jupyter", ".profile", ".ssh", "WKSHP-Sample"];
    if names(&homes.join("student"))? != expected {
        return Err(format!(
            "the next guest finds {:?}",
            names(&homes.join("student"))
        ));
    }
    seat.homes
        .empty_trash(Time::now())
        .map_err(said("empty_trash"))?;
    match names(&homes.join(".wod/trash"))? {
        left if left.is_empty() => Ok(()),
        left => Err(format!("the trash has {left:?}")),
    }
}

fn names(dir: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Each file is there, is one file of its own, and says what it should.
pub fn complete(home: &Path) -> Result<(), String> {
    let dir = home.join("WKSHP-Sample");
    for (path, text) in CONTENT {
        let path = dir.join(path);
        let wrong = |what: &str| Err(format!("{}: {what}", path.display()));
        match path.symlink_metadata() {
            Err(e) => return wrong(&e.to_string()),
            Ok(file) if !file.is_file() => return wrong("not a file"),
            Ok(file) if file.nlink() != 1 => return wrong("has another name"),
            Ok(_) => {}
        }
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            return wrong("has another text");
        }
    }
    let workspace = home
        .join(".jupyter/lab/workspaces")
        .join(OsStr::new("default-37a8.jupyterlab-workspace"));
    match workspace.symlink_metadata() {
        Ok(file) if file.is_file() => Ok(()),
        other => Err(format!("{}: {other:?}", workspace.display())),
    }
}
