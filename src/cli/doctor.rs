//! `wod doctor`: what is missing or wrong on this host, and what mends it.

use serde_json::json;

use super::{Exit, print_json};
use crate::adapters::mask::Masker;
use crate::site::doctor::{self, Finding, Level};
use crate::site::{Site, Source};

const EXAMPLES: &str = "\
Examples:
  wod doctor         each finding, and below it what mends it
  wod doctor --json  one object

Only looks. As root it sees all; how what is not as wod deliver makes it differs says
wod deliver --check --diff.

Exit status:
  0  nothing is wrong; there may be advice
  1  something is wrong
  4  the configuration cannot be used; nothing else was looked at";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, source: &Source) -> Exit {
    let (found, exit, secrets) = match Site::load(source) {
        Err(wrong) => (
            doctor::of_configuration(&wrong),
            Exit::Configuration,
            vec![],
        ),
        Ok(site) => {
            let found = doctor::examine(&site, &source.inventory);
            let is_wrong = found.iter().any(|one| one.level == Level::Problem);
            let exit = match is_wrong {
                true => Exit::Failed,
                false => Exit::Done,
            };
            (found, exit, site.secrets())
        }
    };
    let mask = |text: &str| Masker::new(&secrets).mask(text);
    let masked = found.into_iter().map(|one| Finding {
        line: mask(&one.line),
        mend: mask(&one.mend),
        ..one
    });
    let found: Vec<Finding> = masked.collect();
    match args.json {
        true => print_json(&json!({
            "findings": found.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "checks": doctor::checks().collect::<Vec<_>>(),
        })),
        false => print(&found),
    }
    exit
}

fn print(found: &[Finding]) {
    for Finding {
        check,
        level,
        line,
        mend,
    } in found
    {
        outln!("{:7}  {check}: {line}\n{:9}{mend}", level.as_str(), "");
    }
    let wrong = found.iter().filter(|one| one.level == Level::Problem);
    let wrong = wrong.count();
    outln!(
        "{} checks, {wrong} {}, {} of advice",
        doctor::checks().count(),
        if wrong == 1 { "problem" } else { "problems" },
        match found.len() - wrong {
            1 => "1 piece".to_owned(),
            advice => format!("{advice} pieces"),
        }
    );
}
