//! Who may ask for what: the policy, and its verdict over one mail.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::domain::signature::Demand;
use crate::domain::{
    Action, AskedWorkshop, Participant, Seat, Student, StudentRange, StudentWindow, Time, Verb,
    WorkshopName, quoted,
};

use super::message::{self, Request};
use super::proof::{NOT_SIGNED, WITHOUT_ID};
use super::refusal::{Kind, Refusal};

/// What the engine publishes for the unprivileged door. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub window: StudentWindow,
    pub workshops: BTreeSet<WorkshopName>,
    /// Networks that may connect. Nobody may when empty; local pipes are not asked.
    pub peers: Vec<IpNet>,
    /// Envelope senders, compared whole but for case. An entry without a domain matches only a
    /// sender without one: `root` lets in the `root` of a local delivery, not `root@anywhere`.
    pub senders: Vec<String>,
    /// Recipients that are ours: addresses, or local parts that match at any domain. A recipient
    /// without a domain is local, and matches an address by its local part.
    pub recipients: Vec<String>,
    /// The largest mail, in bytes.
    #[serde(default = "one_mebibyte")]
    pub max_bytes: u64,
    /// Seats by participant, for subjects that name no student.
    #[serde(default)]
    pub seats: BTreeMap<Participant, Student>,
    #[serde(default)]
    pub seats_complete: SeatsKnown,
    #[serde(default)]
    pub signatures: Demand,
    /// How far a signature's time may be from ours, in seconds.
    #[serde(default = "five_minutes")]
    pub replay_seconds: u64,
}

/// Whether a participant who is missing in [`Policy::seats`] has no seat. JSON `true`: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum SeatsKnown {
    All,
    /// The registry is elsewhere: the engine asks it later.
    #[default]
    Partly,
}

impl From<bool> for SeatsKnown {
    fn from(complete: bool) -> SeatsKnown {
        match complete {
            true => SeatsKnown::All,
            false => SeatsKnown::Partly,
        }
    }
}

impl From<SeatsKnown> for bool {
    fn from(known: SeatsKnown) -> bool {
        known == SeatsKnown::All
    }
}

fn one_mebibyte() -> u64 {
    1 << 20
}

fn five_minutes() -> u64 {
    300
}

/// Who hands a mail over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Network(IpAddr),
    /// A process of this host, on stdin. File permissions decide who can write to the spool.
    Local {
        uid: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Network(address) => write!(f, "{address}"),
            Peer::Local { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// What is known of a mail before its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub peer: Peer,
    /// Empty for the null sender of bounces.
    pub sender: String,
    /// May be empty on a pipe, which is configured for one recipient.
    pub recipients: Vec<String>,
}

/// A whole mail: envelope, size, text, signature, action, in this order on every route.
pub fn judge(
    policy: &Policy,
    envelope: &Envelope,
    mail: &[u8],
    now: Time,
) -> Result<Request, Refusal> {
    check_envelope(policy, envelope)?;
    check_size(policy, mail)?;
    let request = message::read(mail)?;
    check_signature(policy, &request, now)?;
    check_action(policy, request)
}

/// A mail that was read already. Returns its action, the seat looked up where the subject names
/// no student and the policy knows it.
pub fn check(policy: &Policy, envelope: &Envelope, request: Request) -> Result<Action, Refusal> {
    check_envelope(policy, envelope)?;
    Ok(check_action(policy, request)?.action)
}

/// What can be said before the text.
pub fn check_envelope(policy: &Policy, envelope: &Envelope) -> Result<(), Refusal> {
    check_peer(policy, envelope.peer)?;
    check_sender(policy, &envelope.sender)?;
    let mut recipients = envelope.recipients.iter();
    recipients.try_for_each(|recipient| check_recipient(policy, recipient))
}

pub fn check_peer(policy: &Policy, peer: Peer) -> Result<(), Refusal> {
    let Peer::Network(address) = peer else {
        return Ok(());
    };
    let address = address.to_canonical();
    if policy.peers.iter().any(|net| net.contains(&address)) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::NotAllowed,
        format!(
            "peer {address} is not allowed to send actions; ask the backend's admin to add its network"
        ),
    ))
}

/// Bounces are refused as malformed: nobody asks for anything in them.
pub fn check_sender(policy: &Policy, sender: &str) -> Result<(), Refusal> {
    let (local, _) = sender.rsplit_once('@').unwrap_or((sender, ""));
    if sender.is_empty() || local.eq_ignore_ascii_case("MAILER-DAEMON") {
        let line = "sender: a bounce is not an action; nothing to do";
        return Err(Refusal::new(Kind::Malformed, line));
    }
    let mut allowed = policy.senders.iter();
    if allowed.any(|allowed| allowed.eq_ignore_ascii_case(sender)) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::NotAllowed,
        format!(
            "sender {} is not allowed to send actions; ask the backend's admin to add it to WODSENDER",
            quoted(sender)
        ),
    ))
}

pub fn check_recipient(policy: &Policy, recipient: &str) -> Result<(), Refusal> {
    let ours = |ours: &String| {
        let (our_local, our_domain) = halves(ours);
        let (local, domain) = halves(recipient);
        our_local.eq_ignore_ascii_case(local)
            && match (our_domain, domain) {
                (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
                _ => true,
            }
    };
    if policy.recipients.iter().any(ours) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::UnknownRecipient,
        format!(
            "recipient {} is not of this backend; actions go to its admin account",
            quoted(recipient)
        ),
    ))
}

fn halves(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (address, None),
    }
}

/// No line of a mail is longer than this, in bytes; RFC 5321 knows 1,000.
const LONGEST_LINE: usize = 64 * 1024;

fn check_size(policy: &Policy, mail: &[u8]) -> Result<(), Refusal> {
    if mail.len() as u64 > policy.max_bytes {
        return Err(Refusal::too_large(policy.max_bytes));
    }
    if mail
        .split(|b| *b == b'\n')
        .any(|line| line.len() > LONGEST_LINE)
    {
        let line = format!("a line of the mail is too long: expected at most {LONGEST_LINE} bytes");
        return Err(Refusal::new(Kind::TooLarge, line));
    }
    Ok(())
}

/// What can be said of a signature without keys. Whether it fits is the engine's question.
pub fn check_signature(policy: &Policy, request: &Request, now: Time) -> Result<(), Refusal> {
    let signed = match (policy.signatures, &request.signed) {
        (Demand::Off, _) | (Demand::Optional, Ok(None)) => return Ok(()),
        (Demand::Required, Ok(None)) => {
            return Err(Refusal::new(Kind::NotAllowed, NOT_SIGNED));
        }
        (_, Err(malformed)) => return Err(malformed.clone().into()),
        (_, Ok(Some(signed))) => signed,
    };
    if request.message_id.is_none() {
        return Err(Refusal::new(Kind::Malformed, WITHOUT_ID));
    }
    let window = Duration::from_secs(policy.replay_seconds);
    let in_time = signed.signature.check_time(now, window);
    in_time.map_err(|line| Refusal::new(Kind::NotAllowed, line))
}

fn check_action(policy: &Policy, mut request: Request) -> Result<Request, Refusal> {
    let action = &mut request.action;
    if action.seat == Seat::OfParticipant {
        action.seat = seat_of(policy, action.participant)?;
    }
    if let Seat::Students(range) = action.seat {
        policy.window.check(range)?;
    }
    match &action.workshop {
        Some(workshop) if action.verb != Verb::Purge => check_workshop(policy, workshop)?,
        _ => {}
    }
    Ok(request)
}

fn seat_of(policy: &Policy, participant: Participant) -> Result<Seat, Refusal> {
    match (policy.seats.get(&participant), policy.seats_complete) {
        (Some(student), _) => Ok(Seat::Students(StudentRange::one(*student))),
        (None, SeatsKnown::Partly) => Ok(Seat::OfParticipant),
        (None, SeatsKnown::All) => Err(Refusal::new(
            Kind::UnknownSeat,
            format!(
                "participant {participant} has no seat here; \
                 expected a student number in the subject, or a participant with a seat"
            ),
        )),
    }
}

fn check_workshop(policy: &Policy, asked: &AskedWorkshop) -> Result<(), Refusal> {
    if policy.workshops.contains(&asked.name) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::UnknownWorkshop,
        format!(
            "workshop {asked} is not one of this backend; its admin sees them with wod workshops list"
        ),
    ))
}
