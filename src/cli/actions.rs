//! `wod actions`: what was asked for, how far it is, and what to do about it.

use anyhow::bail;
use serde_json::json;

use crate::cli::{Exit, journal_of, print_json, print_table};
use crate::domain::{ActionId, Time};
use crate::intake::one_line;
use crate::journal::{ActionRow, Durability, Event, Filter, Journal, Stage, State};
use crate::site::{Site, Source};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List actions that are not over [the default]
    List(ListArgs),
    /// Show one action: its plan, how far it is, what happened to it
    Show {
        id: ActionId,
        #[arg(long)]
        json: bool,
    },
    /// Let a held action go on at the step where it was held
    Retry { id: ActionId },
    /// End an action: its seat is made safe, the rest of its steps is left out
    Cancel { id: ActionId },
}

#[derive(clap::Args)]
struct ListArgs {
    /// The newest actions, over or not
    #[arg(long)]
    all: bool,
    /// How many with --all
    #[arg(long, default_value_t = 50, value_name = "N", requires = "all")]
    most: u32,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let journal = journal_of(&site)?;
    match &args.command {
        None => list(&journal, &args.list),
        Some(Command::List(args)) => list(&journal, args),
        Some(Command::Show { id, json }) => show(&journal, *id, *json),
        Some(Command::Retry { id }) => retry(&site, &journal, *id),
        Some(Command::Cancel { id }) => cancel(&site, &journal, *id),
    }
}

fn list(journal: &Journal, args: &ListArgs) -> anyhow::Result<Exit> {
    let filter = match args.all {
        true => Filter::Newest(args.most),
        false => Filter::Open,
    };
    let mut rows = Vec::new();
    for row in journal.list(filter)? {
        let state = journal.follow(row.id)?.state;
        match args.json {
            true => print_json(&summary(&row, &state)),
            false => rows.push(vec![
                row.id.to_string(),
                row.accepted.to_string(),
                state.stage.as_str().to_owned(),
                progress(&state),
                one_line(&row.action),
                state.line.unwrap_or_default(),
            ]),
        }
    }
    if args.json {
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        outln!("no actions; see wod actions list --all");
        return Ok(Exit::Done);
    }
    let head = ["id", "accepted", "state", "step", "action", "problem"];
    rows.insert(0, head.map(str::to_owned).to_vec());
    print_table(&rows);
    Ok(Exit::Done)
}

fn show(journal: &Journal, id: ActionId, json: bool) -> anyhow::Result<Exit> {
    let row = journal.action(id)?;
    let state = journal.follow(id)?.state;
    if json {
        let mut value = summary(&row, &state);
        value["plan"] = serde_json::to_value(&state.plan)?;
        print_json(&value);
        return Ok(Exit::Done);
    }
    outln!("action {id}: {}", one_line(&row.action));
    outln!("accepted  {} over {}", row.accepted, row.route);
    outln!("state     {}", state.stage.as_str());
    if let Some(line) = &state.line {
        outln!("problem   {line}");
    }
    if state.stage == Stage::Held {
        outln!("go on     wod actions retry {id}");
        outln!("give up   wod actions cancel {id}");
    }
    if let Some(plan) = &state.plan {
        outln!("plan");
        for (place, step) in plan.steps.iter().enumerate() {
            outln!("{:>4}  {:<9} {step}", place + 1, mark(&state, place));
        }
    }
    outln!("events");
    for happening in journal.happenings(id)? {
        if let Some(text) = told(&happening.event) {
            outln!("  {}  {text}", happening.at);
        }
    }
    Ok(Exit::Done)
}

fn mark(state: &State, place: usize) -> String {
    match state.took.get(place) {
        Some(took) => format!("{took} ms"),
        None if place == state.next && !state.stage.is_over() => state.stage.as_str().to_owned(),
        None => "-".to_owned(),
    }
}

/// Steps stand in the plan already.
fn told(event: &Event) -> Option<String> {
    Some(match event {
        Event::StepDone { .. } => return None,
        Event::Planned { plan } => format!("planned, {} steps", plan.steps.len()),
        Event::Measured {
            student,
            completion,
        } => format!("student{student} executed {completion} % of the code cells"),
        Event::Failed { line, retry } => format!("failed, again at {retry}: {line}"),
        Event::Held { line } => format!("held: {line}"),
        Event::Retried => "the admin let it go on".to_owned(),
        Event::CancelAsked => "the admin wants it to end".to_owned(),
        Event::Cancelled => "cancelled".to_owned(),
        Event::Refused { line } => format!("refused: {line}"),
        Event::Done => "done".to_owned(),
        Event::Broken { line, .. } => format!("lost in part: {line}"),
    })
}

fn retry(site: &Site, journal: &Journal, id: ActionId) -> anyhow::Result<Exit> {
    journal.retry(id, Time::now())?;
    wake(site, format!("action {id} goes on"));
    Ok(Exit::Done)
}

fn cancel(site: &Site, journal: &Journal, id: ActionId) -> anyhow::Result<Exit> {
    let mut cursor = journal.follow(id)?;
    journal.action(id)?;
    if cursor.state.stage.is_over() {
        bail!("action {id} is {} already", cursor.state.stage.as_str());
    }
    let now = Time::now();
    journal.record(&mut cursor, &Event::CancelAsked, now, Durability::Power)?;
    wake(site, format!("action {id} will be cancelled"));
    Ok(Exit::Done)
}

fn wake(site: &Site, done: String) {
    site.state.wake_engine();
    match site.state.is_engine_running() {
        true => outln!("{done}"),
        false => outln!("{done} as soon as wod serve runs; it does not now"),
    }
}

/// `4/17`, or nothing without a plan.
pub fn progress(state: &State) -> String {
    match &state.plan {
        Some(plan) => format!("{}/{}", state.next, plan.steps.len()),
        None => String::new(),
    }
}

/// An action and its state, for scripts.
pub fn summary(row: &ActionRow, state: &State) -> serde_json::Value {
    json!({
        "id": row.id,
        "action": row.action.verb,
        "student": row.students.first(),
        "last_student": row.students.last(),
        "participant": row.action.participant,
        "workshop": row.action.workshop,
        "state": state.stage,
        "step": state.next,
        "steps": state.plan.as_ref().map(|plan| plan.steps.len()),
        "problem": state.line,
        "accepted": row.accepted,
        "completion": state.completion.values().next(),
        "took_ms": state.took.iter().sum::<u64>(),
    })
}
