//! Texts in, texts out.

use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
    j\u{f6}rg:x:1000:1000:,,,:/home/j:/bin/sh\n\
    student12x:x:2900:2900::/s/student12x:/bin/sh\n\
    xstudent1:x:2901:2901::/s/x:/bin/sh\n+::::::\n";
const GROUP: &str = "root:x:0:\ndocker:x:998:jorg,student1,xstudent1\n";
const SHADOW: &str = "root:$y$root:1::::::\njorg:$y$j:1::::::\n";
const GSHADOW: &str = "root:*::\ndocker:!:student1:jorg,student1\n";

fn files(passwd: &str, group: &str, shadow: &str, gshadow: &str) -> Files {
    let text = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
    Files([
        text(group),
        text(gshadow),
        text(shadow),
        text(passwd),
        None,
        None,
    ])
}

fn host() -> Files {
    files(PASSWD, GROUP, SHADOW, GSHADOW)
}

fn wanted(numbers: std::ops::RangeInclusive<u32>) -> Vec<Wanted> {
    let one = |n: u32| Wanted {
        student: Student::new(n).unwrap(),
        account: Account {
            name: format!("student{n}"),
            uid: 2000 + n,
            gid: 2000 + n,
        },
        home: format!("/student/student{n}"),
        shell: "/bin/bash".to_owned(),
    };
    numbers.map(one).collect()
}

fn shown(files: &Files, name: &str) -> String {
    let at = FILES.iter().position(|file| *file == name).unwrap();
    String::from_utf8_lossy(files.text(at)).into_owned()
}

fn numbers(students: &[Student]) -> Vec<u32> {
    students.iter().map(|student| student.number()).collect()
}

#[test]
fn all_are_made_at_once_locked_and_before_other_name_services() {
    let made = host().edited(Edit::Ensure(&wanted(1..=2)), 20_000);
    assert!(
        made.standings(&wanted(1..=2))
            .iter()
            .all(|s| *s == Standing::Right)
    );
    let new = "student1:x:2001:2001:student1:/student/student1:/bin/bash\n\
        student2:x:2002:2002:student2:/student/student2:/bin/bash\n+::::::\n";
    assert_eq!(shown(&made, "passwd"), PASSWD.replace("+::::::\n", new));
    assert_eq!(
        shown(&made, "shadow"),
        format!("{SHADOW}student1:!*:20000::::::\nstudent2:!*:20000::::::\n")
    );
    assert_eq!(
        shown(&made, "group"),
        format!("{GROUP}student1:x:2001:\nstudent2:x:2002:\n")
    );
    assert_eq!(
        shown(&made, "gshadow"),
        format!("{GSHADOW}student1:!*::\nstudent2:!*::\n")
    );
    assert!(made.edited(Edit::Ensure(&wanted(1..=2)), 20_001) == made);
}

#[test]
fn what_is_somebody_elses_stays_and_the_others_go_on() {
    let passwd = format!("{PASSWD}student1:x:700:700::/:/bin/sh\nother:x:2002:99::/:/bin/sh\n");
    let group = format!("{GROUP}student3:x:3:\nwheel:x:2004:\n");
    let files = files(&passwd, &group, SHADOW, GSHADOW);
    let standings = files.standings(&wanted(1..=5));
    for (standing, told) in standings.iter().zip([
        "account student1 has uid 700",
        "uid 2002 of student2 belongs to account other",
        "group student3 has gid 3",
        "gid 2004 of student4 belongs to group wheel",
    ]) {
        let Standing::Taken(why) = standing else {
            panic!("{standing:?}");
        };
        assert!(why.starts_with(told), "{why}");
    }
    let made = files.edited(Edit::Ensure(&wanted(1..=5)), 1);
    let only = files.edited(Edit::Ensure(&wanted(5..=5)), 1);
    assert!(made == only);
}

#[test]
fn a_second_name_of_a_uid_is_somebody_else() {
    let made = host().edited(Edit::Ensure(&wanted(1..=1)), 1);
    let passwd = shown(&made, "passwd") + "toor:x:2001:0::/:/bin/sh\n";
    let twice = files(&passwd, &shown(&made, "group"), SHADOW, GSHADOW);
    assert!(matches!(
        &twice.standings(&wanted(1..=1))[0],
        Standing::Taken(_)
    ));
}

#[test]
fn mending_leaves_the_password_alone() {
    let made = host().edited(Edit::Ensure(&wanted(1..=1)), 1);
    let passwd = shown(&made, "passwd").replace("/student/student1:/bin/bash", "/x:/bin/sh");
    let shadow = shown(&made, "shadow").replace("student1:!*", "student1:$y$secret");
    let bent = files(
        &passwd,
        &shown(&made, "group"),
        &shadow,
        &shown(&made, "gshadow"),
    );
    assert_eq!(bent.standings(&wanted(1..=1)), [Standing::Differs]);
    let mended = bent.edited(Edit::Ensure(&wanted(1..=1)), 2);
    assert_eq!(shown(&mended, "shadow"), shadow);
    assert_eq!(shown(&mended, "passwd"), shown(&made, "passwd"));
}

#[test]
fn an_old_password_opens_nothing_to_a_new_account() {
    let shadow = format!("{SHADOW}student1:$y$old:1::::::\n");
    let files = files(PASSWD, GROUP, &shadow, GSHADOW);
    assert_eq!(files.standings(&wanted(1..=1)), [Standing::Remains]);
    let made = files.edited(Edit::Ensure(&wanted(1..=1)), 2);
    assert!(shown(&made, "shadow").ends_with("student1:!*:1::::::\n"));
}

#[test]
fn a_lock_is_for_students_only() {
    let shadow = "student1:$y$a:1::::::\nstudent2:$y$b:1::::::\nroot:$y$r:1::::::\n";
    let passwd = "student1:x:2001:2001:::\nstudent2:x:900:900:::\n";
    let files = files(passwd, "", shadow, "");
    let locked = files.edited(Edit::Lock(&wanted(1..=2)), 1);
    assert_eq!(shown(&locked, "shadow"), shadow.replace("$y$a", "!*"));
    assert_eq!(shown(&locked, "passwd"), passwd);
}

#[test]
fn who_goes_goes_from_every_file_and_nobody_else() {
    let mut made = host().edited(Edit::Ensure(&wanted(1..=3)), 1);
    made.0[SUBUID] = Some(Zeroizing::new(
        b"student1:100000:9\nstudent11:200000:9\n".to_vec(),
    ));
    assert_eq!(numbers(&made.students(2000, 2000)), [1, 2, 3]);
    assert_eq!(numbers(&made.students(3000, 3000)), [0; 0]);
    let left = made.edited(Edit::Remove(&wanted(1..=2)), 1);
    assert_eq!(numbers(&left.students(2000, 2000)), [3]);
    assert_eq!(shown(&left, "subuid"), "student11:200000:9\n");
    assert!(shown(&left, "group").contains("docker:x:998:jorg,xstudent1\n"));
    assert!(shown(&left, "gshadow").contains("docker:!::jorg\n"));
    let none = left.edited(Edit::Remove(&wanted(1..=3)), 1);
    assert_eq!(shown(&none, "passwd"), PASSWD);
    assert_eq!(shown(&none, "shadow"), SHADOW);
}

#[test]
fn a_foreign_account_of_a_students_name_is_not_removed() {
    let passwd = "student1:x:700:700::/:/bin/sh\n";
    let group = "student1:x:700:\nstudent2:x:2002:\n";
    let shadow = "student1:$y$x:1::::::\n";
    let other = files(passwd, group, shadow, "student1:!::\n");
    let left = other.edited(Edit::Remove(&wanted(1..=1)), 1);
    assert!(left == other);
    // A removal that was cut short is taken up by what it left.
    assert_eq!(numbers(&other.students(2000, 2000)), [2]);
}

#[test]
fn a_group_that_somebody_still_has_stays() {
    let passwd = "student1:x:2001:2001:::\nfriend:x:901:2001:::\n";
    let files = files(passwd, "student1:x:2001:\n", "", "student1:!::\n");
    let left = files.edited(Edit::Remove(&wanted(1..=1)), 1);
    assert_eq!(shown(&left, "passwd"), "friend:x:901:2001:::\n");
    assert_eq!(shown(&left, "group"), "student1:x:2001:\n");
    assert_eq!(shown(&left, "gshadow"), "student1:!::\n");
}

#[test]
fn bytes_that_are_no_utf_8_stay() {
    let mut latin = b"j:x:1000:1000:J\xf6rg:/home/j:/bin/sh".to_vec();
    let mut before = host();
    before.0[super::PASSWD] = Some(Zeroizing::new(latin.clone()));
    let after = before.edited(Edit::Ensure(&wanted(1..=1)), 1);
    latin.push(b'\n');
    assert!(after.text(super::PASSWD).starts_with(&latin));
    assert!(before.edited(Edit::Remove(&wanted(2..=2)), 1) == before);
}
