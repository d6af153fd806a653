//! The door: an action mail is read, checked and put into the spool, over SMTP or from stdin.
//!
//! Runs unprivileged. It decides nothing but "may this be asked here"; acting is the engine's.

mod body;
pub mod confine;
pub mod gate;
pub mod gatefile;
mod header;
pub mod listener;
pub mod message;
pub mod pipe;
pub mod proof;
pub mod refusal;
pub mod session;
pub mod spool;
mod text;

use crate::domain::{Action, Seat, Time};

use gate::Envelope;
use gatefile::GateFile;
use refusal::Refusal;
use spool::{Record, Route, Spool};

/// The way of every mail, whatever route it came: judged, spooled, and only then answered.
///
/// Returns the line for the sender, `accepted: CREATE student121 participant 825 WKSHP-API101`.
/// Blocks on files (up to a second more while an unknown seat may still be published).
pub fn admit(
    gate: &GateFile,
    spool: &Spool,
    route: Route,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<String, Refusal> {
    let request = gate.judge(envelope, mail)?;
    let line = format!("accepted: {}", one_line(&request.action));
    let name = spool.put(&Record {
        version: Record::VERSION,
        received: Time::now(),
        route,
        peer: envelope.peer.to_string(),
        sender: envelope.sender.clone(),
        message_id: request.message_id,
        signed: request.signed.ok().flatten(),
        reason: None,
        action: request.action,
    })?;
    // Nothing where there is no such header.
    let from = request.from.as_ref().map(tracing::field::debug);
    tracing::info!(peer = %envelope.peer, sender = ?envelope.sender, from, %name, "{line}");
    Ok(line)
}

/// `CREATE student121 participant 825 WKSHP-API101`: an action as answers and logs show it.
pub fn one_line(action: &Action) -> String {
    let seat = match action.seat {
        Seat::Students(range) if range.count() == 1 => range.first().account(),
        Seat::Students(range) => format!("students {}..{}", range.first(), range.last()),
        Seat::OfParticipant => "the seat of".to_owned(),
    };
    let line = format!("{} {seat} participant {}", action.verb, action.participant);
    match &action.workshop {
        Some(workshop) => format!("{line} {workshop}"),
        None => line,
    }
}
