//! `wod deliver history`: the last runs, what they changed and what failed.

use anyhow::bail;
use serde_json::{Value, json};

use crate::cli::{Exit, print_json, print_table};
use crate::deliver::{Outcome, Past, post};
use crate::site::{Site, Source};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// One JSON object per run
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show one run: what it changed, what failed and why, what programs printed
    Show {
        run: u64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    match &args.command {
        None => list(&site, args.json)?,
        Some(Command::Show { run, json }) => {
            let Some(past) = site.history().get(*run)? else {
                bail!("there is no run {run} in the history; see wod deliver history");
            };
            let newest = site.history().newest()?;
            show(&past, state(&past, is_now(&site, &past, newest)), *json);
        }
    }
    Ok(Exit::Done)
}

fn list(site: &Site, as_json: bool) -> anyhow::Result<()> {
    let all = site.history().all()?;
    let newest = all.first().map(|past| past.run);
    let state_of = |past: &Past| state(past, is_now(site, past, newest));
    if as_json {
        all.iter()
            .for_each(|past| print_json(&summary(past, state_of(past))));
        return Ok(());
    }
    if all.is_empty() {
        outln!("no run of wod deliver is kept here");
        return Ok(());
    }
    let head = ["run", "begun", "by", "state", "changed", "failed", "tags"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|past| {
        vec![
            past.run.to_string(),
            past.begun.at.to_string(),
            past.begun.by.clone(),
            state_of(past).to_owned(),
            past.count(Outcome::Changed).to_string(),
            past.count(Outcome::Failed).to_string(),
            tags(past),
        ]
    }));
    print_table(&rows);
    Ok(())
}

/// Only the newest run can be on its way.
fn is_now(site: &Site, past: &Past, newest: Option<u64>) -> bool {
    past.end.is_none() && newest == Some(past.run) && site.state.is_deliver_running()
}

fn state(past: &Past, is_now: bool) -> &'static str {
    match () {
        () if is_now => "running",
        () if past.end.is_none() => "killed",
        () if past.was_interrupted() => "stopped",
        () if past.count(Outcome::Failed) > 0 => "failed",
        () => "done",
    }
}

fn tags(past: &Past) -> String {
    match past.begun.tags.is_empty() {
        true => "all".to_owned(),
        false => past.begun.tags.join(","),
    }
}

fn summary(past: &Past, state: &str) -> Value {
    json!({
        "run": past.run,
        "begun": past.begun.at,
        "ended": past.end.as_ref().map(|end| end.at),
        "by": past.begun.by,
        "tags": past.begun.tags,
        "state": state,
        "recap": past.end.as_ref().map(|end| &end.recap),
    })
}

fn show(past: &Past, state: &str, as_json: bool) {
    if as_json {
        let mut all = summary(past, state);
        all["events"] = json!(past.events);
        all["left_out"] = json!(past.end.as_ref().map(|end| end.left_out));
        return print_json(&all);
    }
    outln!("run       {}", past.run);
    outln!("begun     {} by {}", past.begun.at, past.begun.by);
    match &past.end {
        Some(end) => {
            let took = end.at.since(past.begun.at).as_secs_f64();
            outln!("ended     {} after {took:.1} s", end.at);
        }
        None if state == "killed" => {
            outln!("ended     never: it was killed, or the host went down")
        }
        None => {}
    }
    outln!("state     {state}");
    outln!("tags      {}\n", tags(past));
    past.events
        .iter()
        .for_each(|event| out!("{}", post::entry(event)));
    if let Some(end) = &past.end {
        if end.left_out > 0 {
            outln!("and {} more, which were not kept", end.left_out);
        }
        out!("\n{}", post::recap(&end.recap));
    }
}
