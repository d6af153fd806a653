//! `wod students verify`: what is left of whoever had a seat, all over this host. Only looks.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{Exit, NotReady, print_json};
use crate::domain::Student;
use crate::inventory::AccountsKind;
use crate::journal::Journal;
use crate::ports::Search;
use crate::safefs::shown;
use crate::site::Site;

#[derive(clap::Args)]
pub struct Args {
    /// The seat's number, e.g. 12
    student: Student,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What was found, one line each.
#[derive(Default)]
struct Report {
    /// Must not be there when the seat is free.
    left: Vec<String>,
    /// Worth knowing, and as it should be.
    notes: Vec<String>,
}

pub fn run(args: &Args, site: &Site, journal: &Journal) -> anyhow::Result<Exit> {
    if site.settings.accounts == AccountsKind::System && !rustix::process::geteuid().is_root() {
        let line = "only root sees all files and processes of a student; use sudo";
        return Err(NotReady(anyhow::anyhow!(line)).into());
    }
    let report = look(args.student, site, journal)?;
    let clean = report.left.is_empty();
    let account = args.student.account();
    if args.json {
        print_json(&json!({
            "student": args.student, "account": account, "clean": clean,
            "left": report.left, "notes": report.notes,
        }));
    } else {
        report.left.iter().for_each(|line| outln!("left  {line}"));
        report.notes.iter().for_each(|line| outln!("note  {line}"));
        match report.left.len() {
            0 => outln!("{account} is free and clean"),
            n => outln!("{account} is not clean: {n} left"),
        }
    }
    Ok(match clean {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn look(student: Student, site: &Site, journal: &Journal) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let account = student.account();
    let seats = journal.seats()?;
    if let Some(seat) = seats
        .iter()
        .find(|seat| seat.student == student && seat.assigned)
    {
        let who = seat.participant.as_ref();
        let who = who.map_or_else(
            || "somebody".to_owned(),
            |who| format!("participant {}", who.id),
        );
        report.left.push(format!("seat taken by {who}"));
    }
    let homes = site.homes()?;
    let home = homes.path(&account);
    if homes.exists(&account)? {
        report.left.push(format!("home {}", home.display()));
    }
    let accounts = site.accounts()?;
    report.left.extend(accounts.leftovers(student)?);
    report.left.extend(site.hub()?.leftovers(student)?);
    let trash = homes.thrown_away(&account)?;
    for place in &trash {
        report
            .notes
            .push(format!("home in the trash {}", shown(place)));
    }
    let known: Vec<PathBuf> = trash.into_iter().chain([home]).collect();
    report.add_files(&accounts.search(student, &known)?);
    report.notes.push(match accounts.is_locked(student)? {
        true => "no password opens the account".to_owned(),
        // Of a free seat, one that was told to nobody.
        false => "a password opens the account".to_owned(),
    });
    Ok(report)
}

impl Report {
    /// Those that no other line tells of.
    fn add_files(&mut self, search: &Search) {
        let told = |path: &Path| {
            let path = shown(path);
            self.left
                .iter()
                .any(|line| line.split_once(' ').is_some_and(|(_, of)| of == path))
        };
        let files = search.found.iter();
        let lines: Vec<String> = files
            .filter(|path| !told(path))
            .map(|path| format!("file {}", shown(path)))
            .collect();
        self.left.extend(lines);
        for place in &search.left_out {
            self.notes.push(format!(
                "nobody looked into {}: not of this host",
                shown(place)
            ));
        }
    }
}
