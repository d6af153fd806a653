//! The mail that tells the admin what is held and what to do. Pure.

use crate::intake::one_line;
use crate::journal::ActionRow;
use crate::ports::{Disposition, Fault};

use super::safety::Safety;

/// Subject and body.
pub fn held(row: &ActionRow, doing: &str, fault: &Fault, safety: &Safety) -> (String, String) {
    let what = one_line(&row.action);
    let subject = format!("HELD action {}: {what}", row.id);
    let body = format!(
        "Action {id} is held: {what}\n\
         accepted  {accepted}\n\
         step      {doing}\n\
         problem   {line}\n\
         \n\
         {advice}\n\
         {seat}\n\
         \n\
         look      wod actions show {id}\n\
         go on     wod actions retry {id}\n\
         give up   wod actions cancel {id}\n",
        id = row.id,
        accepted = row.accepted,
        line = fault.line(),
        advice = advice(fault.disposition),
        seat = seat(safety),
    );
    (subject, body)
}

/// Whether an admin's command helps: violations need a look first.
fn advice(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Retry => "It was tried several times. Mend the cause, then let it go on.",
        Disposition::Permanent => "It will not pass by itself. Mend the cause, then let it go on.",
        Disposition::Violation => {
            "Somebody may be trying to reach what is not theirs. Look at it before you go on."
        }
    }
}

fn seat(safety: &Safety) -> String {
    match safety {
        Safety::Untouched => "Nothing was begun; the seat is as it was.".to_owned(),
        Safety::Safe => {
            "The seat is safe meanwhile: its server is stopped, its account locked.".to_owned()
        }
        Safety::NotYet(lines) => format!(
            "THE SEAT MAY STILL BE IN USE. This is tried again until it is safe; other actions \
             for the seat wait for it:\n  {}",
            lines.join("\n  ")
        ),
        Safety::Never(lines) => format!(
            "THE SEAT MAY STILL BE IN USE, look at it soon:\n  {}",
            lines.join("\n  ")
        ),
    }
}
