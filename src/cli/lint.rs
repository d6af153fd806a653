//! `wod workshops lint`: which directories, with or without a site, and how findings are printed.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::{Exit, WrongUsage, print_json};
use crate::lint::{self, Colours, Level, Report, Shelf};
use crate::site::{self, Site, Source};

const MORE: &str = "\
Looked at are wod.yml, notebooks, templates (all files that are rendered for a student) and scripts.
Nothing is changed, and no script is run. Scripts are looked for in DIR/scripts and DIR/../scripts.
As root, files are read with the rights of WODUSER, or of DIR's owner where there is none.

Examples:
  wod workshops lint                            all workshops of this site
  wod workshops lint workshops/                 a checkout, with the site's variables
  wod workshops lint workshops/WKSHP-API101     one workshop
  wod workshops lint --strict --json .          for a CI job: one finding per line
  wod workshops lint --sarif . >lint.sarif      for a forge that shows findings beside the code

Without an inventory (an author's laptop) what hangs on one is left out, and the last lines say so.

Exit status:
  0  no errors; with --strict, no warnings either
  1  errors, or DIR cannot be read
  2  no DIR, and no inventory that names one
  4  the inventory cannot be used";

#[derive(clap::Args)]
#[command(after_help = MORE)]
pub struct Args {
    /// Directories of workshops, or single ones [default: WODNOBO and WODPRIVNOBO]
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// One JSON object per finding and line
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// One SARIF 2.1.0 document
    #[arg(long)]
    sarif: bool,
    /// Let warnings fail as errors do
    #[arg(long)]
    strict: bool,
}

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = site_if_any(source)?;
    let shelves = shelves(args, site.as_ref())?;
    let facts = site
        .as_ref()
        .map_or_else(site::lint_defaults, Site::lint_facts);
    let report = lint::lint(&shelves, &facts)?;
    if report.workshops == 0 && report.findings.is_empty() {
        let all: Vec<String> = shelves
            .iter()
            .map(|s| s.dir.display().to_string())
            .collect();
        bail!(
            "there is no workshop in {}; expected directories WKSHP-…",
            all.join(", ")
        );
    }
    print(&report, args)?;
    let least = match args.strict {
        true => Level::Warning,
        false => Level::Error,
    };
    Ok(match report.findings.iter().any(|f| f.level >= least) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// None where nobody named an inventory and there is none.
fn site_if_any(source: &Source) -> anyhow::Result<Option<Site>> {
    let is_usual = source.inventory == site::usual_inventory();
    if is_usual && source.set.is_empty() && !source.inventory.exists() {
        return Ok(None);
    }
    Ok(Some(Site::load_as_author(source)?))
}

fn shelves(args: &Args, site: Option<&Site>) -> anyhow::Result<Vec<Shelf>> {
    match (args.dirs.as_slice(), site) {
        ([], Some(site)) => Ok(site.lint_shelves()),
        ([], None) => {
            let line = "which workshops? there is no inventory to say where they are; \
                        name a directory, or an inventory with --inventory";
            Err(WrongUsage(line.to_owned()).into())
        }
        (dirs, site) => dirs.iter().map(|dir| shelf(dir, site)).collect(),
    }
}

fn shelf(shown: &Path, site: Option<&Site>) -> anyhow::Result<Shelf> {
    if shown.is_file() {
        let line = "is a file; name the directory of a workshop, or one that holds workshops";
        return Err(WrongUsage(format!("{} {line}", shown.display())).into());
    }
    let dir = std::path::absolute(shown)
        .with_context(|| format!("{} cannot be looked at", shown.display()))?;
    // `.` has no name of its own, and may be a workshop.
    let dir = dir.canonicalize().unwrap_or(dir);
    Ok(match site {
        Some(site) => site.lint_shelf_of(&dir, shown),
        None => site::shelf_of(&dir, shown),
    })
}

fn print(report: &Report, args: &Args) -> anyhow::Result<()> {
    if args.sarif {
        let log = lint::sarif(report, env!("CARGO_PKG_VERSION"));
        outln!("{}", serde_json::to_string_pretty(&log)?);
        return Ok(());
    }
    if args.json {
        report
            .findings
            .iter()
            .for_each(|f| print_json(&f.to_json()));
        return Ok(());
    }
    let colours = match std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => Colours::On,
        false => Colours::Off,
    };
    for finding in &report.findings {
        out!("{}", lint::for_people(finding, colours));
    }
    for what in &report.left_out {
        outln!("left out: {what}");
    }
    outln!("{}", lint::summary(report));
    Ok(())
}
