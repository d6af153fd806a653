//! A guest who is still at work: directories are exchanged for links to the outside while
//! their home is made, filled, given away and erased.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with, symlinkat};

use super::next_guest::Seat;
use super::{Accounts, Scratch, populate, snapshot};

const LONGEST: Duration = Duration::from_millis(700);

/// Where in the home what is exchanged, and for a link to which directory outside.
const SWAPS: [(&str, &str, &str); 5] = [
    ("", "WKSHP-Sample", "workshop"),
    ("", ".ssh", "home/.ssh"),
    ("", ".jupyter", "jupyter"),
    (".jupyter", "lab", "jupyter/lab"),
    ("WKSHP-Sample", "data", "workshop/data"),
];

#[test]
fn exchanges_while_publishing() {
    while_exchanging("publish", |seat| seat.publish().is_ok());
}

#[test]
fn exchanges_while_giving_away() {
    while_exchanging("own", |seat| {
        let _ = seat.publish();
        seat.own().is_ok()
    });
}

#[test]
fn exchanges_while_a_home_is_made() {
    while_exchanging("fresh, publish, own", |seat| {
        seat.fresh().is_ok() && seat.publish().is_ok() && seat.own().is_ok()
    });
}

#[test]
fn exchanges_while_erasing() {
    while_exchanging("erase, empty the trash", |seat| {
        let _ = seat.fresh();
        let _ = seat.publish();
        let erased = seat.erase().is_ok();
        let emptied = seat.homes.empty_trash(wod::domain::Time::now()).is_ok();
        erased && emptied
    });
}

/// Repeats `work` while the guest exchanges; then, without the guest, all goes well.
fn while_exchanging(what: &str, work: impl Fn(&Seat) -> bool) {
    let who = Accounts::of_this_run();
    let temp = tempfile::Builder::new().prefix("hostile-").tempdir();
    let scratch = Scratch(temp.expect("a directory"));
    let path = scratch.0.path();
    let (homes, outside) = (path.join("homes"), path.join("outside"));
    fs::create_dir_all(homes.join("student")).expect("mkdir");
    populate(&outside, who);
    // As the targets look inside, so that a link that is followed would fit.
    for dir in ["workshop/data/deep", "jupyter/lab/workspaces"] {
        fs::create_dir_all(outside.join(dir)).expect("mkdir");
    }
    fs::write(outside.join("workshop/0-ReadMeFirst.ipynb"), "canary").expect("write");
    let before = snapshot(&outside);
    let seat = Seat::new(&homes, who);
    let stop = AtomicBool::new(false);
    let (mut well, mut refused, mut exchanged) = (0, 0, 0);
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| exchange(&homes.join("student"), &outside, &stop));
        let until = Instant::now() + LONGEST;
        while Instant::now() < until {
            match work(&seat) {
                true => well += 1,
                false => refused += 1,
            }
        }
        stop.store(true, Ordering::SeqCst);
        exchanged = guest.join().expect("a guest");
    });
    println!("{what}: {well} went well, {refused} were refused, {exchanged} exchanges");
    assert!(exchanged > 0 && well + refused > 0);
    assert_eq!(before, snapshot(&outside), "the outside changed");
    for _ in 0..2 {
        seat.fresh().expect("a fresh home");
        seat.publish().expect("the content");
        seat.own().expect("the ownership");
    }
    super::next_guest::complete(&homes.join("student")).expect("the content");
    seat.homes
        .empty_trash(wod::domain::Time::now())
        .expect("an empty trash");
    assert_eq!(before, snapshot(&outside), "the outside changed");
}

/// Puts a link beside each directory, and exchanges the two. The guest stays below the home, by
/// handles: what changes outside is not their doing.
fn exchange(home: &Path, outside: &Path, stop: &AtomicBool) -> usize {
    let mut exchanged = 0;
    while !stop.load(Ordering::SeqCst) {
        for (place, name, target) in SWAPS {
            let inside = ResolveFlags::NO_SYMLINKS;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(dir) = openat2(CWD, home.join(place), flags, Mode::empty(), inside) else {
                continue;
            };
            let link = format!("{name}.swap");
            let _ = symlinkat(outside.join(target), &dir, &link);
            let done = renameat_with(&dir, name, &dir, &link, RenameFlags::EXCHANGE);
            exchanged += usize::from(done.is_ok());
        }
    }
    exchanged
}
