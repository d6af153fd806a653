//! `wod ingest`: one mail on stdin, one line out, sysexits. Needs no inventory: all that it may
//! know is in the gate's policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::intake::confine::{self, Demand, Ground};
use crate::intake::gatefile::GateFile;
use crate::intake::pipe::{self, Context};
use crate::intake::spool::Spool;
use crate::site::State;

const SYSEXITS: &str = "\
Exit status (sysexits):
  0   accepted, or accepted before
  65  not an action, or malformed
  67  unknown workshop, seat or recipient
  75  cannot be taken now; to be sent again
  77  peer or sender not allowed

Postfix, main.cf:   mailbox_command = /usr/local/bin/wod ingest
Postfix, master.cf: wod unix - n n - 10 pipe user=wodadmin
                    argv=/usr/local/bin/wod ingest --sender ${sender} --peer ${client_address}
procmail:           :0 w
                    | /usr/local/bin/wod ingest";

#[derive(clap::Args)]
#[command(after_help = SYSEXITS)]
pub struct Args {
    /// The backend's state directory
    #[arg(
        long,
        env = "WODSTATEDIR",
        default_value = "/var/lib/wod",
        value_name = "DIR"
    )]
    state: PathBuf,
    /// Envelope sender [default: $SENDER, else what the mail's first line says]
    #[arg(long)]
    sender: Option<String>,
    /// Envelope recipient [default: $RECIPIENT]
    #[arg(long)]
    recipient: Option<String>,
    /// Address of the client that handed the mail over [default: $CLIENT_ADDRESS]
    #[arg(long)]
    peer: Option<String>,
}

const TEMPORARY: u8 = 75;

pub fn run(args: &Args) -> ExitCode {
    let said = Context {
        sender: args.sender.clone(),
        recipient: args.recipient.clone(),
        peer: args.peer.clone(),
    };
    let context = said.or(Context::from_environment(|name| std::env::var(name).ok()));
    let outcome = match open(&args.state) {
        Ok((gate, spool)) => pipe::ingest(std::io::stdin().lock(), &context, &gate, &spool),
        Err(line) => pipe::Outcome {
            exit: TEMPORARY,
            line,
        },
    };
    match outcome.exit {
        0 => outln!("{}", outcome.line),
        _ => errln!("{}", outcome.line),
    }
    ExitCode::from(outcome.exit)
}

fn open(state: &Path) -> Result<(GateFile, Spool), String> {
    let state = State::new(state);
    let (spool, public) = (state.spool(), state.public());
    let door = Spool::open(&spool).map_err(|e| {
        format!(
            "the spool {} cannot be opened ({e}); start wod serve, and let this account in",
            spool.display()
        )
    })?;
    let ground = Ground {
        spool: &spool,
        public: &public,
    };
    confine(ground).map_err(|e| {
        format!("wod ingest cannot give up its privileges ({e}); send the mail again")
    })?;
    Ok((GateFile::new(&public), door))
}

/// As much of the intake's confinement as does not depend on who calls: Postfix, a user, root.
fn confine(ground: Ground<'_>) -> std::io::Result<()> {
    let given = confine::give_up_capabilities()?.and(confine::shut_in(ground, Demand::Possible)?);
    tracing::debug!("confined: {given}");
    Ok(())
}
