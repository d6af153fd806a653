//! The account of a student whose processes may be stopped and ended: the only kind of account
//! that the functions for it take. There is no other way to one than through the check.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::domain::{Student, StudentRange};
use crate::ports::{Account, Fault};

use super::processes::{self, Uids};
use super::{ETC, FIRST_UID, NOBODY};

/// Which uids students have.
#[derive(Debug, Clone, Copy)]
pub struct StudentUids {
    /// UIDBASE
    pub base: u32,
    /// WODUSERMIN..WODUSERMAX
    pub students: StudentRange,
}

/// Its name is exactly `student<N>`, its uid UIDBASE + N, and N one of this backend's students;
/// so the account files say.
pub struct Suspect {
    student: Student,
    account: Account,
    uids: Uids,
}

/// A line of passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Entry {
    fn of(user: &users::User) -> Option<Entry> {
        Some(Entry {
            name: user.name().to_str()?.to_owned(),
            uid: user.uid(),
            gid: user.primary_group_id(),
        })
    }
}

impl StudentUids {
    /// Whose uid that would be. Nothing but arithmetic: enough to look at a process, and not
    /// enough to touch it.
    pub fn student(&self, uid: u32) -> Option<Student> {
        if uid < FIRST_UID || NOBODY.contains(&uid) {
            return None;
        }
        let student = Student::new(uid.checked_sub(self.base)?).ok()?;
        self.students.contains(student).then_some(student)
    }

    /// The uid that the student must have.
    pub fn uid(&self, student: Student) -> Option<u32> {
        let uid = self.base.checked_add(student.number())?;
        (self.student(uid) == Some(student)).then_some(uid)
    }

    /// The student's account, by what the account files say of its name and of its uid. None for
    /// everybody else, whatever their names and uids look like.
    pub fn account(
        &self,
        student: Student,
        by_name: Option<&Entry>,
        by_uid: Option<&Entry>,
    ) -> Option<Account> {
        let (name, uid) = (student.account(), self.uid(student)?);
        let is_it = |entry: &Entry| entry.name == name && entry.uid == uid;
        let (_, by_uid) = (by_name.filter(|e| is_it(e))?, by_uid.filter(|e| is_it(e))?);
        Some(Account {
            name,
            uid,
            gid: by_uid.gid,
        })
    }

    /// All of the students' uids.
    pub fn all(&self) -> RangeInclusive<u32> {
        let uid = |student: Student| self.base.saturating_add(student.number());
        uid(self.students.first())..=uid(self.students.last())
    }

    /// The students to whom this text of /etc/subuid gives uids beside their own.
    pub fn with_subordinate(&self, subuid: &str) -> BTreeSet<Student> {
        let names = subuid.lines().filter_map(|line| line.split(':').next());
        let number = |name: &str| match name.strip_prefix("student") {
            Some(number) => Student::new(number.parse().ok()?).ok(),
            None => self.student(name.parse().ok()?),
        };
        let is_ours = |student: &Student| self.students.contains(*student);
        names.filter_map(number).filter(is_ours).collect()
    }

    /// None when there is no such account.
    pub fn suspect(&self, student: Student) -> Option<Suspect> {
        let by_name = users::get_user_by_name(&student.account())?;
        let by_uid = users::get_user_by_uid(self.uid(student)?)?;
        let account = self.account(
            student,
            Entry::of(&by_name).as_ref(),
            Entry::of(&by_uid).as_ref(),
        )?;
        // Better its own processes alone than none, or somebody else's.
        let uids = Uids::of(Path::new(ETC), &account, &self.all()).unwrap_or_else(|error| {
            tracing::warn!(account = account.name, %error, "its subordinate uids are not known");
            Uids::own(&account)
        });
        Some(Suspect {
            student,
            uids,
            account,
        })
    }
}

impl Suspect {
    pub fn student(&self) -> Student {
        self.student
    }

    pub fn uid(&self) -> u32 {
        self.account.uid
    }

    /// Whether it is the account's own uid, or a subordinate one.
    pub fn has_uid(&self, uid: u32) -> bool {
        self.uids.have(uid)
    }

    /// Stops all of its processes in one call of the kernel, as [`Suspect::kill`] ends them.
    pub fn freeze(&self) {
        processes::stop_all(&self.uids);
    }

    /// The pids of its processes.
    pub fn pids(&self) -> Result<Vec<u32>, Fault> {
        processes::pids_of(&self.account.name, &self.uids)
    }

    /// Kills all of its processes in one call of the kernel; what is out of the account's own
    /// reach is left to [`Suspect::end`].
    pub fn kill(&self) {
        processes::kill_own(&self.uids);
    }

    /// Kills until none is left; Retry when some are after `limit`.
    pub fn end(&self, limit: Duration) -> Result<(), Fault> {
        processes::end(&self.account.name, &self.uids, limit)
    }

    /// Kills one process, if it is the one that started `start` milliseconds after the host
    /// did. False when it is gone, or another one by now.
    pub fn kill_one(&self, pid: u32, start: u64) -> bool {
        processes::kill_exactly(pid, start, &self.uids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(base: u32, students: &str) -> StudentUids {
        let students = students.parse().unwrap();
        StudentUids { base, students }
    }

    #[test]
    fn only_uids_of_the_range_are_students() {
        let ours = uids(2000, "10,40");
        for (uid, number) in [(2010, 10), (2040, 40), (2025, 25)] {
            assert_eq!(ours.student(uid).unwrap().number(), number);
        }
        for uid in [0, 1, 999, 1000, 2000, 2009, 2041, 2100, 65_534, u32::MAX] {
            assert_eq!(ours.student(uid), None, "{uid}");
        }
        // Whatever an inventory says, nobody below 1000 and not `nobody`.
        assert_eq!(uids(0, "1,99999").student(999), None);
        assert_eq!(uids(60_000, "1,9999").student(65_534), None);
        assert_eq!(
            uids(u32::MAX - 5, "1,99").uid(Student::new(9).unwrap()),
            None
        );
    }

    proptest::proptest! {
        /// Whatever uids there are: one is a student's only by the sum, and within the range.
        #[test]
        fn nobody_else_has_a_students_uid(
            base in 0u32..=u32::MAX, first in 1u32..500, count in 0u32..500, uid in 0u32..=u32::MAX,
            near in 0u32..1200,
        ) {
            let ours = uids(base, &format!("{first},{}", first + count));
            for uid in [uid, base.wrapping_add(near)] {
                let number = uid.checked_sub(base);
                let is_in = number.is_some_and(|n| (first..=first + count).contains(&n));
                let is_systems = uid < 1000 || (65_534..=65_535).contains(&uid);
                let student = ours.student(uid);
                proptest::prop_assert_eq!(student.is_some(), is_in && !is_systems);
                if let Some(student) = student {
                    proptest::prop_assert_eq!(Some(student.number()), number);
                    proptest::prop_assert_eq!(ours.uid(student), Some(uid));
                }
            }
        }
    }

    #[test]
    fn subordinate_uids_are_given_by_name_or_uid() {
        let text = "student3:1:2\nstudent12x:1:2\nalice:1:2\n2007:1:2\nstudent41:1:2\n\n2100:1:2";
        let given = uids(2000, "1,40").with_subordinate(text);
        let numbers: Vec<u32> = given.into_iter().map(Student::number).collect();
        assert_eq!(numbers, [3, 7]);
    }

    #[test]
    fn without_an_account_there_is_no_suspect() {
        // Nobody on a host that builds this has such an account.
        let ours = uids(3_000_000_000, "1,50");
        assert!(ours.suspect(Student::new(7).unwrap()).is_none());
        assert!(ours.suspect(Student::new(51).unwrap()).is_none());
    }
}
