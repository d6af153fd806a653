//! `wod workshops`: what can be given on this backend; checks are in `lint`.

use anyhow::bail;
use serde_json::json;

use crate::adapters::registry_local::Unusable;
use crate::cli::{Exit, lint, print_json, print_table};
use crate::domain::{Workshop, WorkshopName};
use crate::site::{Site, Source};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List all workshops [the default]
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show one workshop
    Show {
        name: WorkshopName,
        #[arg(long)]
        json: bool,
    },
    /// Check workshops before participants do
    Lint(lint::Args),
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    if let Some(Command::Lint(args)) = &args.command {
        return lint::run(args, source);
    }
    let site = Site::load(source)?;
    let (workshops, unusable) = site.shelves()?.list()?;
    match &args.command {
        None => list(&workshops, &unusable, false),
        Some(Command::List { json }) => list(&workshops, &unusable, *json),
        Some(Command::Show { name, json }) => show(&workshops, name, *json),
        Some(Command::Lint(args)) => lint::run(args, source),
    }
}

fn list(workshops: &[Workshop], unusable: &[Unusable], json: bool) -> anyhow::Result<Exit> {
    for Unusable { path, problem } in unusable {
        errln!("wod: left out: {}: {problem}", path.display());
    }
    if json {
        for workshop in workshops {
            print_json(&serde_json::to_value(workshop)?);
        }
    } else {
        let mut rows = vec![
            ["workshop", "students", "seats", "traits", "title"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(workshops.iter().map(|workshop| {
            vec![
                workshop.name.to_string(),
                workshop
                    .range
                    .map_or("any".to_owned(), |range| range.to_string()),
                workshop.capacity.to_string(),
                traits(workshop),
                workshop.title.clone(),
            ]
        }));
        print_table(&rows);
    }
    Ok(match unusable.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

fn traits(workshop: &Workshop) -> String {
    let all = [
        (workshop.reset, "reset"),
        (workshop.ldap, "ldap"),
        (workshop.varpass, "varpass"),
        (!workshop.compile.is_empty(), "compile"),
        (workshop.monoappliance, "monoappliance"),
        (workshop.multiappliance, "multiappliance"),
        (!workshop.active, "inactive"),
    ];
    let set: Vec<&str> = all
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    match set.is_empty() {
        true => "-".to_owned(),
        false => set.join(","),
    }
}

fn show(workshops: &[Workshop], name: &WorkshopName, json: bool) -> anyhow::Result<Exit> {
    let Some(workshop) = workshops.iter().find(|workshop| workshop.name == *name) else {
        bail!("there is no workshop {name}; see wod workshops list");
    };
    if json {
        print_json(&json!(workshop));
        return Ok(Exit::Done);
    }
    outln!("{name}: {}", workshop.title);
    outln!(
        "students  {}",
        workshop
            .range
            .map_or("any".to_owned(), |range| range.to_string())
    );
    outln!("seats     {}", workshop.capacity);
    outln!("traits    {}", traits(workshop));
    if let Some(hours) = workshop.duration {
        outln!("duration  {hours} h");
    }
    if let Some(minutes) = workshop.cpu_minutes {
        outln!("processor {minutes} min");
    }
    outln!("try it    wod test-action CREATE {name} --dry-run");
    Ok(Exit::Done)
}
