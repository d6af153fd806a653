//! Whether somebody with a key asked for what the door let in. Pure; for the engine, which has the
//! keys: what the door says of a signature is a claim.

use std::time::Duration;

use crate::domain::signature::{Demand, Keyring, Rule, Words};
use crate::domain::{Action, Seat, Time};

use super::spool::Record;

pub(super) const NOT_SIGNED: &str = "signature: expected an X-Wod-Signature header; this backend \
                                     takes signed mails only, see WODSIGNATURES";
pub(super) const WITHOUT_ID: &str = "signature: a signed mail needs a Message-ID of its own";

/// What may pass between the door's look at the clock and the file's: a mail that was accepted at
/// the last moment is not to be refused after that. Copies are known by their Message-ID anyway.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// The action to carry out, or the line that refuses it. `arrived` is when the record came into
/// the spool, as its writer cannot choose it.
///
/// Of a signed mail the signed words count, not what the door made of them.
pub fn proven(
    record: &Record,
    arrived: Time,
    rule: Rule,
    keys: &Keyring,
) -> Result<Action, String> {
    let signed = match (rule.demand, &record.signed) {
        (Demand::Off, _) | (Demand::Optional, None) => return Ok(record.action.clone()),
        (Demand::Required, None) => return Err(NOT_SIGNED.to_owned()),
        (_, Some(signed)) => signed,
    };
    let Some(message_id) = &record.message_id else {
        return Err(WITHOUT_ID.to_owned());
    };
    let window = rule.window + ON_ITS_WAY;
    signed.signature.check_time(arrived, window)?;
    let words = Words {
        message_id,
        subject: &signed.subject,
        line: &signed.line,
    };
    keys.verify(&signed.signature, words, arrived)?;
    let action = signed
        .action()
        .map_err(|malformed| format!("signature: signs no action: {malformed}"))?;
    match is_same(&action, &record.action) {
        true => Ok(action),
        false => Err("signature: is for another action than the one in the spool".to_owned()),
    }
}

/// But for the seat that the door looks up where the subject names none.
fn is_same(signed: &Action, spooled: &Action) -> bool {
    let seat = match signed.seat {
        Seat::OfParticipant => spooled.seat,
        named => named,
    };
    *spooled
        == Action {
            seat,
            ..signed.clone()
        }
}
