//! What system tests share: a private host to run in, and waiting for what takes a moment.

#![allow(dead_code, reason = "each test uses its own part of it")]

pub mod backend;
pub mod browser;
pub mod canary;
pub mod chance;
pub mod client;
pub mod dead_mount;
pub mod front;
pub mod measured;
pub mod postfix;
pub mod quick_hub;
pub mod seats;
pub mod secrecy;
pub mod sink;
pub mod site;
pub mod student;
pub mod tracer;
pub mod watched;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a program that is given something to read. It may have said no, and be gone, before it read it.
pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Err(e) = stdin.write_all(input) {
        assert_eq!(e.kind(), std::io::ErrorKind::BrokenPipe);
    }
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Runs the body of a test on a private host: the test program calls itself there, for this test
/// alone. Says so and passes where that is not possible. A body must not capture anything.
pub fn on_private_host<F: FnOnce()>(body: F) {
    on_host(&[], body);
}

/// The same, with this machine's own processes and network: what the body starts it has to end,
/// and its students need uids that nobody else on this machine has.
pub fn among_all_processes<F: FnOnce()>(body: F) {
    on_host(&["--shared"], body);
}

fn on_host<F: FnOnce()>(how: &[&str], body: F) {
    const INSIDE: &str = "WOD_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let path = std::any::type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_, path)| path);
    // A function's own path would name no test, and no test at all passes.
    let test = path
        .strip_suffix("::{{closure}}")
        .expect("the body is a closure of its test");
    if !nix::unistd::geteuid().is_root() {
        writeln!(std::io::stderr(), "{test} is left out: it needs root").unwrap();
        return;
    }
    let status = Command::new(support("private-host.sh"))
        .args(how)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{test} failed on its private host: {status}"
    );
}

/// A file beside this one.
pub fn support(name: &str) -> PathBuf {
    root().join("tests/system/support").join(name)
}

/// The project's directory.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a machine may be slower than a quiet one, for which tests name their limits.
const SLOWER: u32 = 6;

/// How long to wait for what takes up to `seconds` on a quiet machine. Only what never comes takes so
/// long.
pub fn patience(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * SLOWER
}

/// Looks often at first, then every 100 ms, until there is something; panics when there is nothing after
/// the [`patience`] for `seconds`.
pub fn wait_for<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience(seconds);
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = look() {
            return found;
        }
        let is_over = Instant::now() >= deadline;
        assert!(!is_over, "no {what} within {:?}", patience(seconds));
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Runs a shell line on the private host; panics with its output when it fails.
pub fn sh(line: &str) -> String {
    let output = Command::new("/bin/bash")
        .args(["-ec", line])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Arguments of the processes that `ps` selects by these options. One that is dead, and that nobody has
/// asked for yet, does no harm.
pub fn living(selection: &str) -> Vec<String> {
    let all = sh(&format!("ps -ww -o stat=,args= {selection} || true"));
    let lines = all.lines().filter(|line| !line.starts_with('Z'));
    lines
        .filter_map(|line| Some(line.split_once(' ')?.1.trim().to_owned()))
        .collect()
}
