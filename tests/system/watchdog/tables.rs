//! Whole tables of real processes with uids drawn at random, and who of them is left when the
//! watchdog has looked once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::watched::{NOBODYS, POLICY, SUSPECT, Watched, end_all};
use crate::support::{on_private_host, sh, wait_for};

const STUDENTS: u32 = 20;
const SIZE: usize = 90;

/// xorshift: the same table again for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of(&mut self, all: &[u32]) -> u32 {
        all[self.below(all.len())]
    }
}

struct Row {
    /// Real, effective and saved.
    uids: [u32; 3],
    is_listed: bool,
    child: Child,
}

impl Row {
    /// None when it has ended.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        (state != 'Z').then_some(state)
    }
}

fn start(dice: &mut Dice, pool: &[u32]) -> Row {
    let real = dice.of(pool);
    let uids = match dice.below(5) {
        0 => [real, dice.of(pool), dice.of(pool)],
        _ => [real; 3],
    };
    let is_listed = dice.below(6) == 0;
    let program = if is_listed {
        "/run/suspect/xmrig"
    } else {
        SUSPECT
    };
    let mut command = Command::new(program);
    command.arg("ids").args(uids.map(|uid| uid.to_string()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Row {
        uids,
        is_listed,
        child: command.current_dir("/").spawn().unwrap(),
    }
}

/// The students that run something listed: by the real uid, when the effective one is a student's.
fn guilty(rows: &[Row], students: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let is_guilty = |row: &&Row| row.is_listed && students.contains_key(&row.uids[1]);
    let rows = rows.iter().filter(is_guilty);
    rows.filter_map(|row| students.get(&row.uids[0]))
        .copied()
        .collect()
}

fn look_once(seed: u64) {
    let watched = Watched::site(POLICY, "WODUSERMAX: 20");
    sh("cp /run/suspect/helper /run/suspect/xmrig; chmod 755 /run/suspect/xmrig");
    let base = watched.uid(0);
    let alike = watched.look_alikes();
    let wodadmin: u32 = sh("id -u wodadmin").trim().parse().unwrap();
    let students: BTreeMap<u32, u32> = (1..=STUDENTS)
        .filter(|n| *n != NOBODYS)
        .map(|n| (base + n, n))
        .collect();
    // student1 and 10 to 19 come more often; what is beyond WODUSERMAX is nobody's to touch.
    let mut pool: Vec<u32> = (1..=STUDENTS + 3).chain(10..20).map(|n| base + n).collect();
    pool.extend([0, 0, wodadmin, wodadmin, base, base + 1, base + 1]);
    pool.extend(alike);

    let mut dice = Dice(seed);
    let mut rows: Vec<Row> = (0..SIZE).map(|_| start(&mut dice, &pool)).collect();
    wait_for(20, "sleep of all processes", || {
        rows.iter()
            .all(|row| row.state() == Some('S'))
            .then_some(())
    });
    let guilty = guilty(&rows, &students);
    assert!(watched.wod(&["watchdog", "--once"]).status.success());

    let seats: BTreeSet<u32> = watched
        .stops()
        .iter()
        .map(|incident| incident["student"].as_u64().unwrap() as u32)
        .collect();
    assert_eq!(seats, guilty, "seed {seed}");
    let mut ended = 0;
    for row in &rows {
        let is_theirs = row.uids.iter().any(|uid| {
            students
                .get(uid)
                .is_some_and(|student| guilty.contains(student))
        });
        let state = row.state();
        match is_theirs {
            true => assert_eq!(state, None, "seed {seed}: {:?} lives", row.uids),
            false => assert_eq!(state, Some('S'), "seed {seed}: {:?} was touched", row.uids),
        }
        ended += usize::from(is_theirs);
    }
    eprintln!(
        "seed {seed}: {SIZE} processes, {} seats stopped, {ended} ended",
        seats.len()
    );
    assert!(!seats.is_empty() && ended < SIZE);
    for row in &mut rows {
        let _ = row.child.kill();
        row.child.wait().unwrap();
    }
    students.keys().for_each(|uid| end_all(*uid));
}

#[test]
fn of_a_table_by_chance_only_guilty_seats_end() {
    on_private_host(|| look_once(20_261_128));
}

#[test]
fn of_another_table_by_chance_only_guilty_seats_end() {
    on_private_host(|| look_once(77));
}
