//! `wod facts`: what workshop scripts ask for, by `functions.sh`. Needs no right but to read what
//! the engine publishes.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::cli::{Exit, NotReady, print_json};
use crate::domain::{Participant, Workshop};
use crate::site::{Facts, NoFacts, Site, Source, State};

const ABOUT: &str = "\
Fields of a workshop: id, name, title, range-min, range-max, capacity, reset, ldap, varpass,
monoappliance, multiappliance, compile, duration, cpu_minutes, active.
Of a participant: student, cleaned.
What is not set is printed as null. Participants are known as long as they have a seat.

Scripts call the functions of functions.sh instead: source functions.sh; wod_get_range_min $wid";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The state directory [default: the inventory's]
    #[arg(long, global = true, env = "WODSTATEDIR", value_name = "DIR")]
    state: Option<PathBuf>,
    /// One JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Facts of a workshop, or one of them
    Workshop {
        #[arg(value_name = "ID|NAME")]
        workshop: String,
        field: Option<String>,
    },
    /// Facts of a participant, or one of them
    Participant {
        #[arg(value_name = "ID")]
        participant: Participant,
        field: Option<String>,
    },
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let dir = match &args.state {
        Some(dir) => State::new(dir).public(),
        None => Site::load(source)?.state.public(),
    };
    let facts = Facts::read(&dir).map_err(|e| match e {
        NoFacts::NotYet(_) => anyhow::Error::from(NotReady(e.into())),
        e => e.into(),
    })?;
    let (found, field) = match &args.command {
        Command::Workshop { workshop, field } => {
            let found = facts.workshop(workshop).with_context(|| {
                let asked = crate::domain::quoted(workshop);
                format!("there is no workshop {asked}; run wod workshops list")
            })?;
            (of_workshop(found), field)
        }
        Command::Participant { participant, field } => {
            let found = facts.participants.get(participant).with_context(|| {
                format!("participant {participant} has no seat here; run wod students list")
            })?;
            let found = json!({"student": found.student, "cleaned": found.cleaned});
            (found.as_object().cloned().unwrap_or_default(), field)
        }
    };
    match field {
        None if args.json => print_json(&Value::Object(found)),
        None => {
            for (name, value) in &found {
                outln!("{name:14}  {}", plain(value));
            }
        }
        Some(name) => match found.get(name) {
            Some(value) => outln!("{}", plain(value)),
            None => {
                let known: Vec<&str> = found.keys().map(String::as_str).collect();
                bail!(
                    "there is no field {name}; expected one of {}",
                    known.join(", ")
                );
            }
        },
    }
    Ok(Exit::Done)
}

fn of_workshop(workshop: &Workshop) -> Map<String, Value> {
    let compile = match workshop.compile.is_empty() {
        true => None,
        false => Some(workshop.compile.join(",")),
    };
    let facts = json!({
        "id": workshop.id,
        "name": workshop.name,
        "title": workshop.title,
        "range-min": workshop.range.map(|range| range.first()),
        "range-max": workshop.range.map(|range| range.last()),
        "capacity": workshop.capacity,
        "reset": workshop.reset,
        "ldap": workshop.ldap,
        "varpass": workshop.varpass,
        "monoappliance": workshop.monoappliance,
        "multiappliance": workshop.multiappliance,
        "compile": compile,
        "duration": workshop.duration,
        "cpu_minutes": workshop.cpu_minutes,
        "active": workshop.active,
    });
    facts.as_object().cloned().unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
