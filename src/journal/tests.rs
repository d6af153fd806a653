//! Accepting, refusing and letting go on, on a journal in a directory of its own.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::domain::{Action, ActionId, Participant, Seat, StudentRange, Time, Verb};
use crate::plan::{Plan, Step};

const WINDOW: Duration = Duration::from_secs(600);

mod watchdog;

struct Desk {
    journal: Journal,
    mails: u32,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn open() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        Desk {
            journal: Journal::open(&dir.path().join("journal.db")).unwrap(),
            mails: 0,
            _dir: dir,
        }
    }

    /// One more mail without Message-ID.
    fn mail(&mut self, verb: Verb, student: u32, participant: u32) -> Accepted {
        self.accept(verb, student, participant, None)
    }

    fn accept(&mut self, verb: Verb, student: u32, who: u32, refusal: Option<&str>) -> Accepted {
        self.mails += 1;
        let students = range(student, student);
        let action = Action {
            verb,
            seat: Seat::Students(students),
            participant: Participant::new(who),
            email: None,
            workshop: Some("WKSHP-X".parse().unwrap()),
        };
        let spooled = self.mails.to_string();
        let origin = Origin {
            spooled: &spooled,
            message_id: None,
            route: "smtp",
        };
        let now = Time(i64::from(self.mails));
        let journal = &self.journal;
        let accepted = journal.accept(&action, students, &origin, refusal, now, WINDOW);
        accepted.unwrap()
    }

    fn fresh(&mut self, verb: Verb, student: u32, participant: u32) -> ActionId {
        match self.mail(verb, student, participant) {
            Accepted::New(id) => id,
            Accepted::Duplicate(id) => panic!("a duplicate of {id}"),
        }
    }

    fn note(&self, id: ActionId, event: Event) {
        let mut cursor = self.journal.follow(id).unwrap();
        let noted = self
            .journal
            .record(&mut cursor, &event, Time(99), Durability::Process);
        noted.unwrap();
    }

    fn hold(&self, id: ActionId) {
        let steps = vec![Step::ForgetSecrets];
        let plan = Plan {
            guards: Vec::new(),
            steps,
        };
        self.note(id, Event::Planned { plan });
        self.note(id, Event::Held { line: "no".into() });
    }
}

#[test]
fn begun_is_what_something_happened_to() {
    let mut desk = Desk::open();
    let waiting = desk.fresh(Verb::Create, 1, 7);
    let held = desk.fresh(Verb::Create, 2, 8);
    desk.hold(held);
    desk.accept(Verb::Purge, 3, 9, Some("no seat"));
    let over = desk.fresh(Verb::Create, 4, 10);
    desk.hold(over);
    desk.note(over, Event::Cancelled);
    assert_eq!(desk.journal.begun().unwrap(), [held]);
    let fresh = desk.journal.follow(waiting).unwrap().state;
    assert_eq!((fresh.stage, fresh.next), (State::default().stage, 0));
}

fn range(first: u32, last: u32) -> StudentRange {
    format!("{first},{last}").parse().unwrap()
}

#[test]
fn a_wish_is_repeated_until_something_goes_another_way() {
    let mut desk = Desk::open();
    let first = desk.fresh(Verb::Create, 1, 7);
    assert_eq!(desk.mail(Verb::Create, 1, 7), Accepted::Duplicate(first));
    desk.fresh(Verb::Create, 2, 7);
    assert_eq!(desk.mail(Verb::Create, 1, 7), Accepted::Duplicate(first));
    desk.fresh(Verb::Create, 1, 8);
    let again = desk.fresh(Verb::Create, 1, 7);
    assert_eq!(desk.mail(Verb::Create, 1, 7), Accepted::Duplicate(again));
    let cleanup = desk.fresh(Verb::Cleanup, 1, 7);
    desk.fresh(Verb::Purge, 1, 7);
    assert_eq!(desk.mail(Verb::Cleanup, 1, 7), Accepted::Duplicate(cleanup));
    desk.fresh(Verb::Create, 1, 7);
    let cleanup = desk.fresh(Verb::Cleanup, 1, 7);
    desk.fresh(Verb::Create, 1, 8);
    let late = desk.mail(Verb::Cleanup, 1, 7);
    assert_eq!(late, Accepted::Duplicate(cleanup), "the seat is 8's now");
    desk.fresh(Verb::Cleanup, 1, 8);
}

#[test]
fn what_came_to_nothing_may_be_asked_for_again() {
    let mut desk = Desk::open();
    let first = desk.fresh(Verb::Create, 1, 7);
    desk.hold(first);
    assert_eq!(desk.mail(Verb::Create, 1, 7), Accepted::Duplicate(first));
    desk.note(first, Event::Cancelled);
    desk.fresh(Verb::Create, 1, 7);
    let refused = desk.accept(Verb::Purge, 1, 7, Some("no seat"));
    let Accepted::New(refused) = refused else {
        panic!("{refused:?}")
    };
    // Over at once: nobody finds it open, whatever is killed when.
    let state = desk.journal.follow(refused).unwrap().state;
    assert_eq!(
        (state.stage, state.line.as_deref()),
        (Stage::Refused, Some("no seat"))
    );
    let open = desk.journal.list(Filter::Open).unwrap();
    assert!(open.iter().all(|row| row.id != refused));
    desk.fresh(Verb::Purge, 1, 7);
}

#[test]
fn only_a_held_action_whose_seat_is_still_its_own_goes_on() {
    let mut desk = Desk::open();
    let first = desk.fresh(Verb::Create, 1, 7);
    let retry = |desk: &Desk| desk.journal.retry(first, Time(100));
    let error = retry(&desk).unwrap_err().to_string();
    assert_eq!(error, "action 1 is waiting; only held ones are retried");
    desk.hold(first);
    desk.accept(Verb::Purge, 1, 9, Some("no seat"));
    desk.fresh(Verb::Create, 2, 8);
    retry(&desk).unwrap();
    desk.note(first, Event::Held { line: "no".into() });
    desk.fresh(Verb::Purge, 1, 7);
    let error = retry(&desk).unwrap_err().to_string();
    assert!(
        error.starts_with("action 1 is not retried: action 4 has"),
        "{error}"
    );
    assert!(desk.journal.retry(ActionId(99), Time(0)).is_err());
}

#[test]
fn who_had_a_seat_before_takes_it_from_nobody() {
    let mut desk = Desk::open();
    let late = |desk: &Desk, id| {
        let row = desk.journal.action(id).unwrap();
        desk.journal.superseded(&row).unwrap()
    };
    let first = desk.fresh(Verb::Create, 1, 7);
    let cleanup = desk.fresh(Verb::Cleanup, 1, 7);
    let purge = desk.fresh(Verb::Purge, 1, 7);
    let second = desk.fresh(Verb::Create, 1, 8);
    let by_8 = Some((second, Participant::new(8)));
    // Accepted before the seat was given away, and after.
    assert_eq!((late(&desk, cleanup), late(&desk, purge)), (None, None));
    assert_eq!((late(&desk, first), late(&desk, second)), (None, None));
    let reset = desk.fresh(Verb::Reset, 1, 7);
    assert_eq!(late(&desk, reset), by_8);
    let again = desk.accept(Verb::Purge, 1, 7, None);
    assert_eq!(again, Accepted::Duplicate(purge), "within the window");
    // Somebody who was never there, nobody, and its own.
    for who in [99, 0, 8] {
        let id = desk.fresh(Verb::Purge, 1, who);
        assert_eq!(late(&desk, id), None, "{who}");
    }
    // It was given back since, so nobody is hit.
    let free = desk.fresh(Verb::Cleanup, 1, 6);
    assert_eq!(late(&desk, free), None);
    let third = desk.fresh(Verb::Create, 1, 9);
    desk.note(third, Event::CancelAsked);
    desk.note(third, Event::Cancelled);
    desk.fresh(Verb::Create, 1, 7);
    let own = desk.fresh(Verb::Cleanup, 1, 7);
    assert_eq!(late(&desk, own), None, "it is 7's again");
}

#[test]
fn what_others_wrote_is_noticed_once() {
    let mut desk = Desk::open();
    let first = desk.fresh(Verb::Create, 1, 7);
    desk.hold(first);
    let noticed = |desk: &Desk| desk.journal.written_elsewhere().unwrap();
    assert!(noticed(&desk), "nothing was looked at before");
    desk.fresh(Verb::Create, 2, 8);
    assert!(!noticed(&desk), "our own");
    let command = Journal::open_beside(desk.journal.path()).unwrap();
    command.list(Filter::Open).unwrap();
    assert!(!noticed(&desk), "only read");
    command.retry(first, Time(100)).unwrap();
    assert!(noticed(&desk));
    assert!(!noticed(&desk));
}

#[test]
fn a_journal_that_somebody_writes_is_whole() {
    let mut desk = Desk::open();
    let path = desk.journal.path().to_owned();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for participant in 1.. {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                desk.fresh(Verb::Create, 1, participant);
            }
        });
        let opened: Vec<_> = (0..40).map(|_| Journal::open(&path).map(drop)).collect();
        is_over.store(true, Ordering::SeqCst);
        for one in opened {
            one.unwrap();
        }
    });
}

#[test]
fn who_gets_a_seat_takes_it_from_who_had_it() {
    let journal = Desk::open().journal;
    let student = crate::domain::Student::new(3).unwrap();
    let asked = "WKSHP-X".parse().unwrap();
    for id in [900, 825] {
        journal
            .enrol(Participant::new(id), student, &asked, None)
            .unwrap();
    }
    let of = |id| journal.participant(Participant::new(id)).unwrap().unwrap();
    assert_eq!((of(900).student, of(825).student), (None, Some(student)));
    let [seat] = &journal.seats().unwrap()[..] else {
        panic!("one seat")
    };
    assert_eq!(seat.participant.as_ref().unwrap().id, Participant::new(825));
    // A seat for nobody is nobody's.
    journal
        .enrol(Participant::new(0), student, &asked, None)
        .unwrap();
    assert_eq!(of(825).student, None);
}

#[test]
fn a_file_that_is_no_journal_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    drop(Journal::open(&path).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = opened(&path).unwrap_err().to_string();
        assert!(std::fs::read(&path).unwrap() == bytes, "{error}");
        error
    };
    let truncated = &whole[..whole.len() / 2];
    for bytes in [
        &b"no database at all, but somebody's notes"[..],
        truncated,
        &whole[..20],
    ] {
        let error = refused(bytes);
        assert!(
            error.contains("is damaged") && error.contains("journal.db"),
            "{error}"
        );
    }
    let mut future = whole.clone();
    future[60..64].copy_from_slice(&7u32.to_be_bytes());
    assert!(refused(&future).contains("is of version 7, this wod knows version 2"));
    std::fs::write(&path, &whole).unwrap();
    opened(&path).unwrap();
}

fn opened(path: &Path) -> Result<()> {
    Journal::open(path).map(drop)
}

#[test]
fn what_was_over_long_ago_leaves_and_its_id_stays_taken() {
    let mut desk = Desk::open();
    let ids = [1, 2, 3, 4].map(|student| desk.fresh(Verb::Create, student, 7));
    for id in [ids[0], ids[1], ids[3]] {
        desk.note(id, Event::Cancelled);
    }
    let outdated = |before, most| desk.journal.outdated(Time(before), most).unwrap();
    assert_eq!(outdated(99, 9), [], "their ends are from 99");
    assert_eq!(outdated(100, 1), [ids[0]]);
    let all = outdated(100, 9);
    assert_eq!(all, [ids[0], ids[1], ids[3]]);
    desk.journal.prune(&ids).unwrap();
    let left = desk.journal.list(Filter::Newest(9)).unwrap();
    let left: Vec<_> = left.iter().map(|row| row.id).collect();
    assert_eq!(left, [ids[2]], "it is not over");
    assert!(desk.journal.happenings(ids[3]).unwrap().is_empty());
    assert_eq!(desk.fresh(Verb::Create, 5, 7), ActionId(5));
    assert_eq!(check(desk.journal.path()).unwrap(), []);
}

fn empty_plan() -> Event {
    let (guards, steps) = (Vec::new(), Vec::new());
    Event::Planned {
        plan: Plan { guards, steps },
    }
}

#[test]
fn what_was_flushed_is_durable_also_while_somebody_reads() {
    let mut desk = Desk::open();
    let id = desk.fresh(Verb::Create, 1, 7);
    desk.journal.flush().unwrap();
    // SQLite checkpoints nothing more then, and so syncs nothing.
    let reader = rusqlite::Connection::open(desk.journal.path()).unwrap();
    reader
        .execute_batch("begin; select count(*) from actions;")
        .unwrap();
    let durable = || match head::remembered(desk.journal.path()).unwrap() {
        head::Remembered::Head(head) => head.tick,
        other => panic!("{other:?}"),
    };
    let before = durable();
    desk.note(id, empty_plan());
    assert_eq!(
        durable(),
        before,
        "it survives a kill, not the end of power"
    );
    desk.journal.flush().unwrap();
    assert_eq!(durable(), before + 1);
}

#[test]
fn what_fails_at_its_commit_has_not_happened() {
    let mut desk = Desk::open();
    let id = desk.fresh(Verb::Create, 1, 7);
    let spoiled = "pragma foreign_keys = on;
        create table parent (id integer primary key);
        create table child (id references parent (id) deferrable initially deferred);
        create trigger spoil after insert on events begin insert into child values (1); end;";
    desk.journal.lock().execute_batch(spoiled).unwrap();
    let mut cursor = desk.journal.follow(id).unwrap();
    let mut plan = || {
        let journal = &desk.journal;
        let recorded = journal.record(&mut cursor, &empty_plan(), Time(5), Durability::Process);
        (recorded.is_ok(), cursor.state.plan.is_some())
    };
    assert_eq!(plan(), (false, false));
    desk.journal
        .lock()
        .execute_batch("drop trigger spoil")
        .unwrap();
    assert_eq!(plan(), (true, true));
    assert_eq!(desk.journal.happenings(id).unwrap().len(), 1);
}

#[test]
fn letters_that_are_refused_keep_no_other_waiting() {
    let desk = Desk::open();
    for number in 0..150 {
        let subject = number.to_string();
        desk.journal.write_letter(&subject, "", Time(5)).unwrap();
    }
    let subjects = || -> Vec<String> {
        let next = desk.journal.letters().unwrap().into_iter();
        next.map(|letter| letter.subject).collect()
    };
    for _ in 0..9 {
        for letter in desk.journal.letters().unwrap() {
            desk.journal.letter_failed(letter.id).unwrap();
        }
        assert_eq!(subjects()[0], "0", "a server that is away changes no order");
    }
    for letter in desk.journal.letters().unwrap() {
        desk.journal.letter_failed(letter.id).unwrap();
    }
    let next = subjects();
    assert_eq!(next.len(), 100);
    assert_eq!([&next[0], &next[49], &next[50]], ["100", "149", "0"]);
}
