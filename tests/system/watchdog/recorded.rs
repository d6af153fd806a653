//! `wod watchdog record` of real processes, `replay` of what it wrote, and of what nobody wrote so.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::watched::{POLICY, Watched};
use crate::support::{on_private_host, sh};

const FILE: &str = "/run/recording.gz";

fn replay(words: &[&str]) -> Output {
    let all = ["120", "/run/wod", "watchdog", "replay"];
    Command::new("timeout")
        .args(all)
        .args(words)
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What is the same of a finding whenever it is made.
fn core(finding: &Value) -> [Value; 5] {
    ["student", "rule", "level", "sentence", "processes"].map(|field| finding[field].clone())
}

#[test]
fn a_recording_is_judged_as_what_it_is_of() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let miner = watched.copy(2, "xmrig");
        let work =
            "while true; do find /usr/include -name '*.h' | sort | sha256sum; sleep 0.2; done";
        let mut honest = watched.run(1, "/bin/bash", &["-c", work]);
        let mut miner = watched.run(2, &miner, &["idle"]);
        let look = watched.wod(&["watchdog", "--once", "--dry-run", "--json"]);
        let live = lines(&look);
        assert_eq!(live.len(), 1, "{live:?}");

        let record = [
            "watchdog",
            "record",
            FILE,
            "--minutes",
            "0.1",
            "--every",
            "0.3",
        ];
        let recorded = watched.wod(&record);
        assert!(recorded.status.success(), "{recorded:?}");
        assert_eq!(sh(&format!("stat -c '%U %a' {FILE}")), "root 600\n");
        let again = watched.wod(&record);
        assert!(!again.status.success(), "what is there was written over");
        for child in [&mut honest, &mut miner] {
            assert!(
                child.try_wait().unwrap().is_none(),
                "recording touches nobody"
            );
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let policy = "/etc/wod/inventory/watchdog.yml";
        let words = [FILE, "--policy", policy, "--grace", "0", "--json"];
        let replayed = replay(&words);
        assert!(replayed.status.success(), "{replayed:?}");
        let mut told = lines(&replayed);
        let sum = told.pop().unwrap();
        assert!(sum["snapshots"].as_u64().unwrap() >= 3, "{sum}");
        assert_eq!(sum["findings"], 1, "{told:?}");
        assert_eq!(core(&told[0]["finding"]), core(&live[0]));
        assert_eq!(told[0]["response"], live[0]["response"]);
        assert_eq!(replay(&words).stdout, replayed.stdout);
    });
}

/// One process of student1's, with that for its fields.
fn frame(at: &str, fields: &str) -> String {
    format!(
        "{{\"at\":{at},\"now\":0,\"cores\":2,\"students\":{{\"2001\":1}},\"processes\":{{\"7\":\
         {{\"id\":{{\"pid\":7,\"start\":0}},\"uid\":2001,\"effective_uid\":2001{fields}}}}}}}\n"
    )
}

#[test]
fn what_is_no_recording_is_told_in_one_line() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let record = [
            "watchdog",
            "record",
            FILE,
            "--minutes",
            "0.02",
            "--every",
            "0.2",
        ];
        assert!(watched.wod(&record).status.success());
        sh(&format!(
            "mkdir /run/no; cd /run/no; mkdir folder; : >empty
             head -c -20 {FILE} >cut; zcat {FILE} | head -c -5 >cut-text
             truncate -s 2T hole; head -c 1G /dev/zero | gzip -1 >bomb
             (zcat {FILE} | head -1; head -c 200M /dev/zero | tr '\\0' ' ') | gzip -1 >blank
             printf '\\037\\213garbage' >packed; printf '{{\"recording\":1}}\\n\\n' >no-line
             (printf '{{\"recording\":1}}\\n'; head -c 1M /dev/zero | tr '\\0' '[') >brackets
             printf '{{\"recording\":9}}\\n' >version"
        ));
        let write = |name: &str, frames: &str| {
            fs::write(
                format!("/run/no/{name}"),
                format!("{{\"recording\":1}}\n{frames}"),
            )
            .unwrap();
        };
        write("type", &frame("5", ",\"uid\":-1"));
        const MOST: &str = "18446744073709551615";
        write("late", &frame(MOST, ""));
        for field in ["cpu_ms", "reaped_cpu_ms", "resident"] {
            write(field, &frame("5", &format!(",\"{field}\":{MOST}")));
        }
        write("bytes", "{\"at\":\u{1b}[2J}\n");
        for name in fs::read_dir("/run/no").unwrap() {
            let path = name.unwrap().path().display().to_string();
            let output = replay(&[&path]);
            let said = String::from_utf8(output.stderr.clone()).unwrap();
            assert_eq!(output.status.code(), Some(1), "{path}: {said}");
            assert_eq!(said.lines().count(), 1, "{path}: {said}");
            assert!(
                said.starts_with("wod: ") && said.contains(&path),
                "{path}: {said}"
            );
            assert!(
                said.len() < 400 && !said.contains('\u{1b}'),
                "{path}: {said}"
            );
        }
        // Whatever else there is in it, there is an answer.
        const MUCH: &str = "999999999999";
        let mut frames = frame("5", "");
        for field in ["cpu_ms", "reaped_cpu_ms", "resident"] {
            frames += &frame(MUCH, &format!(",\"{field}\":{MUCH}"));
            frames += &frame("0", &format!(",\"{field}\":0"));
        }
        frames += &frame(
            MUCH,
            ",\"nice\":-2147483648,\"threads\":4294967295,\"parent\":7",
        );
        frames += &frame(
            "9",
            &format!(",\"id\":{{\"pid\":7,\"start\":{MUCH}}},\"cpu_ms\":{MUCH}"),
        );
        frames += "{\"at\":10,\"now\":-9223372036854775808,\"cores\":0}\n";
        write("numbers", &frames);
        let output = replay(&["/run/no/numbers"]);
        assert!(output.status.success(), "{output:?}");
    });
}
