//! When the hub last saw students do something: asked seldom and beside the watching, which waits for
//! no hub. While nobody answers, nothing is known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::snapshot::Seat;
use crate::domain::{Student, Time};
use crate::ports::{Fault, Hub};

/// Servers tell the hub every five minutes, and limits are hours.
const AGAIN: Duration = Duration::from_secs(180);

pub struct Activity {
    last_seen: LastSeen,
    known: Arc<Mutex<Known>>,
}

/// What a hub says when it is asked; None from one that never knows.
type LastSeen = Arc<dyn Fn() -> Result<Option<BTreeMap<Student, Time>>, Fault> + Send + Sync>;

#[derive(Default)]
struct Known {
    times: BTreeMap<Student, Time>,
    is_silent: bool,
}

/// Whether there is anything to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Again,
    Never,
}

impl Activity {
    pub fn new(hub: Arc<dyn Hub>) -> Activity {
        Activity::told_by(Arc::new(move || hub.last_activity()))
    }

    fn told_by(last_seen: LastSeen) -> Activity {
        Activity {
            last_seen,
            known: Arc::default(),
        }
    }

    /// Asks again and again, for as long as somebody has this.
    pub fn go_on(&self) {
        let (last_seen, known) = (Arc::clone(&self.last_seen), Arc::downgrade(&self.known));
        let work = move || {
            while let Some(known) = known.upgrade()
                && ask(&last_seen, &known) == Answer::Again
            {
                drop(known);
                thread::sleep(AGAIN);
            }
        };
        let thread = thread::Builder::new().name("activity".to_owned());
        if let Err(e) = thread.spawn(work) {
            tracing::warn!("rule idle says nothing: {e}");
        }
    }

    /// Asks once, and waits for the answer.
    pub fn ask(&self) {
        ask(&self.last_seen, &self.known);
    }

    /// Puts what is known into the seats that there are.
    pub fn note_in(&self, seats: &mut BTreeMap<Student, Seat>) {
        for (student, time) in &locked(&self.known).times {
            if let Some(seat) = seats.get_mut(student) {
                seat.last_activity = Some(*time);
            }
        }
    }
}

fn ask(last_seen: &LastSeen, known: &Mutex<Known>) -> Answer {
    let answer = last_seen();
    let mut known = locked(known);
    match answer {
        Ok(None) => return Answer::Never,
        Ok(Some(times)) => {
            if known.is_silent {
                tracing::info!("the hub tells again who uses a server");
            }
            *known = Known {
                times,
                is_silent: false,
            };
        }
        Err(fault) => {
            if !known.is_silent {
                tracing::warn!(
                    "rule idle says nothing until the hub answers: {}",
                    fault.chain()
                );
            }
            *known = Known {
                times: BTreeMap::new(),
                is_silent: true,
            };
        }
    }
    Answer::Again
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hub that knows one student says, as long as it is up.
    type OneSeen = Mutex<Result<Option<Time>, Fault>>;

    fn told_by(hub: &Arc<OneSeen>) -> Activity {
        let hub = Arc::clone(hub);
        Activity::told_by(Arc::new(move || {
            let time = hub.lock().unwrap().clone()?;
            Ok(time.map(|time| BTreeMap::from([(student(7), time)])))
        }))
    }

    fn student(number: u32) -> Student {
        Student::new(number).unwrap()
    }

    fn noted(activity: &Activity) -> Vec<Option<Time>> {
        let seat = |number| (student(number), Seat::default());
        let mut seats = BTreeMap::from([seat(6), seat(7)]);
        activity.note_in(&mut seats);
        seats.into_values().map(|seat| seat.last_activity).collect()
    }

    #[test]
    fn what_a_hub_said_holds_until_it_says_nothing() {
        let hub = Arc::new(Mutex::new(Ok(Some(Time(5)))));
        let activity = told_by(&hub);
        assert_eq!(noted(&activity), [None, None]);
        activity.ask();
        assert_eq!(noted(&activity), [None, Some(Time(5))]);
        *hub.lock().unwrap() = Err(Fault::retry("the hub is down"));
        activity.ask();
        assert_eq!(noted(&activity), [None, None]);
        *hub.lock().unwrap() = Ok(Some(Time(9)));
        assert_eq!(ask(&activity.last_seen, &activity.known), Answer::Again);
        assert_eq!(noted(&activity), [None, Some(Time(9))]);
    }

    #[test]
    fn where_there_is_no_hub_nobody_asks_again() {
        let activity = told_by(&Arc::new(Mutex::new(Ok(None))));
        assert_eq!(ask(&activity.last_seen, &activity.known), Answer::Never);
        assert_eq!(noted(&activity), [None, None]);
    }
}
