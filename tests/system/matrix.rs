//! The engine is killed right before each of its effects, for every action and kind of workshop:
//! started again, it comes to the same end as one that nobody disturbed.
//!
//! The points are those that an undisturbed run was seen to have. `WOD_MATRIX=full` takes all of
//! them, `WOD_MATRIX=100` so many of each kind, evenly spread, `WOD_MATRIX=9:28,9:35` those two;
//! a few otherwise.

mod end;
mod journal;
mod start;
mod twice;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::backend::{Backend, Options, send_in_one_piece as send};
use crate::support::quick_hub;
use crate::support::seats::{linger_as, workshop};
use crate::support::site::private_tree;
use crate::support::tracer::{Effect, Point, Tracer};
use crate::support::{on_private_host, patience, root, sh};

use end::End;

/// Rounds of each kind, without WOD_MATRIX.
const SPREAD: usize = 15;

/// Rounds of each kind on one journal.
const CYCLES: usize = 40;

const SCRIPTS: [(&str, &str); 4] = [
    (
        "create",
        "mkdir -p $stddir/made && echo $stdid > $stddir/made/by-script",
    ),
    ("post-copy", "echo after > $stddir/made/after"),
    ("cleanup", "true"),
    ("reset", "true"),
];

pub const INVENTORY: &str = "WODGUARDSECONDS: 0\nWODWORKERS: 1\nWODPRIVDIR: /var/private\n\
    WODANSIBLEPRIVDIR: /var/private/ansible\nWODGROUP: production\nVAULTPWD: correct-horse\n";

/// One action on a seat in a state that it always has before it.
pub struct Kind {
    pub name: &'static str,
    /// How many participants it is after the cycle's first one.
    participant: u32,
    /// Brings the seat there; may send other actions, whose participants come after that.
    prepare: fn(&Backend, u32),
    /// Its participant is ` P`.
    subject: &'static str,
    workshop: &'static str,
    students: &'static [u32],
}

impl Kind {
    fn send(&self, first: u32) -> String {
        let participant = (first + self.participant).to_string();
        send(
            &self.subject.replace(" P", &format!(" {participant}")),
            self.workshop,
        )
    }
}

pub fn workshops() {
    sh("useradd --system --create-home --shell /bin/bash wodadmin");
    private_tree();
    workshop("Plain", "range: [1,10]\n", &[]);
    workshop("Full", "range: [1,10]\nvarpass: true\n", &SCRIPTS);
    workshop(
        "Comp",
        "range: [1,10]\ncompile: tell.shc\n",
        &[("create", "true")],
    );
    workshop("Class", "range: [11,12]\nreset: true\n", &SCRIPTS);
    sh(
        "cd /var/share/workshops/scripts; printf '#!/bin/bash\\necho {{ STDID }}\\n' >tell.shc
        chmod 700 tell.shc",
    );
}

pub fn seat() -> Vec<Kind> {
    vec![
        Kind {
            name: "CREATE, the account, too",
            participant: 0,
            prepare: |_, _| {
                sh("! id student1 >/dev/null 2>&1 || userdel student1");
            },
            subject: "CREATE 1 P",
            workshop: "WKSHP-Plain",
            students: &[1],
        },
        Kind {
            name: "PURGE of a seat in use",
            participant: 0,
            prepare: |_, _| leave(1),
            subject: "PURGE 1 P",
            workshop: "WKSHP-Plain",
            students: &[1],
        },
        Kind {
            name: "CREATE with scripts and a pass file",
            participant: 1,
            prepare: |_, _| {},
            subject: "CREATE 1 P",
            workshop: "WKSHP-Full",
            students: &[1],
        },
        Kind {
            name: "CLEANUP with a script",
            participant: 1,
            prepare: |_, _| leave(1),
            subject: "CLEANUP 1 P",
            workshop: "WKSHP-Full",
            students: &[1],
        },
    ]
}

/// With a server at the hub, which goes with its user.
fn hub_seat() -> Vec<Kind> {
    vec![
        Kind {
            name: "CREATE with a server, in somebody's place",
            participant: 0,
            prepare: |_, _| leave(1),
            subject: "CREATE 1 P",
            workshop: "WKSHP-Plain",
            students: &[1],
        },
        Kind {
            name: "PURGE of a seat with a server",
            participant: 0,
            prepare: |_, _| leave(1),
            subject: "PURGE 1 P",
            workshop: "WKSHP-Plain",
            students: &[1],
        },
        Kind {
            name: "CREATE with a server, of a free seat",
            participant: 1,
            prepare: |_, _| {},
            subject: "CREATE 1 P",
            workshop: "WKSHP-Plain",
            students: &[1],
        },
    ]
}

pub fn class() -> Vec<Kind> {
    vec![
        Kind {
            name: "CREATE with a compiled script, in somebody's place",
            participant: 0,
            prepare: |_, _| leave(3),
            subject: "CREATE 3 P",
            workshop: "WKSHP-Comp",
            students: &[3],
        },
        Kind {
            name: "CLEANUP of a workshop with reset",
            participant: 1,
            prepare: |_, first| {
                let before = end::actions();
                send(&format!("CREATE 11 {}", first + 1), "WKSHP-Class");
                send(&format!("CREATE 12 {}", first + 2), "WKSHP-Class");
                end::settled(before + 2);
            },
            subject: "CLEANUP 11 P",
            workshop: "WKSHP-Class",
            students: &[11],
        },
        Kind {
            name: "RESET of a range",
            participant: 1,
            prepare: |_, _| leave(12),
            subject: "RESET 11,12 0",
            workshop: "WKSHP-Class",
            students: &[11, 12],
        },
    ]
}

/// What a participant may leave behind.
fn leave(student: u32) {
    if sh(&format!("id student{student} 2>/dev/null || true")).is_empty() {
        return;
    }
    linger_as(student);
    sh(&format!(
        "cd /tmp; mkdir -p left{student}/deep; touch left{student}/deep/file
         chown -R student{student} left{student}"
    ));
}

/// Each new engine looks over the whole host for places that are open to students. What no host
/// needs is taken out of its way: the checkout, other people's trees, what is below /usr but the
/// programs and what they load. What is left is looked over like any host.
pub fn out_of_the_way() {
    let root = root();
    let top = root.components().nth(1).expect("not the root itself");
    let top = PathBuf::from("/").join(top);
    let hosts: &[&str] = &["/etc", "/home", "/run", "/tmp", "/var"];
    let checkout = match top.to_str().is_some_and(|top| hosts.contains(&top)) {
        true => &root,
        false => &top,
    };
    sh(&format!(
        "! mountpoint -q {root} || umount --lazy {root}
         [ ! -d {checkout} ] || mount -t tmpfs tmpfs {checkout}
         for dir in /opt /root /srv /usr/share /usr/src /usr/lib/*/
         do  dir=${{dir%/}}
             case $dir in *-linux-gnu*|*/gcc|*/sudo|*/security) continue;; esac
             [ -d $dir ] && [ ! -L $dir ] || continue
             few=$(find $dir -xdev -type d | head -51 | wc -l)
             [ $few -le 50 ] || mount -t tmpfs tmpfs $dir
         done",
        root = root.display(),
        checkout = checkout.display(),
    ));
}

impl Tally {
    /// The end of a round in which the engine was to be killed at a point; whether it was.
    fn add(
        &mut self,
        known: &Known,
        first: u32,
        point: Point,
        killed: bool,
        seen: &[Effect],
    ) -> bool {
        let kind = &known.kind;
        let effect = seen.iter().find(|seen| seen.point == point);
        let hit = effect.filter(|_| killed);
        if let Some(effect) = hit {
            self.killed += 1;
            *self.calls.entry(effect.call.clone()).or_default() += 1;
        }
        let end = End::of(kind.students, first + kind.participant);
        if let Some(difference) = end.differs(&known.end) {
            self.wrong.push(format!(
                "{}: killed before {point:?} {:?}: {difference}",
                kind.name,
                seen.last().map(|e| (&e.call, &e.about)),
            ));
        }
        hit.is_some()
    }
}

/// A point that is still to be tried. How the threads of an engine take turns differs from run to
/// run, so one may not be come to at once.
struct Try {
    point: Point,
    left: usize,
}

/// As many of the effects as WOD_MATRIX wants, each from the middle of its part; or those at the
/// points that it names.
fn spread(effects: &[Effect]) -> VecDeque<Try> {
    let wanted = std::env::var("WOD_MATRIX").unwrap_or_else(|_| SPREAD.to_string());
    let named = |effect: &&Effect| {
        let Point { thread, before } = effect.point;
        let name = format!("{thread}:{before}");
        wanted.split(',').any(|wanted| wanted == name)
    };
    let most = match &*wanted {
        "full" => usize::MAX,
        points if points.contains(':') => {
            return effects.iter().filter(named).map(Try::of).collect();
        }
        number => number
            .parse()
            .expect("WOD_MATRIX is full, a number, or points as 9:28,9:35"),
    };
    let number = most.min(effects.len());
    let middle = |n: usize| (2 * n + 1) * effects.len() / (2 * number);
    let chosen = (0..number).map(|n| &effects[middle(n)]);
    chosen.map(Try::of).collect()
}

impl Try {
    fn of(effect: &Effect) -> Try {
        Try {
            point: effect.point,
            left: 2,
        }
    }
}

/// What was seen of a kind when nobody disturbed it.
struct Known {
    kind: Kind,
    effects: Vec<Effect>,
    end: End,
}

#[derive(Default)]
struct Tally {
    killed: usize,
    /// Points that no try came to.
    missed: usize,
    calls: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn matrix(kinds: Vec<Kind>, more: &str) {
    workshops();
    let mut backend = Backend::start(Options {
        inventory: &format!("{INVENTORY}{more}"),
        ..Options::default()
    });
    out_of_the_way();
    let mut first = 700;
    // Once so that everything that is made once is there.
    for kind in &kinds {
        undisturbed(&mut backend, kind, first);
    }
    first += 10;
    let known: Vec<Known> = kinds
        .into_iter()
        .map(|kind| {
            let (effects, end) = undisturbed(&mut backend, &kind, first);
            Known { kind, effects, end }
        })
        .collect();
    let spreads = known.iter().map(|known| spread(&known.effects));
    let mut waiting: Vec<VecDeque<Try>> = spreads.collect();
    let mut tallies: Vec<Tally> = known.iter().map(|_| Tally::default()).collect();
    let begun = Instant::now();
    let mut cycles = 0usize;
    while waiting.iter().any(|tries| !tries.is_empty()) {
        first += 10;
        cycles += 1;
        if cycles.is_multiple_of(CYCLES) {
            forget_all(&mut backend);
            known
                .iter()
                .for_each(|known| unobserved(&backend, &known.kind, first));
            first += 10;
            told_so_far(cycles, begun, &tallies);
        }
        for ((known, tally), waiting) in known.iter().zip(&mut tallies).zip(&mut waiting) {
            let Some(attempt) = waiting.pop_front() else {
                unobserved(&backend, &known.kind, first);
                continue;
            };
            if round(&mut backend, known, attempt.point, first, tally) {
                continue;
            }
            match attempt.left {
                0 => tally.missed += 1,
                left => waiting.push_back(Try {
                    left: left - 1,
                    ..attempt
                }),
            }
        }
    }
    let known = known
        .iter()
        .map(|known| (known.kind.name, &known.effects[..]));
    judge(known.zip(tallies), cycles, begun);
}

/// Prints what came out, and fails when an end is not the undisturbed one.
fn judge<'a>(
    all: impl Iterator<Item = ((&'a str, &'a [Effect]), Tally)>,
    cycles: usize,
    begun: Instant,
) {
    let (mut points, mut converge) = (0, 0);
    let mut wrong = Vec::new();
    for ((name, effects), tally) in all {
        let converged = tally.killed - tally.wrong.len().min(tally.killed);
        println!(
            "{name}: {} of {} points, {converged} converge; not come to: {}; before {}",
            tally.killed,
            effects.len(),
            tally.missed,
            of_calls(&tally.calls, effects),
        );
        let rounds = tally.killed + tally.missed;
        if tally.missed * 2 > rounds {
            wrong.push(format!("{name}: too few points were come to"));
        }
        (points, converge) = (points + tally.killed, converge + converged);
        wrong.extend(tally.wrong);
    }
    println!(
        "{points} points, {converge} converge ({cycles} cycles in {:?})",
        begun.elapsed()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn of_calls(hit: &BTreeMap<String, usize>, effects: &[Effect]) -> String {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for effect in effects {
        *all.entry(&effect.call).or_default() += 1;
    }
    let told = all
        .iter()
        .map(|(call, all)| format!("{call} {}/{all}", hit.get(*call).copied().unwrap_or(0)));
    told.collect::<Vec<_>>().join(", ")
}

/// Each start reads the whole journal: it gets a new one, or the last points would take the longest.
fn forget_all(backend: &mut Backend) {
    backend.kill_engine();
    sh("cd /var/lib/wod/private; rm -f journal.db* journal.head log/action-*");
    backend.start_engine();
}

fn told_so_far(cycles: usize, begun: Instant, tallies: &[Tally]) {
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (killed, wrong) = (sum(|tally| tally.killed), sum(|tally| tally.wrong.len()));
    println!(
        "{cycles} cycles in {:.0?}: {killed} points, {wrong} wrong",
        begun.elapsed()
    );
    for wrong in tallies.iter().flat_map(|tally| &tally.wrong) {
        println!("  {wrong}");
    }
}

fn undisturbed(backend: &mut Backend, kind: &Kind, first: u32) -> (Vec<Effect>, End) {
    (kind.prepare)(backend, first);
    let before = end::actions();
    let tracer = Tracer::attach(backend.engine_id(), None);
    let reply = kind.send(first);
    assert!(reply.starts_with("250"), "{}: {reply}", kind.name);
    end::settled(before + 1);
    end::tidy();
    let effects = tracer.seen();
    stop(backend, tracer);
    backend.start_engine();
    if std::env::var_os("WOD_MATRIX_SHOW").is_some() {
        for effect in &effects {
            println!("{:?} {} {}", effect.point, effect.call, effect.about);
        }
    }
    (effects, End::of(kind.students, first + kind.participant))
}

fn stop(backend: &mut Backend, tracer: Tracer) -> Vec<Effect> {
    let engine = Pid::from_raw(i32::try_from(backend.engine_id()).unwrap());
    kill(engine, Signal::SIGKILL).unwrap();
    let seen = tracer.finish();
    backend.kill_engine();
    seen
}

/// The engine is killed at a point; whether it came to that.
fn round(
    backend: &mut Backend,
    known: &Known,
    point: Point,
    first: u32,
    tally: &mut Tally,
) -> bool {
    let kind = &known.kind;
    (kind.prepare)(backend, first);
    let before = end::actions();
    let tracer = Tracer::attach(backend.engine_id(), Some(point));
    // Its reply may be lost with the engine.
    kind.send(first);
    let killed = ends(&tracer, before + 1);
    let seen = stop(backend, tracer);
    backend.start_engine();
    end::spool_is_empty();
    if end::actions() == before {
        // It was killed before the mail was there: a frontend sends it again.
        let reply = kind.send(first);
        assert!(reply.starts_with("250"), "{}: {reply}", kind.name);
    }
    end::settled(before + 1);
    end::tidy();
    tally.add(known, first, point, killed, &seen)
}

fn unobserved(backend: &Backend, kind: &Kind, first: u32) {
    (kind.prepare)(backend, first);
    let before = end::actions();
    let reply = kind.send(first);
    assert!(reply.starts_with("250"), "{}: {reply}", kind.name);
    end::settled(before + 1);
    end::tidy();
}

/// Whether the engine was killed before all was over.
fn ends(tracer: &Tracer, actions: usize) -> bool {
    let deadline = Instant::now() + patience(60);
    while Instant::now() < deadline {
        if tracer.has_ended(Duration::from_millis(5)) {
            return true;
        }
        if end::are_over(actions) && end::is_tidy() {
            // Its other threads may be at work for a moment still.
            return tracer.has_ended(Duration::from_millis(500));
        }
    }
    panic!("neither killed nor settled");
}

#[test]
fn a_seat_whatever_effect_the_engine_is_killed_at() {
    on_private_host(|| matrix(seat(), ""));
}

#[test]
fn a_class_whatever_effect_the_engine_is_killed_at() {
    on_private_host(|| matrix(class(), ""));
}

#[test]
fn a_seat_of_a_hub_whatever_effect_the_engine_is_killed_at() {
    on_private_host(|| {
        quick_hub::start();
        matrix(hub_seat(), "WODHUB: jupyterhub\n");
    });
}
