//! Recordings: what is read is what was written, broken ones say where, and `replay` judges them.
//! Those in `tests/cases/watchdog-recordings` are of real programs: honest work, of which nothing is
//! ever more than worth a line, and evasions, of which each is certain in the end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use wod::watchdog::{Level, Policy, Recorder, Recording, Snapshot};

use super::world::World;
use super::{REWRITE, files, timeline_of};

fn recorded(snapshots: &[Snapshot]) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new()).unwrap();
    for snapshot in snapshots {
        recorder.put(snapshot).unwrap();
    }
    recorder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Snapshot>, String> {
    let recording = Recording::new(BufReader::new(bytes)).map_err(|e| e.to_string())?;
    recording
        .map(|snapshot| snapshot.map_err(|e| e.to_string()))
        .collect()
}

/// Every world of the cases, recorded and read again.
#[test]
fn what_is_read_is_what_was_written() {
    for path in files("watchdog", "case") {
        let text = fs::read_to_string(&path).unwrap();
        let input = text.split_once(super::BAR).unwrap().0;
        let world = World::read(input, &path.display().to_string());
        let mut snapshots: Vec<Snapshot> = world
            .snapshots()
            .take(40)
            .map(|(_, snapshot)| snapshot)
            .collect();
        for snapshot in &mut snapshots {
            snapshot.processes.sort_by_key(|process| process.id.pid);
        }
        let again = read(&recorded(&snapshots)).unwrap();
        assert!(again == snapshots, "{}", path.display());
    }
}

#[test]
fn what_goes_on_costs_little() {
    let world = "students: 50\nseconds: 200\nprocesses:\n  - {each: 50, exe: /usr/bin/python3.11, cpu: 100}\n";
    let snapshots: Vec<Snapshot> = World::read(world, "world")
        .snapshots()
        .map(|(_, snapshot)| snapshot)
        .collect();
    let whole = serde_json::to_vec(&snapshots[9]).unwrap().len();
    let all = recorded(&snapshots).len();
    assert!(
        all < snapshots.len() * whole / 8,
        "{all} bytes, {whole} each"
    );
}

#[test]
fn a_broken_recording_says_where() {
    for (bytes, told) in [
        (
            "",
            "line 1: nothing; expected a file of wod watchdog record",
        ),
        ("{}\n", "line 1: missing field `recording`"),
        (
            "{\"recording\":7}\n",
            "line 1: a recording of version 7; this program reads version 1",
        ),
        (
            "{\"recording\":1}\n{\"at\":5,\"now\":0}\nx\n",
            "line 3: expected value",
        ),
        (
            "{\"recording\":1}\n{\"at\":5,\"now\":0,\"colour\":1}\n",
            "line 2: unknown field `colour`",
        ),
        (
            "{\"recording\":1}\n{\"at\":5,\"now\":0,\"processes\":{\"7\":{\"uid\":\"root\"}}}\n",
            "line 2: invalid type: string \"root\", expected u32",
        ),
        ("{\"recording\":1}\n{\"at\":5,\"no", "line 2: EOF"),
    ] {
        let error = read(bytes.as_bytes()).unwrap_err();
        assert!(error.starts_with(told), "{bytes}: {error}");
    }
}

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wod"))
        .args(["watchdog", "replay"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn replay_says_what_when_and_what_would_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let world = "seconds: 70\nprocesses:\n  - {student: 5, exe: /dev/shm/a, cpu: 100, from: 3}\n";
    let snapshots: Vec<Snapshot> = World::read(world, "world")
        .snapshots()
        .map(|(_, snapshot)| snapshot)
        .collect();
    let recording = file("a.jsonl", &recorded(&snapshots));
    let strict = file(
        "strict.yml",
        b"places: {suspicious_after: 10s, certain_after: 20s}\n",
    );

    let output = replay(&[&recording]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("3.0 s  notice      place        log           student5 runs"));
    assert!(
        lines[1].contains("63.0 s  suspicious  place        alert"),
        "{text}"
    );
    assert_eq!(lines[2], "71 snapshots of 70 s, 2 findings");

    let output = replay(&[&recording, "--policy", &strict, "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whens: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["ms"].as_u64())
        .collect();
    assert_eq!(whens, [3000, 13_000, 23_000]);
    assert_eq!(lines[2]["response"], "stop-seat");
    assert_eq!(lines[2]["finding"]["student"], 5);

    let broken = file("broken.yml", b"places: {certain_after: soon}\n");
    let output = replay(&[&recording, "--policy", &broken]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(
        told.contains("broken.yml: line 1: places.certain_after is `soon`"),
        "{told}"
    );

    let output = replay(&[&strict]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("strict.yml is no recording of wod watchdog record: line 1:"),
        "{told}"
    );
}

fn fixture(path: &Path) -> Vec<Snapshot> {
    let packed = GzDecoder::new(File::open(path).unwrap());
    let recording = Recording::new(BufReader::new(packed)).unwrap();
    recording.map(|snapshot| snapshot.unwrap()).collect()
}

/// What is told of a recording is in the file beside it: the strongest of it, and what differs.
fn told(path: &Path) -> (Option<Level>, Option<String>) {
    let policy = fs::read_to_string(path.with_extension("yml")).unwrap_or_default();
    let mut policy = Policy::parse(&policy).unwrap();
    if policy != Policy::default() {
        // A policy of seconds comes with no time that is for free.
        policy.cpu.grace = std::time::Duration::ZERO;
    }
    let (strongest, lines) = judged(policy, &fixture(path));
    let beside = path.with_extension("told");
    let expected = fs::read_to_string(&beside).unwrap_or_default();
    if lines != expected && std::env::var_os(REWRITE).is_some() {
        fs::write(&beside, &lines).unwrap();
    }
    let differs = format!("{}\nexpected\n{expected}told\n{lines}", path.display());
    (strongest, (lines != expected).then_some(differs))
}

fn judged(policy: Policy, snapshots: &[Snapshot]) -> (Option<Level>, String) {
    let begin = snapshots[0].at;
    let mut strongest = None;
    let series = snapshots
        .iter()
        .map(|snapshot| ((snapshot.at - begin) / 1000, snapshot.clone()));
    let lines = timeline_of(policy, Vec::new(), series, |finding| {
        strongest = strongest.max(Some(finding.level));
    });
    (strongest, lines)
}

#[test]
fn honest_work_is_never_more_than_worth_a_line() {
    let all = files("watchdog-recordings/honest", "gz");
    assert!(all.len() >= 15, "{} recordings", all.len());
    let (strongest, differs): (Vec<_>, Vec<_>) = all.iter().map(|path| told(path)).unzip();
    let differs: Vec<String> = differs.into_iter().flatten().collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
    assert!(
        strongest
            .into_iter()
            .all(|level| level <= Some(Level::Notice))
    );
}

/// They were recorded on a host where many wanted a processor: the same, as if it had been four
/// times as fast.
#[test]
fn honest_work_is_honest_on_a_faster_host() {
    for path in files("watchdog-recordings/honest", "gz") {
        let mut snapshots = fixture(&path);
        for process in snapshots
            .iter_mut()
            .flat_map(|snapshot| &mut snapshot.processes)
        {
            process.cpu_ms *= 4;
            process.reaped_cpu_ms *= 4;
        }
        let (strongest, lines) = judged(Policy::default(), &snapshots);
        assert!(
            strongest <= Some(Level::Notice),
            "{}\n{lines}",
            path.display()
        );
    }
}

/// A recording in which nothing happens would prove nothing.
#[test]
fn honest_work_is_work() {
    for path in files("watchdog-recordings/honest", "gz") {
        let snapshots = fixture(&path);
        let programs: BTreeSet<_> = snapshots
            .iter()
            .flat_map(|snapshot| {
                let of_students = snapshot.processes.iter();
                of_students.filter(|process| snapshot.student(process).is_some())
            })
            .filter_map(|process| process.exe.path.clone())
            .collect();
        assert!(
            snapshots.len() >= 8 && !programs.is_empty(),
            "{}",
            path.display()
        );
        let size = fs::metadata(&path).unwrap().len();
        assert!(size < 100_000, "{}: {size} bytes", path.display());
    }
}

#[test]
fn every_evasion_is_certain_in_the_end() {
    let all = files("watchdog-recordings/evasions", "gz");
    let (strongest, differs): (Vec<_>, Vec<_>) = all.iter().map(|path| told(path)).unzip();
    let differs: Vec<String> = differs.into_iter().flatten().collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
    for (path, strongest) in all.iter().zip(strongest) {
        assert_eq!(strongest, Some(Level::Certain), "{}", path.display());
    }
}
