//! `wod watchdog allow`, `disallow` and `allowed`: what a workshop may do although a rule minds it.

use std::time::Duration;

use serde_json::json;

use crate::cli::{Exit, journal_of, print_json, print_table};
use crate::domain::{Time, WorkshopName};
use crate::journal::Allowance;
use crate::site::Site;
use crate::watchdog::Rule;

#[derive(clap::Args)]
pub struct AllowArgs {
    /// The rule, as `wod watchdog list` names it
    rule: Rule,
    #[arg(long, value_name = "WKSHP")]
    workshop: WorkshopName,
    /// Why, for those who read it later
    #[arg(long)]
    comment: String,
    /// For how long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
}

#[derive(clap::Args)]
pub struct DisallowArgs {
    rule: Rule,
    #[arg(long, value_name = "WKSHP")]
    workshop: WorkshopName,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub fn allow(args: &AllowArgs, site: &Site) -> anyhow::Result<Exit> {
    let known = site.shelves().and_then(|shelves| shelves.list());
    if known.is_ok_and(|(all, _)| all.iter().all(|one| one.name != args.workshop)) {
        // It may be on its way here; one that is mistyped would stay without any effect.
        errln!(
            "wod: there is no workshop {} yet; see wod workshops list",
            args.workshop
        );
    }
    let until = Time::now() + Duration::from_secs(u64::from(args.days) * 86_400);
    journal_of(site)?.allow(&Allowance {
        rule: args.rule.name().to_owned(),
        workshop: args.workshop.clone(),
        comment: args.comment.clone(),
        until,
    })?;
    outln!(
        "{} is allowed for {} until {until}",
        args.rule,
        args.workshop
    );
    Ok(Exit::Done)
}

pub fn disallow(args: &DisallowArgs, site: &Site) -> anyhow::Result<Exit> {
    if !journal_of(site)?.disallow(args.rule.name(), &args.workshop)? {
        anyhow::bail!("{} was not allowed for {}", args.rule, args.workshop);
    }
    outln!(
        "{} is not allowed for {} any more",
        args.rule,
        args.workshop
    );
    Ok(Exit::Done)
}

pub fn list(args: &ListArgs, site: &Site) -> anyhow::Result<Exit> {
    let all = journal_of(site)?.allowances()?;
    if args.json {
        for one in &all {
            print_json(&json!({
                "rule": one.rule, "workshop": one.workshop, "comment": one.comment,
                "until": one.until,
            }));
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        ["rule", "workshop", "until", "comment"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(all.iter().map(|one| {
        let comment = one.comment.escape_debug().to_string();
        vec![
            one.rule.clone(),
            one.workshop.to_string(),
            one.until.to_string(),
            comment,
        ]
    }));
    print_table(&rows);
    Ok(Exit::Done)
}
