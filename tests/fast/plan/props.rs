//! What holds for every plan, whatever the action and the facts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wod::domain::{
    Action, AskedWorkshop, Participant, Seat, Student, StudentRange, Variant, Verb, Workshop,
};
use wod::plan::{Facts, Guard, Plan, Step, describe, plan};
use wod::ports::{Overlay, Phase};

use super::workshop;

fn students() -> impl Strategy<Value = StudentRange> {
    (1_u32..2000, 0_u32..4).prop_map(|(first, more)| {
        let student = |number| Student::new(number).unwrap();
        StudentRange::new(student(first), student(first + more)).unwrap()
    })
}

fn a_workshop() -> impl Strategy<Value = Workshop> {
    let flags = prop::array::uniform5(any::<bool>());
    let range = prop::option::weighted(0.3, students());
    let compile = prop::collection::vec("[a-z]{1,8}\\.sh", 0..3);
    (flags, range, compile).prop_map(|(flags, range, compile)| {
        let [reset, ldap, varpass, monoappliance, multiappliance] = flags;
        Workshop {
            range,
            reset,
            ldap,
            varpass,
            monoappliance,
            multiappliance,
            compile,
            ..workshop("WKSHP-X", BTreeMap::new())
        }
    })
}

fn scripts() -> impl Strategy<Value = BTreeMap<Phase, Vec<Overlay>>> {
    let overlays = prop::sample::subsequence(vec![Overlay::Public, Overlay::Private], 0..=2);
    prop::collection::btree_map(prop::sample::select(&Phase::ALL[..]), overlays, 0..=4)
}

fn asked() -> impl Strategy<Value = (Action, Facts)> {
    let verb = prop::sample::select(&Verb::ALL[..]);
    let participant = prop_oneof![Just(0), 1_u32..9000].prop_map(Participant::new);
    let facts = (
        prop::option::weighted(0.9, a_workshop()),
        scripts(),
        any::<bool>(),
        any::<bool>(),
    );
    (verb, students(), participant, any::<bool>(), facts).prop_map(
        |(verb, students, participant, challenge, facts)| {
            let (workshop, scripts, directory, awaits_cleanup) = facts;
            let students = match verb {
                Verb::Reset => students,
                _ => StudentRange::one(students.first()),
            };
            let variant = match challenge {
                true => Variant::Challenge,
                false => Variant::Workshop,
            };
            let asked = workshop.as_ref().map(|workshop| AskedWorkshop {
                name: workshop.name.clone(),
                variant,
            });
            let action = Action {
                verb,
                seat: Seat::Students(students),
                participant,
                email: None,
                workshop: asked,
            };
            let facts = Facts {
                students,
                workshop,
                scripts,
                directory,
                awaits_cleanup,
            };
            (action, facts)
        },
    )
}

/// The student that a step is for, read from its JSON so that no new step is forgotten here.
fn student_of(step: &Step) -> Option<u32> {
    let value = serde_json::to_value(step).unwrap();
    Some(u32::try_from(value.get("student")?.as_u64()?).unwrap())
}

fn participant_of(step: &Step) -> Option<u32> {
    let value = serde_json::to_value(step).unwrap();
    Some(u32::try_from(value.get("participant")?.as_u64()?).unwrap())
}

fn place(plan: &Plan, wanted: impl Fn(&Step) -> bool) -> Option<usize> {
    plan.steps.iter().position(wanted)
}

fn last_place(plan: &Plan, wanted: impl Fn(&Step) -> bool) -> Option<usize> {
    plan.steps.iter().rposition(wanted)
}

/// Whether all of these that are in the plan come before all of those.
fn in_order(plan: &Plan, first: &[Step], then: &[Step]) -> bool {
    let places = |steps: &[Step]| -> Vec<usize> {
        let found = steps.iter().filter_map(|s| place(plan, |step| step == s));
        found.collect()
    };
    places(first).into_iter().max() < places(then).into_iter().min()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn nobody_else_is_touched((action, facts) in asked()) {
        let Ok(plan) = plan(&action, &facts) else { return Ok(()) };
        for step in &plan.steps {
            if let Some(number) = student_of(step) {
                prop_assert!(facts.students.contains(Student::new(number).unwrap()), "{step}");
            }
            if let Some(participant) = participant_of(step) {
                prop_assert_eq!(participant, action.participant.id());
                prop_assert!(participant != 0, "{}", step);
            }
        }
        for Guard::Cleaned { participant } in &plan.guards {
            prop_assert_eq!(*participant, action.participant);
            prop_assert!(!participant.is_nobody() && facts.awaits_cleanup);
        }
    }

    #[test]
    fn what_is_minted_is_set_reported_and_forgotten((action, facts) in asked()) {
        let Ok(plan) = plan(&action, &facts) else { return Ok(()) };
        if plan.steps.is_empty() {
            prop_assert_eq!(action.verb, Verb::Reset);
            return Ok(());
        }
        prop_assert_eq!(plan.steps.last(), Some(&Step::ForgetSecrets));
        let forgets = plan.steps.iter().filter(|s| **s == Step::ForgetSecrets);
        prop_assert_eq!(forgets.count(), 1);
        for student in facts.students.students() {
            let minted = place(&plan, |s| *s == Step::MintPassword { student });
            prop_assert!(minted.is_some());
            let set = Step::AccountPassword { student };
            let told = Step::ReportPassword { student };
            prop_assert!(minted < place(&plan, |s| *s == set));
            // Whoever reads the registry must be able to log in with what stands there.
            prop_assert!(place(&plan, |s| *s == set) < place(&plan, |s| *s == told));
            let uses = place(&plan, |s| {
                matches!(s, Step::DirectoryPassword { student: of, .. } | Step::WritePassFile { student: of, .. }
                    | Step::RunScript { student: of, .. } if *of == student)
            });
            prop_assert!(uses.is_none_or(|uses| minted < Some(uses)));
            let written = last_place(&plan, |s| matches!(s, Step::WritePassFile { student: of, .. } if *of == student));
            let dropped = last_place(&plan, |s| matches!(s, Step::DropPassFile { student: of, .. } if *of == student));
            prop_assert!(written.is_none() || written < dropped);
        }
    }

    #[test]
    fn free_is_said_of_clean_seats_only((action, facts) in asked()) {
        let Ok(plan) = plan(&action, &facts) else { return Ok(()) };
        for (at, step) in plan.steps.iter().enumerate() {
            let Step::ReportAssigned { student, assigned: false } = *step else { continue };
            let before = |wanted: Step| plan.steps[..at].iter().rposition(|s| *s == wanted);
            let erased = before(Step::EraseHome { student });
            let swept = before(Step::SweepLeftovers { student });
            let verified = before(Step::VerifySeat { student });
            prop_assert!(erased.is_some() && swept.is_some());
            prop_assert!(erased < verified && swept < verified);
            let stopped = before(Step::StopServer { student });
            let ended = place(&plan, |s| *s == Step::EndProcesses { student });
            prop_assert!(stopped.is_some() && stopped < ended && ended < erased);
            // Nothing is given to the seat between the look and the word.
            let given = plan.steps[verified.unwrap()..at].iter().any(|s| {
                matches!(s, Step::FreshHome { .. } | Step::PublishContent { .. } | Step::RunScript { .. }
                    | Step::StartServer { .. } | Step::OwnHome { .. } | Step::CompileScripts { .. })
            });
            prop_assert!(!given, "{}", describe(&plan));
        }
        let frees = plan.steps.iter().any(|s| matches!(s, Step::ReportAssigned { assigned: false, .. }));
        let reset = facts.workshop.as_ref().is_some_and(|workshop| workshop.reset);
        let wanted = match action.verb {
            Verb::Create => false,
            Verb::Cleanup => !reset,
            Verb::Reset | Verb::Purge => true,
        };
        prop_assert_eq!(frees, wanted && !plan.steps.is_empty());
    }

    #[test]
    fn nobody_is_on_the_seat_while_it_is_made((action, facts) in asked()) {
        let Ok(plan) = plan(&action, &facts) else { return Ok(()) };
        let student = facts.students.first();
        if action.verb == Verb::Create {
            let out = [
                Step::LockAccount { student },
                Step::StopServer { student },
                Step::EndProcesses { student },
                Step::EraseHome { student },
            ];
            let made = [Step::FreshHome { student }, Step::OwnHome { student }, Step::StartServer { student }];
            prop_assert!(in_order(&plan, &out, &made));
            // The account opens only when all is the student's.
            let owned = last_place(&plan, |s| *s == Step::OwnHome { student });
            let opened = place(&plan, |s| *s == Step::AccountPassword { student });
            prop_assert!(owned.is_some() && owned < opened);
        }
    }

    #[test]
    fn the_journal_gives_back_the_same_plan((action, facts) in asked()) {
        let Ok(plan) = plan(&action, &facts) else { return Ok(()) };
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Plan>(&text).unwrap(), &plan);
        prop_assert!(!text.contains("password\":\""), "{}", text);
        let facts_text = serde_json::to_string(&facts).unwrap();
        prop_assert_eq!(serde_json::from_str::<Facts>(&facts_text).unwrap(), facts);
        prop_assert_eq!(describe(&plan).lines().count(), plan.steps.len() + plan.guards.len());
    }
}
