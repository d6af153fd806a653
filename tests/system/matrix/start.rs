//! An engine that finds an action half done is killed again, right before each effect of its own
//! start and of carrying on: the third one comes to the same end.

use std::collections::VecDeque;
use std::time::Instant;

use crate::support::backend::{Backend, Options};
use crate::support::on_private_host;
use crate::support::tracer::{Effect, Point, Tracer};

use super::end::{self, End};
use super::{
    CYCLES, INVENTORY, Kind, Known, Tally, Try, ends, forget_all, judge, out_of_the_way, seat,
    spread, stop, told_so_far, undisturbed, unobserved, workshops,
};

/// The first engine is killed in the middle; what the second one does until it is over, or until
/// it is killed, too.
fn twice_killed(
    backend: &mut Backend,
    kind: &Kind,
    middle: Point,
    first: u32,
    point: Option<Point>,
) -> (bool, Vec<Effect>) {
    (kind.prepare)(backend, first);
    let before = end::actions();
    let tracer = Tracer::attach(backend.engine_id(), Some(middle));
    kind.send(first);
    ends(&tracer, before + 1);
    stop(backend, tracer);
    backend.start_engine_stopped();
    let tracer = Tracer::attach(backend.engine_id(), point);
    let killed = ends(&tracer, before + 1);
    let seen = stop(backend, tracer);
    backend.start_engine();
    end::settled(before + 1);
    end::tidy();
    (killed, seen)
}

#[test]
fn a_start_whatever_effect_the_engine_is_killed_at() {
    on_private_host(|| {
        workshops();
        let mut backend = Backend::start(Options {
            inventory: INVENTORY,
            ..Options::default()
        });
        out_of_the_way();
        let mut kinds = seat().into_iter().skip(2);
        let (create, cleanup) = (kinds.next().unwrap(), kinds.next().unwrap());
        for first in [700, 710] {
            undisturbed(&mut backend, &create, first);
            unobserved(&backend, &cleanup, first);
        }
        let (effects, end) = undisturbed(&mut backend, &create, 720);
        unobserved(&backend, &cleanup, 720);
        let middle = middle(&effects);
        let (_, effects) = twice_killed(&mut backend, &create, middle, 730, None);
        let sound = End::of(create.students, 730 + create.participant).differs(&end);
        assert_eq!(sound, None);
        unobserved(&backend, &cleanup, 730);
        let known = Known {
            kind: create,
            effects,
            end,
        };
        let mut waiting: VecDeque<Try> = spread(&known.effects);
        let (begun, mut cycles, mut tally) = (Instant::now(), 0u32, Tally::default());
        while let Some(attempt) = waiting.pop_front() {
            cycles += 1;
            let mut first = 740 + 20 * cycles;
            if (cycles as usize).is_multiple_of(CYCLES) {
                forget_all(&mut backend);
                unobserved(&backend, &known.kind, first);
                unobserved(&backend, &cleanup, first);
                first += 10;
                told_so_far(cycles as usize, begun, std::slice::from_ref(&tally));
            }
            let point = attempt.point;
            let (killed, seen) =
                twice_killed(&mut backend, &known.kind, middle, first, Some(point));
            let hit = tally.add(&known, first, point, killed, &seen);
            unobserved(&backend, &cleanup, first);
            match (hit, attempt.left) {
                (true, _) => {}
                (false, 0) => tally.missed += 1,
                (false, left) => waiting.push_back(Try {
                    left: left - 1,
                    ..attempt
                }),
            }
        }
        let kind = ("start with an action half done", &known.effects[..]);
        judge([(kind, tally)].into_iter(), cycles as usize, begun);
    });
}

/// The first engine dies with a file half made: the pass file, with a password in it.
fn middle(effects: &[Effect]) -> Point {
    let pass_file = effects
        .iter()
        .find(|e| e.call == "rename" && e.about.contains("variables_WKSHP-Full_1.yml"));
    pass_file.expect("a pass file in the making").point
}
