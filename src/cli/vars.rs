//! `wod vars`: variables as templates and scripts get them, where each comes from, no secrets.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::adapters::mask::Masker;
use crate::cli::{Exit, print_json};
use crate::domain::near::nearest;
use crate::domain::{AskedWorkshop, Secret, Student};
use crate::inventory::is_secret_name;
use crate::site::{self, Site, Source};
use crate::templates::Scope;

const MASKED: &str = "***";
/// Shorter texts are found by accident in any other.
const SHORTEST_SECRET: usize = 4;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  wod vars                                        all variables of the inventory
  wod vars WODUSERMAX WODBEAPIURL --origin        two of them, with file and line
  wod vars --workshop WKSHP-API101 --student 12   what a seat's notebooks are rendered with
  wod vars ansible_distribution ansible_fqdn      facts about this host, by name

Values out of a vault and those of names with PWD, PASS, TOKEN or SECRET are shown as ***,
also inside other values. A name that looks like a mistyped setting is warned of.")]
pub struct Args {
    /// Only these [default: all but the facts]
    names: Vec<String>,
    /// As a seat of this workshop sees them
    #[arg(long, requires = "student")]
    workshop: Option<AskedWorkshop>,
    /// The seat's local student number
    #[arg(long, requires = "workshop")]
    student: Option<u32>,
    /// Add file and line, and the places whose value it beats
    #[arg(long)]
    origin: bool,
    /// One JSON object by name
    #[arg(long)]
    json: bool,
}

/// A variable to be shown.
struct Shown {
    name: String,
    value: Value,
    origin: Option<String>,
    beaten: Vec<String>,
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let (scope, wrong) = match (&args.workshop, args.student) {
        (Some(workshop), Some(number)) => {
            let site = Site::load(source)?;
            site.warn();
            let student = Student::new(number).context("--student")?;
            (site.preview_scope(Some(workshop), student)?, None)
        }
        _ => match Site::load(source) {
            Ok(site) => {
                site.warn();
                (site.variables().clone(), None)
            }
            // To be seen is what mends it.
            Err(wrong) => match site::variables(source) {
                Ok(scope) => (scope, Some(wrong)),
                Err(_) => return Err(wrong.into()),
            },
        },
    };
    let (all, masker, failed) = resolve(&scope, &args.names)?;
    let shown: Vec<Shown> = all
        .into_iter()
        .map(|shown| Shown {
            value: masked(&shown.value, &masker),
            ..shown
        })
        .collect();
    match args.json {
        true => print_json(&object(&shown, args.origin)),
        false => shown.iter().for_each(|one| print(one, args.origin)),
    }
    let wrong = wrong.map(|wrong| wrong.to_string());
    let is_told = |name: &str| {
        let told = format!("{name} cannot be resolved");
        wrong.as_ref().is_some_and(|wrong| wrong.contains(&told))
    };
    let lines = failed.iter().filter(|(name, _)| !is_told(name));
    for line in lines.map(|(_, line)| line).chain(&wrong) {
        errln!("wod: {}", masker.clone().mask(line));
    }
    Ok(match failed.is_empty() && wrong.is_none() {
        true => Exit::Done,
        false => Exit::Configuration,
    })
}

type Resolved = (Vec<Shown>, Masker, Vec<(String, String)>);

/// The wanted variables, what hides the secrets among all of them, and a name and a line for each
/// wanted one that has no value.
fn resolve(scope: &Scope, wanted: &[String]) -> anyhow::Result<Resolved> {
    let names = scope.names();
    let mut secrets = Vec::new();
    let mut shown = Vec::new();
    let mut failed = Vec::new();
    let facts = wanted.iter().filter(|name| !names.contains(*name));
    for name in names.iter().chain(facts) {
        let is_wanted = wanted.is_empty() || wanted.contains(name);
        let (value, is_secret) = match scope.get_with_secrecy(name) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let near = nearest(name, names.iter().map(String::as_str));
                let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                bail!("variable {name} is not set{hint}");
            }
            Err(error) if is_wanted => {
                failed.push((name.clone(), error.to_string()));
                continue;
            }
            Err(_) => continue,
        };
        let value = hidden(value, is_secret || is_secret_name(name), &mut secrets);
        if is_wanted {
            let stated = scope.stated(name);
            let origin = stated.map(|variable| &variable.origin);
            let beaten = stated.into_iter().flat_map(|variable| &variable.beaten);
            shown.push(Shown {
                name: name.clone(),
                value,
                origin: origin
                    .filter(|place| place.is_some())
                    .map(ToString::to_string),
                beaten: beaten.map(ToString::to_string).collect(),
            });
        }
    }
    Ok((shown, Masker::new(&secrets), failed))
}

/// The value without its secrets, which go to `secrets`.
fn hidden(value: Value, is_secret: bool, secrets: &mut Vec<Secret>) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| hidden(item, is_secret, secrets))
            .collect(),
        Value::Object(map) => {
            let pairs = map.into_iter().map(|(key, item)| {
                let is_secret = is_secret || is_secret_name(&key);
                let item = hidden(item, is_secret, secrets);
                (key, item)
            });
            Value::Object(pairs.collect())
        }
        Value::String(text) if text.is_empty() => Value::String(text),
        Value::Null => Value::Null,
        scalar if is_secret => {
            let text = plain(&scalar);
            if text.len() >= SHORTEST_SECRET {
                secrets.push(Secret::new(text));
            }
            json!(MASKED)
        }
        open => open,
    }
}

fn masked(value: &Value, masker: &Masker) -> Value {
    match value {
        Value::String(text) => json!(masker.clone().mask(text)),
        Value::Array(items) => items.iter().map(|item| masked(item, masker)).collect(),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, item)| (key.clone(), masked(item, masker)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn object(shown: &[Shown], with_origin: bool) -> Value {
    let pairs = shown.iter().map(|one| {
        let value = match with_origin {
            false => one.value.clone(),
            true => json!({"value": one.value, "origin": one.origin, "beats": one.beaten}),
        };
        (one.name.clone(), value)
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// `NAME: value`, and the places below it. The value is JSON, so that it stays on its line.
fn print(shown: &Shown, with_origin: bool) {
    outln!("{}: {}", shown.name, shown.value);
    if with_origin {
        let none = "not from a file".to_owned();
        outln!("    {}", shown.origin.as_ref().unwrap_or(&none));
        for place in &shown.beaten {
            outln!("    beats {place}");
        }
    }
}
