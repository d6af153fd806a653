//! `wod keys`: the secrets that frontends sign their mails with, and how one follows another.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::cli::{Exit, print_json, print_table};
use crate::domain::signature::{Key, KeyId, Keyring, Retired};
use crate::domain::{Secret, Time};
use crate::site::{KeyFile, Site, Source};

const ABOUT: &str = "\
A signed mail has a Message-ID and the header
  X-Wod-Signature: v1 KEY-ID UNIX-SECONDS HMAC
HMAC is the HMAC-SHA256, in hex, with the secret's text as its key, of these six lines:
  wod-signature-v1
  KEY-ID
  UNIX-SECONDS
  the Message-ID, with its angle brackets
  the subject, one blank between two words
  the first line of the body that is not blank
each ended by one line feed. WODSIGNATURES says whether mails have to be signed.

To change keys:
  wod keys new                     then give `wod keys show ID` to the frontend's admin
  wod keys retire OLD --hours 48   what is signed with it is taken for two more days
  wod keys remove OLD              or is refused from now on";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List all keys without their secrets [the default]
    List {
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Make a key; it signs from now on
    New {
        /// Its name, no secret [default: today's date and four digits]
        #[arg(long, value_name = "NAME")]
        id: Option<KeyId>,
    },
    /// Print the secret of one key, for a frontend's admin
    Show { id: KeyId },
    /// Sign no longer with a key, but go on taking what it signed
    Retire {
        id: KeyId,
        /// For so many hours, instead of until it is removed
        #[arg(long, value_name = "HOURS")]
        hours: Option<u32>,
    },
    /// Refuse what a key signed, from now on
    Remove { id: KeyId },
}

/// 256 bits.
const SECRET_BYTES: usize = 32;

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load(source)?;
    let file = KeyFile::new(&site.state.keys());
    let now = Time::now();
    match &args.command {
        None => list(&*file.read()?, now, false),
        Some(Command::List { json }) => list(&*file.read()?, now, *json),
        Some(Command::New { id }) => {
            let id = id.clone().map_or_else(|| usual_id(now), Ok)?;
            let key = Key::new(id.clone(), secret()?, now);
            file.change(|keys| add(keys, key))??;
            outln!("{id}");
            errln!("made; wod keys show {id} prints its secret for the frontend");
        }
        Some(Command::Show { id }) => {
            let keys = file.read()?;
            let key = keys.find(id).with_context(|| unknown(id))?;
            outln!("{}", key.secret().expose());
        }
        Some(Command::Retire { id, hours }) => {
            let hours = hours.map(|hours| Duration::from_secs(3600 * u64::from(hours)));
            let retired = Retired {
                at: now,
                until: hours.map(|hours| now + hours),
            };
            file.change(|keys| {
                let mut keys = keys.0.iter_mut();
                let key = keys
                    .find(|key| key.id == *id)
                    .with_context(|| unknown(id))?;
                key.retired = Some(retired);
                anyhow::Ok(())
            })??;
        }
        Some(Command::Remove { id }) => file.change(|keys| {
            keys.find(id).with_context(|| unknown(id))?;
            keys.0.retain(|key| key.id != *id);
            anyhow::Ok(())
        })??,
    }
    Ok(Exit::Done)
}

fn unknown(id: &KeyId) -> String {
    format!("there is no key {id}; see wod keys list")
}

fn add(keys: &mut Keyring, key: Key) -> anyhow::Result<()> {
    if keys.find(&key.id).is_some() {
        anyhow::bail!("there is a key {} already; give another --id", key.id);
    }
    keys.0.push(key);
    Ok(())
}

/// `2026-01-31-9f3c`
fn usual_id(now: Time) -> anyhow::Result<KeyId> {
    let date: String = now.to_string().chars().take(10).collect();
    let random = getrandom::u32().context("there is no randomness")?;
    Ok(format!("{date}-{:04x}", random & 0xffff).parse()?)
}

fn secret() -> anyhow::Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *bytes).context("there is no randomness")?;
    Ok(Secret::new(
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}

fn list(keys: &Keyring, now: Time, json: bool) {
    let signing = keys.signing().map(|key| &key.id);
    let state = |key: &Key| match key.retired {
        _ if signing == Some(&key.id) => "signs",
        None => "active",
        Some(_) if key.is_over(now) => "over",
        Some(_) => "retired",
    };
    if json {
        for key in &keys.0 {
            print_json(&json!({
                "id": key.id,
                "state": state(key),
                "made": key.made,
                "retired": key.retired.map(|retired| retired.at),
                "until": key.retired.and_then(|retired| retired.until),
            }));
        }
        return;
    }
    let mut rows = vec![
        ["key", "state", "made", "taken until"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(keys.0.iter().map(|key| {
        let until = match key.retired {
            None => "-".to_owned(),
            Some(retired) => retired
                .until
                .map_or("it is removed".to_owned(), |until| until.to_string()),
        };
        vec![
            key.id.to_string(),
            state(key).to_owned(),
            key.made.to_string(),
            until,
        ]
    }));
    print_table(&rows);
}
