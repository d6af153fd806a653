//! Very many mails while everything around them is disturbed: what was accepted is carried out
//! once, and whoever was not accepted was told. And what so many cost in memory.

mod disturb;
mod many;
mod read_only;

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::support::backend::{Backend, Options, STATE, send};
use crate::support::seats::workshop;
use crate::support::{on_private_host, sh, wait_for};

use many::{Answer, Mail};

/// Mails of a run in CI; WOD_ACCEPT says another number.
const MAILS: usize = 20_000;
/// Memory of an engine with 10,000 actions before it, in kB.
const MOST_MEMORY: u64 = 60_000;
const WAITING: usize = 10_000;

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

fn idle_workshops() {
    for nth in 0..many::LANES {
        workshop(&format!("Idle{nth}"), "range: [1,40]\nreset: false\n", &[]);
    }
}

fn journal() -> Connection {
    let journal = Connection::open(format!("{STATE}/private/journal.db")).unwrap();
    journal.busy_timeout(Duration::from_secs(30)).unwrap();
    journal
}

fn count(sql: &str) -> usize {
    journal()
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .map(|count| usize::try_from(count).unwrap())
        .unwrap()
}

fn in_spool() -> usize {
    let names = fs::read_dir(format!("{STATE}/spool")).unwrap();
    names
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.as_encoded_bytes().ends_with(b".action")
        })
        .count()
}

/// Waits until nothing is in the spool and no action is open.
fn worked_off(seconds: u64) {
    wait_for(seconds, "end of all actions", || {
        (in_spool() == 0 && count("select count(*) from actions where open") == 0).then_some(())
    });
}

#[test]
fn every_accepted_mail_is_carried_out_once() {
    on_private_host(|| {
        let mails = number("WOD_ACCEPT").map_or(MAILS, |n| usize::try_from(n).unwrap());
        // The journal's disk can be filled; the spool's can turn read-only, too.
        sh(&format!(
            "mkdir -p {STATE} && mount -t tmpfs -o size={}k,mode=711 state {STATE}
             mkdir {STATE}/spool && mount -t tmpfs -o size=32m,mode=700 spool {STATE}/spool",
            64_000 + 5 * mails
        ));
        idle_workshops();
        let seed = number("WOD_SEED").unwrap_or_else(|| {
            let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            clock.as_secs()
        });
        println!("seed {seed} (WOD_SEED)");
        let mut backend = Backend::start(Options::default());
        let begun = Instant::now();
        let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut told: Vec<(Mail, Answer)> = Vec::new();
        let mut disturbed = disturb::Count::default();
        thread::scope(|scope| {
            let (next, over) = (&next, &over);
            let senders: Vec<_> = (0..many::SENDERS)
                .map(|_| scope.spawn(move || many::send_all(next, mails)))
                .collect();
            let backend = &mut backend;
            let disturber = scope.spawn(move || disturb::until(backend, over, seed));
            // Also when one of them panics, or the disturber would go on for ever.
            let ended: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
            over.store(true, Ordering::SeqCst);
            disturbed = disturber.join().unwrap();
            told.extend(ended.into_iter().flat_map(Result::unwrap));
        });
        worked_off(300);
        backend.kill_engine();
        backend.start_engine();
        worked_off(60);
        judge(&told, begun.elapsed());
        println!("disturbed: {disturbed:?}");
    });
}

/// Looks every mail up in the journal.
fn judge(told: &[(Mail, Answer)], took: Duration) {
    let journal = journal();
    let mut find = journal
        .prepare(
            "select count(*), sum(open),
             (select count(*) from events join actions a on a.id = events.action
              where a.message_id = ?1 and json_extract(event, '$.event') = 'done')
             from actions where message_id = ?1",
        )
        .unwrap();
    let (mut accepted, mut once, mut later, mut refused, mut cut, mut again) = (0, 0, 0, 0, 0, 0);
    let mut wrong = Vec::new();
    for (mail, answer) in told {
        let (rows, open, done): (i64, Option<i64>, i64) = find
            .query_row([mail.message_id()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        let is_once = (rows, open, done) == (1, Some(0), 1);
        let is_never = rows == 0;
        again += usize::from(mail.copies > 1);
        let good = match answer {
            Answer::Accepted => {
                accepted += 1;
                once += usize::from(is_once);
                is_once
            }
            Answer::Later(_) => {
                later += 1;
                is_never
            }
            Answer::Refused(_) => {
                refused += 1;
                is_never && mail.is_wrong()
            }
            // Nobody knows how far it came; but never twice.
            Answer::None => {
                cut += 1;
                is_once || is_never
            }
        };
        if !good {
            wrong.push(format!("{mail:?} {answer:?}: {rows} {open:?} {done}"));
        }
    }
    println!(
        "{} mails in {} s, {accepted} accepted, {once} carried out once, {later} told to come again, \
         {refused} refused, {cut} cut off without an answer; {again} of them sent twice",
        told.len(),
        took.as_secs(),
    );
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
    let all: usize = count("select count(*) from actions");
    let ids = count("select count(distinct message_id) from actions");
    assert_eq!(all, ids, "each of them once");
    assert!(all >= accepted && all <= accepted + cut);
    assert!(accepted > told.len() / 2, "most got through");
}

/// Of the engine, in kB.
fn most_memory(backend: &Backend) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", backend.engine_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// A storm in the spool does not keep the workers from what is in the journal already.
#[test]
fn accepted_actions_go_on_while_more_come_in() {
    on_private_host(|| {
        idle_workshops();
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        many::into_spool(WAITING / 2);
        backend.start_engine();
        wait_for(120, "all of them in the journal", || {
            (in_spool() == 0).then_some(())
        });
        let done = count("select count(*) from actions where not open");
        println!(
            "{done} of {} are done as the last one is taken",
            WAITING / 2
        );
        // One seat has them all, so they are done one after the other.
        assert!(done > WAITING / 2 / 20, "{done}");
        worked_off(120);
    });
}

#[test]
fn ten_thousand_wait_in_little_memory() {
    on_private_host(|| {
        idle_workshops();
        let until = "while [ ! -e /tmp/go ]; do sleep 0.1; done";
        workshop("Slow", "range: [1,40]\n", &[("create", until)]);
        let mut backend = Backend::start(Options {
            inventory: "WODWORKERS: 1\n",
            ..Options::default()
        });
        let quiet = most_memory(&backend);
        send("CREATE 1 801", "WKSHP-Slow");
        wait_for(10, "action", || {
            (count("select count(*) from actions where open") == 1).then_some(())
        });
        // As an intake leaves it whose engine was away.
        backend.stop_engine();
        many::into_spool(WAITING);
        backend.start_engine();
        wait_for(120, "all of them in the journal", || {
            (count("select count(*) from actions where open") == WAITING + 1).then_some(())
        });
        let taking_in = backend.processor_ms();
        let taken_in = most_memory(&backend);
        // And once more from the journal.
        backend.kill_engine();
        backend.start_engine();
        wait_for(60, "all of them taken up", || {
            let ready = format!("ready; {} actions to carry on with", WAITING + 1);
            backend.log().contains(&ready).then_some(())
        });
        let taking_up = backend.processor_ms();
        let recovered = most_memory(&backend);
        let begun = Instant::now();
        sh("touch /tmp/go");
        worked_off(240);
        let worked = most_memory(&backend);
        println!(
            "VmHWM: {quiet} kB with nothing, {taken_in} kB with {WAITING} taken in \
             (on processors {taking_in} ms), {recovered} kB taken up again ({taking_up} ms), {worked} kB after all of them were done in {} s",
            begun.elapsed().as_secs()
        );
        assert_eq!(
            count("select count(*) from events where json_extract(event, '$.event') = 'done'"),
            WAITING + 1
        );
        assert!(taken_in.max(recovered).max(worked) < MOST_MEMORY);
        // An engine that is killed again and again must come to its work in between.
        assert!(taking_up * 6 < taking_in, "{taking_up} ms");
    });
}

/// `wod ingest` as a delivery agent runs it, ready for a mail.
fn ingest() -> Command {
    let words = [
        "/run/wod",
        "ingest",
        "--sender",
        crate::support::backend::SENDER,
    ];
    let mut command = crate::support::client::as_account("wodadmin", &words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
