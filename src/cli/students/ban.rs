//! `wod students ban`, `unban` and `banned`: participants who get no seat.

use anyhow::bail;
use serde_json::json;

use crate::cli::{Exit, print_json, print_table};
use crate::domain::{Participant, Time};
use crate::journal::Journal;

#[derive(clap::Args)]
pub struct BanArgs {
    /// The registry's id
    participant: Participant,
    /// Why, for those who read it later
    #[arg(long)]
    reason: String,
}

#[derive(clap::Args)]
pub struct UnbanArgs {
    participant: Participant,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

pub fn ban(args: &BanArgs, journal: &Journal) -> anyhow::Result<Exit> {
    if args.participant.is_nobody() {
        bail!("participant 0 is nobody, and cannot be banned");
    }
    journal.ban(args.participant, &args.reason, Time::now())?;
    outln!("participant {} is banned", args.participant);
    Ok(Exit::Done)
}

pub fn unban(args: &UnbanArgs, journal: &Journal) -> anyhow::Result<Exit> {
    if !journal.unban(args.participant)? {
        bail!(
            "participant {} was not banned; see wod students banned",
            args.participant
        );
    }
    outln!("participant {} may have seats again", args.participant);
    Ok(Exit::Done)
}

pub fn list(args: &ListArgs, journal: &Journal) -> anyhow::Result<Exit> {
    let bans = journal.bans()?;
    if args.json {
        for ban in &bans {
            print_json(&json!({
                "participant": ban.participant, "since": ban.since, "reason": ban.reason,
            }));
        }
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        ["participant", "since", "reason"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(bans.iter().map(|ban| {
        let reason = ban.reason.escape_debug().to_string();
        vec![ban.participant.to_string(), ban.since.to_string(), reason]
    }));
    print_table(&rows);
    Ok(Exit::Done)
}
