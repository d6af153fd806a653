//! Local student numbers, and the accounts that belong to them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// A local student number: student 121 is the Linux account `student121`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Student(u32);

impl Student {
    /// No site is larger than this; it also keeps `uid = UIDBASE + n` far from overflow.
    pub const LARGEST: u32 = 99_999;

    pub const FIRST: Student = Student(1);

    /// Fails on 0 and on numbers past [`Student::LARGEST`].
    pub fn new(number: u32) -> Result<Student, Invalid> {
        match number {
            1..=Student::LARGEST => Ok(Student(number)),
            _ => Err(Invalid::new("student", &number.to_string(), EXPECTED)),
        }
    }

    pub fn number(self) -> u32 {
        self.0
    }

    /// The name of the Linux account and of the JupyterHub user.
    pub fn account(self) -> String {
        format!("student{}", self.0)
    }

    /// The student whose account has exactly this name.
    pub fn from_account(name: &str) -> Option<Student> {
        name.strip_prefix("student")?.parse().ok()
    }
}

const EXPECTED: &str = "expected a student number, digits only, from 1 and without leading zeros";

impl FromStr for Student {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Student, Invalid> {
        let plain = !text.is_empty()
            && text.len() <= 5
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0');
        plain
            .then(|| text.parse().ok())
            .flatten()
            .and_then(|number| Student::new(number).ok())
            .ok_or_else(|| Invalid::new("student", text, EXPECTED))
    }
}

impl TryFrom<u32> for Student {
    type Error = Invalid;
    fn try_from(number: u32) -> Result<Student, Invalid> {
        Student::new(number)
    }
}

impl From<Student> for u32 {
    fn from(student: Student) -> u32 {
        student.0
    }
}

impl fmt::Display for Student {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One or several neighbouring students, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Student, Student)", into = "(Student, Student)")]
pub struct StudentRange {
    first: Student,
    last: Student,
}

impl StudentRange {
    pub fn one(student: Student) -> StudentRange {
        StudentRange {
            first: student,
            last: student,
        }
    }

    /// Fails when the ends are reversed.
    pub fn new(first: Student, last: Student) -> Result<StudentRange, Invalid> {
        if first > last {
            return Err(Invalid::new(
                "student range",
                &format!("{first},{last}"),
                "expected the lower number first",
            ));
        }
        Ok(StudentRange { first, last })
    }

    pub fn first(self) -> Student {
        self.first
    }

    pub fn last(self) -> Student {
        self.last
    }

    pub fn count(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }

    pub fn contains(self, student: Student) -> bool {
        (self.first..=self.last).contains(&student)
    }

    pub fn students(self) -> impl Iterator<Item = Student> {
        (self.first.0..=self.last.0).map(Student)
    }
}

impl FromStr for StudentRange {
    type Err = Invalid;

    /// `7` or `7,12`.
    fn from_str(text: &str) -> Result<StudentRange, Invalid> {
        match text.split_once(',') {
            // What many write, and what a mail never means.
            None if text.contains('-')
                && text.split('-').all(|end| end.parse::<Student>().is_ok()) =>
            {
                let expected = "expected a comma between the first and the last one, as in 21,30";
                Err(Invalid::new("student range", text, expected))
            }
            None => Ok(StudentRange::one(text.parse()?)),
            Some((first, last)) => StudentRange::new(first.parse()?, last.parse()?),
        }
    }
}

impl TryFrom<(Student, Student)> for StudentRange {
    type Error = Invalid;
    fn try_from((first, last): (Student, Student)) -> Result<StudentRange, Invalid> {
        StudentRange::new(first, last)
    }
}

impl From<StudentRange> for (Student, Student) {
    fn from(range: StudentRange) -> (Student, Student) {
        (range.first, range.last)
    }
}

impl fmt::Display for StudentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{},{}", self.first, self.last),
        }
    }
}

/// WODUSERMIN..WODUSERMAX: the students of this backend. Nobody else is ever touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudentWindow(pub StudentRange);

impl StudentWindow {
    /// Fails when any of the students is not one of this backend's.
    pub fn check(self, asked: StudentRange) -> Result<(), Invalid> {
        if self.0.contains(asked.first) && self.0.contains(asked.last) {
            return Ok(());
        }
        Err(Invalid::new(
            "student",
            &asked.to_string(),
            format!(
                "expected a number within WODUSERMIN..WODUSERMAX, here {}..{}",
                self.0.first, self.0.last
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_students() {
        for good in ["1", "121", "99999"] {
            assert_eq!(good.parse::<Student>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "05",
            "999999",
            "1;id",
            "$(id)",
            "1+a[$(id)]",
            "1[0-9]",
            "1/../3",
            " 1",
            "1 ",
            "١",
            "1.0",
            "0x1",
        ] {
            assert!(bad.parse::<Student>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_account_name_is_matched_whole() {
        assert_eq!(Student::from_account("student12").unwrap().number(), 12);
        for other in [
            "student12x",
            "xstudent1",
            "student",
            "student01",
            "Student1",
        ] {
            assert_eq!(Student::from_account(other), None, "{other}");
        }
    }

    #[test]
    fn a_range_is_ordered() {
        assert_eq!("3,5".parse::<StudentRange>().unwrap().count(), 3);
        assert!("5,3".parse::<StudentRange>().is_err());
        assert!("3,".parse::<StudentRange>().is_err());
        assert!("3,4,5".parse::<StudentRange>().is_err());
    }
}
