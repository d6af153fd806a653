//! What happens to machines: processes die, disks fill up or turn read-only, each for a moment.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::backend::{Backend, STATE};
use crate::support::chance::Chance;
use crate::support::sh;

/// How often each was done.
#[derive(Debug, Default)]
pub struct Count {
    intake_killed: usize,
    engine_killed: usize,
    journal_full: usize,
    spool_full: usize,
    spool_read_only: usize,
}

fn pause(chance: &mut Chance, least: u64, most: u64) {
    thread::sleep(Duration::from_millis(least + chance.below(most - least)));
}

pub fn until(backend: &mut Backend, over: &AtomicBool, seed: u64) -> Count {
    let mut chance = Chance(seed);
    let mut count = Count::default();
    let mut left = Vec::new();
    while !over.load(Ordering::SeqCst) {
        pause(&mut chance, 100, 900);
        // Each of them once, in another order each time.
        if left.is_empty() {
            left.extend(0..5);
        }
        let nth = chance.below(left.len() as u64);
        match left.swap_remove(usize::try_from(nth).unwrap()) {
            0 => {
                sh("pkill -KILL -u wodmail || true");
                count.intake_killed += 1;
            }
            1 => {
                backend.kill_engine();
                pause(&mut chance, 1, 400);
                backend.start_engine();
                count.engine_killed += 1;
            }
            2 => {
                fill(STATE);
                pause(&mut chance, 50, 800);
                make_room(STATE);
                count.journal_full += 1;
            }
            3 => {
                fill(&format!("{STATE}/spool"));
                pause(&mut chance, 50, 800);
                make_room(&format!("{STATE}/spool"));
                count.spool_full += 1;
            }
            _ => {
                // Refused while a file is open for writing, so it takes some tries.
                let tries = "for n in $(seq 500); do mount -o remount,ro $0 2>/dev/null && echo yes && break; done";
                if sh(&format!("bash -c '{tries}' {STATE}/spool || true")).is_empty() {
                    continue;
                }
                pause(&mut chance, 50, 800);
                sh(&format!("mount -o remount,rw {STATE}/spool"));
                count.spool_read_only += 1;
            }
        }
    }
    count
}

/// To the last byte. In the spool under a name that is not looked at.
fn fill(dir: &str) {
    for (name, block) in [(".filler", "1M"), (".filler2", "4k"), (".filler3", "1")] {
        let count = if block == "1" { "count=4096" } else { "" };
        sh(&format!(
            "dd if=/dev/zero of={dir}/{name} bs={block} {count} 2>/dev/null || true"
        ));
    }
}

fn make_room(dir: &str) {
    for name in [".filler", ".filler2", ".filler3"] {
        let _ = fs::remove_file(format!("{dir}/{name}"));
    }
}
