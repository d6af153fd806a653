//! Recordings: what is read is what was written, broken ones say where, and `replay` judges them.

use std::fs;
use std::io::BufReader;
use std::process::{Command, Output};

use wod::watchdog::{Recorder, Recording, Snapshot};

use super::files;
use super::world::World;

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
    let world = "seconds: 600\nprocesses:\n  - {each: 50, exe: /usr/bin/python3.11, cpu: 100}\n";
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
    assert!(told.contains("strict.yml: line 1:"), "{told}");
}
