//! The students of a host as sets: accounts, homes and hub users of a whole range at once. Who is
//! not exactly `studentN` with the uid of N is nobody's business here.

mod accounts;
mod homes;
mod hub;
mod leaving;
mod processes;
mod ranges;
mod seats;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::adapters::accounts_linux::{self, LinuxAccounts};
use crate::adapters::hub_jupyterhub::JupyterHub;
use crate::content::Homes;
use crate::domain::{Student, StudentRange, Workshop};
use crate::ports::Fault;
use crate::safefs::Dir;

use super::item::{Aside, Item, Outcome, Tag};

pub use seats::Seats;

/// What all items of students work with.
pub struct Crew {
    /// With the students that this host is to have.
    pub accounts: accounts_linux::Config,
    pub homes: Homes,
    /// WODUSER, who may reach every home.
    pub admin: String,
    pub hub: Option<Arc<JupyterHub>>,
    pub seats: Seats,
    /// The workshops of the site.
    pub workshops: Workshops,
    /// Whether the directories of the site are fit to work on.
    pub ground: Box<dyn Fn() -> Result<(), Fault> + Send + Sync>,
}

pub type Workshops = Arc<dyn Fn() -> Result<Vec<Workshop>, Fault> + Send + Sync>;

/// Whether the students are removed before they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Keep,
    Clean,
}

/// What deliver does for students, in order.
pub fn items(crew: &Arc<Crew>, before: Before) -> Vec<Item> {
    let window = crew.accounts.students;
    let mut items = vec![
        item(ranges::Ranges::new(Arc::clone(&crew.workshops))),
        item(leaving::Leaving::new(crew, leaving::Who::Outside(window))),
    ];
    if before == Before::Clean {
        items.push(item(leaving::Leaving::new(crew, leaving::Who::In(window))));
    }
    items.push(item(accounts::Accounts::new(crew)));
    items.push(item(homes::HomesOfRange::new(crew)));
    if let Some(hub) = &crew.hub {
        items.push(item(hub::HubUsers::new(crew, hub)));
    }
    items
}

/// The students of a range go.
pub fn removal(crew: &Arc<Crew>, range: StudentRange) -> Vec<Item> {
    vec![item(leaving::Leaving::new(crew, leaving::Who::In(range)))]
}

/// Processes on seats that nobody has end.
pub fn strays(crew: &Arc<Crew>) -> Vec<Item> {
    vec![item(processes::Strays::new(crew))]
}

fn item(resource: impl super::Resource + 'static) -> Item {
    Item::new(Tag::Students, resource)
}

impl Crew {
    fn accounts_of(&self, students: StudentRange) -> Result<LinuxAccounts, Fault> {
        LinuxAccounts::new(accounts_linux::Config {
            students,
            ..self.accounts.clone()
        })
    }

    fn linux(&self) -> Result<LinuxAccounts, Fault> {
        self.accounts_of(self.accounts.students)
    }

    /// None while there is no WODSTUDDIR.
    fn homes_dir(&self) -> Result<Option<Dir>, Fault> {
        let path = &self.accounts.students_dir;
        match Dir::open_root(path) {
            Err(e) if e.is_not_found() => Ok(None),
            opened => {
                let shown = path.display();
                let opened = opened.map_err(|e| {
                    Fault::of_files(format!("WODSTUDDIR {shown} cannot be opened"), &e)
                })?;
                (self.ground)()?;
                Ok(Some(opened))
            }
        }
    }

    /// The students that something in WODSTUDDIR is named for.
    fn with_home(&self) -> Result<BTreeSet<Student>, Fault> {
        let Some(dir) = self.homes_dir()? else {
            return Ok(BTreeSet::new());
        };
        let entries = dir
            .entries()
            .map_err(|e| Fault::of_files("WODSTUDDIR cannot be read", &e))?;
        let names = entries.iter().filter_map(|entry| entry.name.to_str());
        Ok(names.filter_map(Student::from_account).collect())
    }
}

/// What became of single students while the others were dealt with.
#[derive(Default)]
struct Notes(Mutex<Vec<Aside>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Vec<Aside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, student: Student, line: impl Into<String>) {
        self.add(student, Outcome::Failed, line.into());
    }

    fn skipped(&self, student: Student, reason: &str) {
        let line = format!("{reason}; done at the next run when the seat is free");
        self.add(student, Outcome::Skipped, line);
    }

    fn add(&self, student: Student, outcome: Outcome, line: String) {
        let part = student.account();
        self.lock().push(Aside {
            part,
            outcome,
            line,
        });
    }

    /// In the order of the students' numbers.
    fn take(&self) -> Vec<Aside> {
        let mut all = std::mem::take(&mut *self.lock());
        all.sort_by_key(|aside| Student::from_account(&aside.part));
        all
    }
}

/// Does the work for all of them, on as many threads as there are cores; results in their order.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(all.len()));
    thread::scope(|scope| {
        for _ in 0..cores.min(all.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let result = work(one);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// `student1 to student40, student47 and 12 more`; in the order of their numbers.
fn named(students: &[Student]) -> String {
    const SPANS: usize = 4;
    let mut spans: Vec<(Student, Student)> = Vec::new();
    for &student in students {
        match spans.last_mut() {
            Some((_, last)) if last.number() + 1 == student.number() => *last = student,
            _ => spans.push((student, student)),
        }
    }
    let shown = spans
        .iter()
        .take(SPANS)
        .map(|(first, last)| match first == last {
            true => first.account(),
            false => format!("{} to {}", first.account(), last.account()),
        });
    let text = shown.collect::<Vec<_>>().join(", ");
    let length = |(first, last): &(Student, Student)| last.number() - first.number() + 1;
    match spans.iter().skip(SPANS).map(length).sum::<u32>() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn students(numbers: &[u32]) -> Vec<Student> {
        let all = numbers.iter().map(|&n| Student::new(n).unwrap());
        all.collect()
    }

    #[test]
    fn neighbours_are_named_together() {
        assert_eq!(
            named(&students(&[1, 2, 3, 7])),
            "student1 to student3, student7"
        );
        let many = students(&[1, 3, 5, 7, 9, 10, 12]);
        assert_eq!(
            named(&many),
            "student1, student3, student5, student7 and 3 more"
        );
    }

    #[test]
    fn each_is_done_once_and_in_order() {
        let all: Vec<u32> = (0..1000).collect();
        assert_eq!(
            each(&all, |n| n * 2),
            all.iter().map(|n| n * 2).collect::<Vec<_>>()
        );
        assert!(each(&[] as &[u32], |n| *n).is_empty());
    }
}
