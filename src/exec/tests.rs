//! What every start of a process promises.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

use std::io::Write as _;
use std::time::Instant;

use super::*;

#[test]
fn the_environment_is_clean() {
    let output = Cmd::new("env").env("ONLY", "this").run().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|l| l.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["LANG", "ONLY", "PATH"]);
}

#[test]
fn a_failure_tells_its_last_line() {
    let error = Cmd::new("sh")
        .args(["-c", "echo first; echo 'no such disk' >&2; exit 3"])
        .run()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh failed (exit status: 3): no such disk"
    );
}

#[test]
fn a_program_that_is_not_there_cannot_be_started() {
    let error = Cmd::new("no-such-program").run().unwrap_err();
    assert_eq!(error.to_string(), "no-such-program cannot be started");
}

#[test]
fn a_process_that_hangs_is_ended_with_its_children() {
    let started = Instant::now();
    let error = Cmd::new("sh")
        .args(["-c", "sleep 100 & sleep 100"])
        .timeout(Duration::from_millis(100))
        .run()
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_session_is_ended_with_the_groups_that_it_made() {
    let mut said = Vec::new();
    let error = Cmd::new("bash")
        .args(["-c", "set -m; sleep 100 & echo $!; wait"])
        .own_session()
        .timeout(Duration::from_millis(300))
        .run_into(|bytes| said.extend_from_slice(bytes))
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }));
    let pid = String::from_utf8(said).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(state.is_err() || state.unwrap().contains(") Z "), "{pid}");
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_hold_us_nor_lose_what_was_said() {
    let started = Instant::now();
    let output = Cmd::new("sh")
        .args(["-c", "sleep 20 & echo $!"])
        .run()
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let pid = String::from_utf8(output.stdout).unwrap();
    Cmd::new("kill").arg(pid.trim()).run().unwrap();
}

#[test]
fn stdin_reaches_the_process_and_output_is_bounded() {
    let output = Cmd::new("cat").stdin(vec![b'x'; 1 << 20]).run().unwrap();
    assert!(output.stdout.len() < OUTPUT_LIMIT + 100);
    assert!(output.stdout.ends_with(b"not kept]\n"));
}

#[test]
fn a_process_that_does_not_read_its_input_is_no_fault() {
    Cmd::new("true").stdin(vec![b'x'; 1 << 20]).run().unwrap();
}

#[test]
fn both_streams_come_in_the_order_of_writing() {
    let mut said = Vec::new();
    let status = Cmd::new("sh")
        .args([
            "-c",
            "for i in 1 2 3; do echo o$i; echo e$i >&2; done; exit 4",
        ])
        .run_into(|bytes| said.extend_from_slice(bytes))
        .unwrap();
    assert_eq!(said, b"o1\ne1\no2\ne2\no3\ne3\n");
    assert_eq!(status_text(status), "exit 4");
}

#[test]
fn a_login_has_the_accounts_groups_and_a_bare_one_has_none() {
    if !nix::unistd::geteuid().is_root() {
        writeln!(std::io::stderr(), "skipped: needs root").unwrap();
        return;
    }
    let id = |who: &RunAs| {
        let output = Cmd::new("id").arg("-Gn").run_as(Some(who)).run().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // In no group but its own: what counts is that root's are gone.
    let (uid, gid) = (65_534, 65_534);
    assert_eq!(id(&RunAs::bare(uid, gid)), "nogroup\n");
    assert_eq!(id(&RunAs::login(uid, gid)), "nogroup\n");
}

#[test]
fn a_process_ends_when_it_is_told_to_stop() {
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        Cmd::new("sleep").arg("100").stop_on(&stop).run()
    });
    assert!(matches!(error.unwrap_err(), Error::Stopped { .. }));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn input_can_be_a_file_that_is_read_twice() {
    let output = Cmd::new("sh")
        .args([
            "-c",
            "cat /dev/stdin /dev/stdin; test -x /dev/stdin || echo no",
        ])
        .stdin_file(b"text\n".to_vec())
        .run()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // Root may execute nothing that has no such bit.
    assert_eq!(said, "text\ntext\nno\n");
}
