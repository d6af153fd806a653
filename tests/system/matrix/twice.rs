//! Every step of every kind of plan is carried out twice: its completion cannot be recorded, the
//! engine is killed, and the next one does it again.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Options};
use crate::support::{on_private_host, patience};

use super::end::{self, End};
use super::{INVENTORY, Kind, class, out_of_the_way, seat, workshops};

fn again(step: usize) {
    end::change(&format!(
        "drop trigger if exists unrecorded;
         create trigger unrecorded before insert on events
         when json_extract(new.event, '$.event') = 'step-done'
             and json_extract(new.event, '$.step') = {step}
         begin select raise(abort, 'this step is not recorded'); end;"
    ));
}

fn undisturbed(backend: &Backend, kind: &Kind, first: u32) -> End {
    (kind.prepare)(backend, first);
    let before = end::actions();
    kind.send(first);
    end::settled(before + 1);
    end::tidy();
    End::of(kind.students, first + kind.participant)
}

/// How many steps were carried out twice, and the end.
fn twice(backend: &mut Backend, kind: &Kind, first: u32) -> (usize, End) {
    (kind.prepare)(backend, first);
    let actions = end::actions() + 1;
    backend.kill_engine();
    again(0);
    let mut step = 0;
    let mut told = backend.log().len();
    backend.start_engine();
    kind.send(first);
    while !step_is_done(backend, told, actions) {
        backend.kill_engine();
        step += 1;
        again(step);
        told = backend.log().len();
        backend.start_engine();
    }
    backend.kill_engine();
    end::change("drop trigger unrecorded");
    backend.start_engine();
    end::tidy();
    (step, End::of(kind.students, first + kind.participant))
}

/// Whether the action is over; or else its step is to be done again.
fn step_is_done(backend: &Backend, told: usize, actions: usize) -> bool {
    let deadline = Instant::now() + patience(20);
    while Instant::now() < deadline {
        if backend.log()[told..].contains("this step is not recorded") {
            return false;
        }
        if end::are_over(actions) {
            return true;
        }
        thread::sleep(Duration::from_millis(4));
    }
    panic!("neither over nor failed");
}

#[test]
fn every_step_is_run_twice() {
    on_private_host(|| {
        workshops();
        let mut backend = Backend::start(Options {
            inventory: INVENTORY,
            ..Options::default()
        });
        out_of_the_way();
        let kinds: Vec<Kind> = seat().into_iter().chain(class()).collect();
        let mut known = Vec::new();
        for first in [700, 710] {
            let ends = kinds.iter().map(|kind| undisturbed(&backend, kind, first));
            known = ends.collect();
        }
        let mut all = 0;
        let mut wrong = Vec::new();
        for (kind, known) in kinds.iter().zip(&known) {
            let (steps, end) = twice(&mut backend, kind, 720);
            println!("{}: {steps} steps run twice", kind.name);
            all += steps;
            wrong.extend(
                end.differs(known)
                    .map(|how| format!("{}: {how}", kind.name)),
            );
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(all > 80, "only {all} steps");
    });
}
