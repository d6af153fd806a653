//! `wod students`: who sits where, and whether nothing is left of who sat there.

mod ban;
mod verify;

use serde_json::json;

use crate::cli::{Exit, journal_of, print_json, print_table};
use crate::journal::SeatRow;
use crate::ports::ParticipantRecord;
use crate::site::{Site, Source};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the seats that were ever used [the default]
    List {
        /// Only seats that are taken
        #[arg(long)]
        taken: bool,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Say what is left of a seat's guests, all over this host; changes nothing
    ///
    /// Exits with 0 when the seat is free and clean, with 1 when it is not.
    Verify(verify::Args),
    /// Refuse a participant's CREATE from now on; a seat that they have stays theirs
    Ban(ban::BanArgs),
    /// Let a participant have seats again
    Unban(ban::UnbanArgs),
    /// List who is banned
    Banned(ban::ListArgs),
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let journal = journal_of(&site)?;
    let (taken, json) = match &args.command {
        None => (false, false),
        Some(Command::List { taken, json }) => (*taken, *json),
        Some(Command::Verify(args)) => return verify::run(args, &site, &journal),
        Some(Command::Ban(args)) => return ban::ban(args, &journal),
        Some(Command::Unban(args)) => return ban::unban(args, &journal),
        Some(Command::Banned(args)) => return ban::list(args, &journal),
    };
    let seats = journal.seats()?;
    let shown: Vec<&SeatRow> = seats
        .iter()
        .filter(|seat| seat.assigned || !taken)
        .collect();
    if json {
        shown.iter().for_each(|seat| print_json(&object(seat)));
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        [
            "student",
            "seat",
            "participant",
            "workshop",
            "state",
            "completed",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(shown.into_iter().map(row));
    print_table(&rows);
    Ok(Exit::Done)
}

fn row(seat: &SeatRow) -> Vec<String> {
    let who = seat.participant.as_ref();
    let none = || "-".to_owned();
    vec![
        seat.student.account(),
        if seat.assigned { "taken" } else { "free" }.to_owned(),
        who.map_or_else(none, |who| who.id.to_string()),
        who.and_then(|who| who.workshop.as_ref())
            .map_or_else(none, ToString::to_string),
        who.map_or_else(none, |who| state(who).to_owned()),
        who.and_then(|who| who.completion)
            .map_or_else(none, |percent| format!("{percent} %")),
    ]
}

fn state(who: &ParticipantRecord) -> &'static str {
    match (who.cleaned, who.active) {
        (true, _) => "cleaned",
        (false, true) => "active",
        (false, false) => "not active",
    }
}

fn object(seat: &SeatRow) -> serde_json::Value {
    let who = seat.participant.as_ref();
    json!({
        "student": seat.student,
        "account": seat.student.account(),
        "assigned": seat.assigned,
        "participant": who.map(|who| who.id),
        "workshop": who.and_then(|who| who.workshop.as_ref()),
        "active": who.map(|who| who.active),
        "cleaned": who.map(|who| who.cleaned),
        "completion": who.and_then(|who| who.completion),
    })
}
