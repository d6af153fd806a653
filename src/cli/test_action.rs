//! `wod test-action`: sends the mail that a frontend would send, and can follow it to its end.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;

use crate::adapters::send_action::{self, send_action};
use crate::cli::actions::summary;
use crate::cli::follow::{Ended, View, follow};
use crate::cli::{Exit, journal_of, print_json};
use crate::domain::signature::{Demand, Keyring};
use crate::domain::{
    Action, AskedWorkshop, Participant, Seat, Secret, StudentRange, Verb, Workshop,
};
use crate::engine::plan_for;
use crate::intake::one_line;
use crate::journal::{Journal, Stage};
use crate::plan::describe;
use crate::site::{KeyFile, Site, Source};

const ABOUT: &str = "\
Sends one mail per student of MIN..MAX, or for RESET one mail for the range. Without MIN it is
the first student of the workshop's range. The mail is signed by the newest key of this site,
when there is one and you may read it.

Examples:
  wod test-action CREATE WKSHP-API101 12 --wait
  wod test-action CREATE CHLG-API101 11,20 --wait    a class of ten, as a challenge
  wod test-action RESET WKSHP-Git101 21,30 --dry-run
  wod test-action PURGE WKSHP-API101 12 --participant 825";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    /// CREATE, CLEANUP, RESET or PURGE
    action: Verb,
    /// WKSHP-… or, for its challenge variant, CHLG-…
    workshop: AskedWorkshop,
    /// Student, or first and last one: 12 or 12,15
    #[arg(value_name = "MIN[,MAX]")]
    students: Option<StudentRange>,
    /// The registry's customer id; 0 means nobody
    #[arg(long, default_value = "0", value_name = "ID")]
    participant: Participant,
    /// Goes into the subject of CREATE
    #[arg(long)]
    email: Option<String>,
    /// Follow the action to its end; for CREATE, print login, password and URL
    #[arg(long)]
    wait: bool,
    /// Print the plan, send nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Do not sign the mail, though there is a key
    #[arg(long)]
    no_sign: bool,
    /// One JSON object per action and line
    #[arg(long)]
    json: bool,
    /// Where the mail goes [default: WODSMTPLISTEN, else 127.0.0.1:WODPOSTPORT]
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<Door>,
}

/// A mail server by name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Door {
    host: String,
    port: u16,
}

impl FromStr for Door {
    type Err = String;

    fn from_str(text: &str) -> Result<Door, String> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| {
            let inner = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            // An IPv6 address without brackets has no port that could be told from it.
            let is_one = !host.is_empty() && (inner.is_some() || !host.contains(':'));
            Some((inner.unwrap_or(host), port.parse().ok()?)).filter(|_| is_one)
        });
        let (host, port) = parts.ok_or("expected HOST:PORT, such as localhost:25 or [::1]:25")?;
        let host = host.to_owned();
        Ok(Door { host, port })
    }
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Door {
        Door {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let actions = actions(args, &site)?;
    if args.dry_run {
        return dry_run(args, &site, &actions);
    }
    let config = config(args, &site)?;
    let keys = keys(args, &site)?;
    let mut message_ids = Vec::new();
    for action in &actions {
        let message_id = send_action::message_id();
        let before = match message_ids.len() {
            0 => String::new(),
            1 => "; the one before it is on its way: wod actions list --all".to_owned(),
            sent => format!("; the {sent} before it are on their way: wod actions list --all"),
        };
        let reply = send_action(&config, action, &message_id, keys.signing())
            .map_err(|e| anyhow::anyhow!("{:#}{before}", anyhow::Error::from(e)))?;
        if !reply.accepted() {
            bail!("{}: {reply}{before}", one_line(action));
        }
        if !args.wait {
            match args.json {
                true => print_json(&json!({
                    "action": action.verb, "student": first(action), "state": "accepted",
                    "message_id": message_id,
                })),
                false => outln!("{}", reply.text),
            }
        }
        message_ids.push(message_id);
    }
    match args.wait {
        true => wait(args, &site, &message_ids),
        false => Ok(Exit::Done),
    }
}

fn first(action: &Action) -> Option<u32> {
    match action.seat {
        Seat::Students(students) => Some(students.first().number()),
        Seat::OfParticipant => None,
    }
}

/// None for who may not read them: frontends without a key send plain mails, too.
fn keys(args: &Args, site: &Site) -> anyhow::Result<Arc<Keyring>> {
    let file = KeyFile::new(&site.state.keys());
    if args.no_sign || site.settings.signatures.demand == Demand::Off || !file.is_readable() {
        return Ok(Arc::default());
    }
    Ok(file.read()?)
}

/// One action for each student; RESET takes the range as one.
fn actions(args: &Args, site: &Site) -> anyhow::Result<Vec<Action>> {
    let students = match args.students {
        Some(students) => students,
        None => StudentRange::one(usual_student(args, site)?),
    };
    let seats: Vec<StudentRange> = match args.action {
        Verb::Reset => vec![students],
        _ => students.students().map(StudentRange::one).collect(),
    };
    Ok(seats
        .into_iter()
        .map(|seat| Action {
            verb: args.action,
            seat: Seat::Students(seat),
            participant: args.participant,
            email: args.email.clone(),
            workshop: Some(args.workshop.clone()),
        })
        .collect())
}

fn usual_student(args: &Args, site: &Site) -> anyhow::Result<crate::domain::Student> {
    let workshops = site.shelves()?.list()?.0;
    let known = |workshop: &&Workshop| workshop.name == args.workshop.name;
    let range = workshops.iter().find(known).and_then(|found| found.range);
    Ok(range.unwrap_or(site.settings.window.0).first())
}

fn dry_run(args: &Args, site: &Site, actions: &[Action]) -> anyhow::Result<Exit> {
    let journal = journal_of(site)?;
    let ports = site.ports(&journal)?;
    for action in actions {
        let Seat::Students(students) = action.seat else {
            continue;
        };
        site.settings.window.check(students)?;
        let plan = plan_for(&ports, action, students)?;
        match args.json {
            true => print_json(
                &json!({"action": action.verb, "student": students.first(), "plan": plan}),
            ),
            false => out!("{}\n{}", one_line(action), describe(&plan)),
        }
    }
    Ok(Exit::Done)
}

fn config(args: &Args, site: &Site) -> anyhow::Result<send_action::Config> {
    let settings = &site.settings;
    let own = settings.smtp_listen;
    let own = own.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], settings.mail_port)));
    let door = args.to.clone().unwrap_or_else(|| own.into());
    let from = settings
        .senders
        .first()
        .context("WODSENDER is not set, so no mail would be let in; set it in the inventory")?;
    let to = settings.recipients.first().unwrap_or(&settings.user);
    Ok(send_action::Config {
        host: door.host,
        port: door.port,
        from: from.clone(),
        to: match to.contains('@') {
            true => to.clone(),
            false => format!("{to}@localhost"),
        },
        timeout: Duration::from_secs(30),
    })
}

fn wait(args: &Args, site: &Site, message_ids: &[String]) -> anyhow::Result<Exit> {
    let journal = journal_of(site)?;
    let hub = site.hub()?;
    let mut exit = Exit::Done;
    let view = if args.json {
        View::Nothing
    } else {
        View::Steps
    };
    follow(&journal, message_ids, view, |ended| {
        if ended.state.stage != Stage::Done {
            exit = Exit::NotDone;
        }
        let login = login(&journal, &ended)?;
        let url = login.as_ref().and_then(|_| hub.login_url());
        match args.json {
            true => print_json(&told(&ended, login.as_ref(), url.as_deref())),
            false => print_end(&ended, login.as_ref(), url.as_deref()),
        }
        Ok(())
    })?;
    Ok(exit)
}

/// The password of a seat that was made, from the local registry.
pub fn login(journal: &Journal, ended: &Ended) -> anyhow::Result<Option<Secret>> {
    match (ended.row.action.verb, ended.state.stage) {
        (Verb::Create, Stage::Done) => Ok(journal.seat_password(ended.row.students.first())?),
        _ => Ok(None),
    }
}

pub fn told(ended: &Ended, password: Option<&Secret>, url: Option<&str>) -> serde_json::Value {
    let mut value = summary(&ended.row, &ended.state);
    if let Some(password) = password {
        value["login"] = json!({
            "url": url,
            "user": ended.row.students.first().account(),
            "password": password.expose(),
        });
    }
    value
}

fn print_end(ended: &Ended, password: Option<&Secret>, url: Option<&str>) {
    let id = ended.row.id;
    let what = one_line(&ended.row.action);
    let milliseconds: u64 = ended.state.took.iter().sum();
    match &ended.state.line {
        _ if ended.state.stage == Stage::Done => outln!("done: {what} ({milliseconds} ms)"),
        Some(line) => outln!(
            "{}: {what}: {line}; see wod actions show {id}",
            ended.state.stage.as_str()
        ),
        None => outln!(
            "{}: {what}; see wod actions show {id}",
            ended.state.stage.as_str()
        ),
    }
    if let Some(password) = password {
        if let Some(url) = url {
            outln!("  url       {url}");
        }
        outln!("  login     {}", ended.row.students.first().account());
        outln!("  password  {}", password.expose());
    }
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn a_door_has_a_name_or_an_address_and_a_port() {
        for (text, host, port) in [
            ("localhost:2525", "localhost", 2525),
            ("backend.example.org:25", "backend.example.org", 25),
            ("10.0.0.1:25", "10.0.0.1", 25),
            ("[::1]:25", "::1", 25),
        ] {
            let host = host.to_owned();
            assert_eq!(text.parse(), Ok(Door { host, port }), "{text}");
        }
        for text in [
            "localhost",
            "::1",
            "::1:25",
            ":25",
            "localhost:",
            "a:70000",
            "",
        ] {
            let told = text.parse::<Door>().unwrap_err();
            assert!(told.starts_with("expected HOST:PORT"), "{text}");
        }
    }
}
