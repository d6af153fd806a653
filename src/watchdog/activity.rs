//! When the hub last saw students do something: asked seldom and beside the watching, which waits for
//! no hub. While nobody answers, nothing is known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::snapshot::Seat;
use crate::domain::{Student, Time};
use crate::ports::Hub;

/// Servers tell the hub every five minutes, and limits are hours.
const AGAIN: Duration = Duration::from_secs(180);

pub struct Activity {
    hub: Arc<dyn Hub>,
    known: Arc<Mutex<Known>>,
}

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
        Activity {
            hub,
            known: Arc::default(),
        }
    }

    /// Asks again and again, for as long as somebody has this.
    pub fn go_on(&self) {
        let (hub, known) = (Arc::clone(&self.hub), Arc::downgrade(&self.known));
        let work = move || {
            while let Some(known) = known.upgrade()
                && ask(&*hub, &known) == Answer::Again
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
        ask(&*self.hub, &self.known);
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

fn ask(hub: &dyn Hub, known: &Mutex<Known>) -> Answer {
    let answer = hub.last_activity();
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
    use crate::ports::{Fault, Progress};

    /// A hub that knows one student, as long as it is up.
    struct OneSeen(Mutex<Result<Option<Time>, Fault>>);

    impl Hub for OneSeen {
        fn start(&self, _: Student) -> Result<Progress, Fault> {
            Ok(Progress::Done)
        }
        fn stop(&self, _: Student) -> Result<Progress, Fault> {
            Ok(Progress::Done)
        }
        fn leftovers(&self, _: Student) -> Result<Vec<String>, Fault> {
            Ok(Vec::new())
        }
        fn last_activity(&self) -> Result<Option<BTreeMap<Student, Time>>, Fault> {
            let time = self.0.lock().unwrap().clone()?;
            Ok(time.map(|time| BTreeMap::from([(student(7), time)])))
        }
        fn check(&self) -> Result<(), Fault> {
            Ok(())
        }
        fn login_url(&self) -> Option<String> {
            None
        }
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
        let hub = Arc::new(OneSeen(Mutex::new(Ok(Some(Time(5))))));
        let activity = Activity::new(Arc::clone(&hub) as Arc<dyn Hub>);
        assert_eq!(noted(&activity), [None, None]);
        activity.ask();
        assert_eq!(noted(&activity), [None, Some(Time(5))]);
        *hub.0.lock().unwrap() = Err(Fault::retry("the hub is down"));
        activity.ask();
        assert_eq!(noted(&activity), [None, None]);
        *hub.0.lock().unwrap() = Ok(Some(Time(9)));
        assert_eq!(ask(&*activity.hub, &activity.known), Answer::Again);
        assert_eq!(noted(&activity), [None, Some(Time(9))]);
    }

    #[test]
    fn where_there_is_no_hub_nobody_asks_again() {
        let activity = Activity::new(Arc::new(OneSeen(Mutex::new(Ok(None)))));
        assert_eq!(ask(&*activity.hub, &activity.known), Answer::Never);
        assert_eq!(noted(&activity), [None, None]);
    }
}
