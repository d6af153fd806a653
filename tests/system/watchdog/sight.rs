//! What a process does so that it is not seen as what it is.

use std::fs;
use std::path::Path;
use std::process::Child;

use serde_json::Value;

use crate::support::watched::{POLICY, Watched};
use crate::support::{on_private_host, sh, wait_for};

/// What one look would find.
fn found(watched: &Watched) -> Vec<Value> {
    let looked = watched.wod(&["watchdog", "--once", "--dry-run", "--json"]);
    assert!(looked.status.success(), "{looked:?}");
    let text = String::from_utf8(looked.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn by_rule<'a>(found: &'a [Value], rule: &str) -> &'a Value {
    let of_rule = found.iter().find(|finding| finding["rule"] == rule);
    of_rule.unwrap_or_else(|| panic!("nothing of {rule} in {found:?}"))
}

fn is_own(found: &[Value]) {
    let sentence = by_rule(found, "process-cpu")["sentence"].to_string();
    assert!(sentence.contains("with their own program"), "{sentence}");
}

/// Waits until it has used more than a second.
fn computed(child: &Child) {
    let stat = format!("/proc/{}/stat", child.id());
    wait_for(60, "second on a processor", || {
        let stat = fs::read_to_string(&stat).ok()?;
        let ticks = stat.rsplit_once(')')?.1.split(' ').nth(12)?.parse::<u32>();
        (ticks.ok()? > 120).then_some(())
    });
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_memory_of_a_later_thread_counts() {
    on_private_host(|| {
        let watched = Watched::site("memory: {notice: 96MiB, suspicious: 4GiB}", "");
        let program = watched.copy(1, "notes");
        let child = watched.run(1, &program, &["keeps", "100"]);
        let stat = format!("/proc/{}/stat", child.id());
        wait_for(20, "end of the first thread", || {
            fs::read_to_string(&stat)
                .ok()?
                .contains(") Z ")
                .then_some(())
        });
        let found = found(&watched);
        let sentence = by_rule(&found, "memory")["sentence"].as_str().unwrap();
        let mib = sentence.split(' ').nth(2).unwrap().parse::<u32>().unwrap();
        assert!((100..110).contains(&mib), "{sentence}");
        end(child);
    });
}

#[test]
fn a_program_whose_path_nobody_can_tell_is_the_students_own() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let program = watched.copy(1, "notes");
        let child = watched.run(1, &program, &["deeper"]);
        let exe = format!("/proc/{}/exe", child.id());
        wait_for(20, "path that is too long", || {
            fs::read_link(&exe).is_err().then_some(())
        });
        computed(&child);
        let found = found(&watched);
        let of_place = by_rule(&found, "place");
        let sentence = of_place["sentence"].as_str().unwrap();
        assert!(
            sentence.contains("lies deeper than can be told"),
            "{sentence}"
        );
        is_own(&found);
        end(child);
    });
}

#[test]
fn the_loader_is_one_under_any_name() {
    on_private_host(|| {
        let watched = Watched::site(POLICY, "");
        let (program, notes) = (watched.copy(1, "miner"), watched.copy(1, "notes"));
        let loader = sh("ls /lib*/ld-linux*.so.* | head -1");
        let line = format!(
            "mount --bind {} {notes}; exec {notes} {program} burn",
            loader.trim()
        );
        let child = watched.run(1, "/usr/bin/unshare", &["-Urm", "/bin/sh", "-c", &line]);
        let exe = format!("/proc/{}/exe", child.id());
        wait_for(20, "loader under another name", || {
            (fs::read_link(&exe).ok()? == Path::new(&notes)).then_some(())
        });
        computed(&child);
        let found = found(&watched);
        is_own(&found);
        end(child);
    });
}
