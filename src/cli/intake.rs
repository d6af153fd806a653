//! `wod intake`: the process that speaks SMTP. It gives up its privileges before it reads a byte;
//! the listening socket is its stdin, from `wod serve` or from wod-intake.socket.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use crate::cli::Exit;
use crate::intake::confine::{self, Account, Demand, Ground};
use crate::intake::gatefile::GateFile;
use crate::intake::listener::{self, Limits};
use crate::intake::spool::Spool;

#[derive(clap::Args)]
pub struct Args {
    /// Where accepted actions go
    #[arg(long)]
    spool: PathBuf,
    /// Where the engine publishes the gate's policy
    #[arg(long)]
    public: PathBuf,
    /// Whom to become; without it we stay who we are
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    /// The process id of the engine that started us; we do not outlive it
    #[arg(long)]
    engine: Option<u32>,
    /// Do not start where the kernel has no Landlock
    #[arg(long)]
    require_landlock: bool,
}

/// For the life of the process.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Threads for files: more sessions than these wait for their turn.
const BLOCKING: usize = 16;

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let account = args.uid.zip(args.gid);
    let account = account.map(|(uid, gid)| Account { uid, gid });
    let given = confine::give_up_privileges(account)
        .context("privileges cannot be given up; the intake does not start")?;
    // Nobody would take what it accepts once the engine is gone for good.
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let parent = nix::unistd::getppid().as_raw().unsigned_abs();
    if args.engine.is_some_and(|engine| engine != parent) {
        // It ended before we asked to be told of that.
        return Ok(Exit::Failed);
    }
    let socket = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket
        .local_addr()
        .context("stdin is no listening socket; wod serve or wod-intake.socket start the intake")?;
    let gate = Arc::new(GateFile::new(&args.public));
    let spool = Spool::open(&args.spool)
        .with_context(|| format!("the spool {} cannot be opened", args.spool.display()))?;
    let hostname = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let demand = match args.require_landlock {
        true => Demand::Required,
        false => Demand::Possible,
    };
    let ground = Ground {
        spool: &args.spool,
        public: &args.public,
    };
    let given = given
        .and(confine::shut_in(ground, demand).context("the intake cannot be confined")?)
        .and(confine::limit()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(FOREVER)
        .build()?;
    start_all_threads(&runtime);
    let given = given.and(confine::start_nothing_more()?);
    tracing::info!("intake is confined: {given}");
    runtime.block_on(async {
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let shutdown = async move {
            ended.recv().await;
        };
        let spool = Arc::new(spool);
        let limits = Limits::default();
        listener::serve(socket, &hostname, gate, spool, limits, shutdown).await
    })?;
    Ok(Exit::Done)
}

/// A thread is started for each task that finds none idle, so none may end before the last.
fn start_all_threads(runtime: &Runtime) {
    let busy = Arc::new(Mutex::new(()));
    let held = busy.lock();
    for _ in 0..BLOCKING {
        let busy = Arc::clone(&busy);
        runtime.spawn_blocking(move || drop(busy.lock()));
    }
    drop(held);
}
