//! `wod watchdog record`: what students' processes do for a while, for `replay`. It looks, and does
//! nothing to anybody.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cli::{Exit, NotReady, WrongUsage, journal_of};
use crate::domain::Student;
use crate::ports::Fault;
use crate::site::Site;
use crate::watchdog::{Activity, Recorder, Sampler, Seat};

type Seats = BTreeMap<Student, Seat>;

const ABOUT: &str = "\
The file is new, for root alone, and compressed by gzip: arguments of students' programs are in it,
and whatever they wrote there. SIGINT and SIGTERM end a recording whole.

  wod watchdog record /root/monday.gz --minutes 30
  wod watchdog replay /root/monday.gz --policy stricter.yml";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    /// The file to make
    recording: PathBuf,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seconds between two snapshots
    #[arg(long, default_value_t = 1.0)]
    every: f64,
}

pub fn run(args: &Args, site: &Site) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        let line = "only root can see what students' processes are; use sudo";
        return Err(NotReady(anyhow::anyhow!(line)).into());
    }
    let seconds = |number: f64, what: &str| {
        Duration::try_from_secs_f64(number)
            .ok()
            .filter(|time| !time.is_zero())
            .ok_or_else(|| WrongUsage(format!("{what} is {number}; expected a number above 0")))
    };
    let every = seconds(args.every, "--every")?;
    let whole = seconds(args.minutes * 60.0, "--minutes")?;
    let uids = site.student_uids().map_err(|e| NotReady(e.into()))?;
    let mut sampler =
        Sampler::new(uids).context("the processes of this host cannot be seen in /proc")?;
    sampler.want_hashes(true);
    // Nothing that is there is written to, and no link is followed.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.recording)
        .with_context(|| format!("cannot make {}", args.recording.display()))?;
    let seats = seats(site)?;
    let stop = stopped_by_signals()?;
    let packed = GzEncoder::new(BufWriter::new(file), Compression::default());
    let mut recorder = Recorder::new(packed)?;
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() <= whole && !stop.load(Ordering::Relaxed) {
        let seats = seats.as_ref().map(|seats| seats()).transpose()?;
        sampler.sample(|snapshot| {
            if let Some(seats) = &seats {
                Sampler::take_seats(snapshot, seats);
            }
            recorder.put(snapshot)
        })??;
        count += 1;
        sleep_until(begin + every * count, &stop);
    }
    let mut file = recorder.finish()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()?;
    outln!("{count} snapshots in {}", args.recording.display());
    Ok(Exit::Done)
}

/// Who has which seat, and last used it; without a journal nobody knows, and rules about seats say
/// nothing.
fn seats(site: &Site) -> anyhow::Result<Option<impl Fn() -> Result<Seats, Fault>>> {
    let journal = match journal_of(site) {
        Ok(journal) => journal,
        Err(e) => {
            errln!("wod: the recording knows nothing of seats: {e:#}");
            return Ok(None);
        }
    };
    let (seats, activity) = (site.seats_of(&journal)?, Activity::new(site.hub()?));
    activity.go_on();
    Ok(Some(move || {
        let mut seats = seats()?;
        activity.note_in(&mut seats);
        Ok(seats)
    }))
}

fn stopped_by_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

/// A signal is seen soon, however long the pause is.
fn sleep_until(end: Instant, stop: &AtomicBool) {
    const SOON: Duration = Duration::from_millis(200);
    while !stop.load(Ordering::Relaxed) {
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(SOON)),
            _ => return,
        }
    }
}
