//! `wod status`: how the backend is, in a few lines.

use serde_json::json;

use crate::cli::{Exit, journal_of, print_json};
use crate::journal::{Filter, Stage};
use crate::ports::Registry;
use crate::site::{Site, Source};

#[derive(clap::Args)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    site.warn();
    let journal = journal_of(&site)?;
    let running = site.state.is_engine_running();
    let mut held = Vec::new();
    let (mut waiting, mut at_work, mut retrying) = (0, 0, 0);
    for row in journal.list(Filter::Open)? {
        match journal.follow(row.id)?.state.stage {
            Stage::Held => held.push(row.id),
            Stage::Retrying => retrying += 1,
            Stage::Running => at_work += 1,
            _ => waiting += 1,
        }
    }
    let hub = site.hub().and_then(|hub| hub.check());
    let spooled = spooled(&site);
    let seats = journal.seats()?;
    let taken = seats.iter().filter(|seat| seat.assigned).count();
    let workshops = site
        .ports(&journal)
        .and_then(|ports| Registry::workshops(&*ports.registry))
        .map_or(0, |all| all.len());
    let letters = journal.letters()?.len();
    if args.json {
        print_json(&json!({
            "engine": running, "hub": hub.is_ok(), "spooled": spooled, "waiting": waiting,
            "running": at_work, "retrying": retrying, "held": held, "seats_taken": taken,
            "seats": site.settings.window.0.count(), "workshops": workshops,
            "unsent_mail": letters,
        }));
    } else {
        let hub = hub.map_or_else(|fault| fault.line(), |()| "answers".to_owned());
        let engine = match running {
            true => "runs",
            false => "does not run; start wod serve",
        };
        outln!("engine     {engine}");
        outln!("hub        {hub}");
        outln!(
            "spool      {}",
            spooled.map_or("unreadable".to_owned(), |n| n.to_string())
        );
        outln!(
            "actions    {at_work} running, {waiting} waiting, {retrying} retrying, {} held",
            held.len()
        );
        for id in &held {
            outln!("           held: wod actions show {id}");
        }
        outln!(
            "seats      {taken} of {} taken",
            site.settings.window.0.count()
        );
        outln!("workshops  {workshops}");
        if letters > 0 {
            outln!("mail       {letters} to the admin cannot be sent yet");
        }
    }
    Ok(match running && held.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn spooled(site: &Site) -> Option<usize> {
    let entries = std::fs::read_dir(site.state.spool()).ok()?;
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    Some(
        names
            .filter(|name| name.as_encoded_bytes().ends_with(b".action"))
            .count(),
    )
}
