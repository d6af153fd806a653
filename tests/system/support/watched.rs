//! A host with student accounts that a real `wod watchdog` watches, among all of this machine's
//! processes: the kernel tells of execs only there. So that nobody else's students are ever in its
//! reach, its accounts have uids that no other test has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use wod::domain::{AskedWorkshop, Participant, Student};
use wod::journal::{Journal, Letter};

use super::{sh, support, wait_for};

pub const STATE: &str = "/var/lib/wod";
const INVENTORY: &str = "/etc/wod/inventory";
const PROGRAM: &str = "/run/wod";
pub const STUDENTS: u32 = 40;
/// Whose account is missing where there are look-alikes.
pub const NOBODYS: u32 = 15;
const LOG: &str = "/run/watchdog.log";
/// What students run, compiled once for each host.
pub const SUSPECT: &str = "/run/suspect/helper";
/// Root's, runs for 20 ms.
pub const BRIEF: &str = "/run/suspect/brief";

/// Windows that fit into a test.
pub const POLICY: &str = "\
places: {suspicious_after: 1s, certain_after: 2s, deleted_after: 1s}
disguise: {certain_after: 1s}
cpu:
  busy_percent: 5
  notice_after: 1s
  suspicious_after: 10s
  windows:
    - {span: 60s, cpu: 1s, programs: own, level: certain}
pool: {loopback: true, suspicious_after: 1s, certain_after: 2s}
processes: {bomb: 300, bomb_after: 1s}
";

/// The same, with what a student uses in all only worth a line: other rules have to say it.
pub fn without_windows() -> String {
    POLICY.replace(
        "programs: own, level: certain",
        "programs: own, level: notice",
    )
}

pub struct Watched {
    watchdog: Option<Child>,
    base: u32,
}

impl Watched {
    /// The site without its watchdog. Uids of 700,000,000 and more, by this process's id.
    pub fn site(policy: &str, more: &str) -> Watched {
        let base = 700_000_000 + std::process::id() % 4_000_000 * 100;
        let watched = Watched {
            watchdog: None,
            base,
        };
        sh(&format!(
            "install -m 755 {program} {PROGRAM}
             id wodadmin >/dev/null 2>&1 || useradd --system --create-home --shell /bin/bash wodadmin
             id wodmail >/dev/null 2>&1 || useradd --system --no-create-home wodmail
             mkdir -p {INVENTORY}/group_vars /var/share/workshops/scripts {STATE}/private {STATE}/spool
             chmod 700 {STATE}/private {STATE}/spool
             mkdir -p /run/suspect; cc -O1 -o {SUSPECT} {source}; chmod 755 /run/suspect
             echo 'int usleep(unsigned); int main(void) {{ return usleep(20000); }}' |
                 cc -O1 -static -x c -o {BRIEF} -",
            program = env!("CARGO_BIN_EXE_wod"),
            source = support("suspect.c").display(),
        ));
        for student in 1..=STUDENTS {
            watched.account(&format!("student{student}"), base + student);
        }
        watched.policy(policy);
        let text = format!(
            "WODUSER: wodadmin\nWODSENDER: frontend@test\nWODSTATEDIR: {STATE}\n\
             WODSTUDDIR: /var/student\nWODUSERMIN: 1\nWODUSERMAX: {STUDENTS}\n\
             UIDBASE: {base}\nGIDBASE: {base}\nWODNOBO: /var/share/workshops\n\
             WODSCRIPTDIR: /var/share/workshops/scripts\nWODHUB: none\nWODSMTPLISTEN: none\n\
             WODWATCHDOG: unit\nWODCPUGRACE: 0\nWODWATCHINTERVAL: 0.5\n{more}\n"
        );
        fs::write(format!("{INVENTORY}/group_vars/all.yml"), text).unwrap();
        drop(watched.journal());
        watched
    }

    pub fn start(policy: &str, more: &str) -> Watched {
        let mut watched = Watched::site(policy, more);
        watched.start_watchdog();
        watched
    }

    /// An account of that name and uid, whatever they are, with a home of its own.
    pub fn account(&self, name: &str, uid: u32) {
        sh(&format!(
            "echo '{name}:x:{uid}:{uid}::/var/student/{name}:/bin/bash' >>/etc/passwd
             echo '{name}:x:{uid}:' >>/etc/group
             mkdir -p /var/student/{name}; chown {uid}:{uid} /var/student/{name}"
        ));
    }

    /// Accounts that only look like students': names, a number beyond the range, and a teacher who
    /// has the uid of the student that is no more.
    pub fn look_alikes(&self) -> [u32; 4] {
        let uid = |number| self.uid(0) + number;
        let all = [
            ("student12x", uid(50)),
            ("xstudent1", uid(51)),
            ("student100", uid(100)),
            ("teacher", uid(NOBODYS)),
        ];
        sh(&format!("sed -i '/^student{NOBODYS}:/d' /etc/passwd"));
        for (name, uid) in all {
            self.account(name, uid);
        }
        all.map(|(_, uid)| uid)
    }

    pub fn policy(&self, text: &str) {
        fs::write(format!("{INVENTORY}/watchdog.yml"), text).unwrap();
    }

    pub fn journal(&self) -> Journal {
        journal()
    }

    /// Gives the seat to the participant, as the local registry has it afterwards.
    pub fn seat(&self, student: u32, participant: u32) {
        let workshop: AskedWorkshop = "WKSHP-Test".parse().unwrap();
        let student = Student::new(student).unwrap();
        let who = Participant::new(participant);
        self.journal().enrol(who, student, &workshop, None).unwrap();
    }

    pub fn uid(&self, student: u32) -> u32 {
        self.base + student
    }

    pub fn start_watchdog(&mut self) {
        self.start_watchdog_with(&[]);
        self.is_watching();
    }

    pub fn is_watching(&self) {
        wait_for(10, "watching watchdog", || {
            self.log().contains("watching: each exec").then_some(())
        });
    }

    pub fn start_watchdog_with(&mut self, words: &[&str]) {
        self.start_watchdog_below(&[], words);
    }

    /// Started by another program that becomes it.
    pub fn start_watchdog_below(&mut self, starter: &[&str], words: &[&str]) {
        let _ = fs::remove_file(LOG);
        let log = File::create(LOG).unwrap();
        let all = [starter, &[PROGRAM, "watchdog"], words].concat();
        let mut command = Command::new(all[0]);
        command.args(&all[1..]).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.watchdog = Some(command.spawn().unwrap());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(LOG).unwrap_or_default()
    }

    pub fn watchdog_id(&self) -> u32 {
        self.watchdog.as_ref().unwrap().id()
    }

    pub fn kill_watchdog(&mut self) {
        let mut watchdog = self.watchdog.take().unwrap();
        watchdog.kill().unwrap();
        watchdog.wait().unwrap();
    }

    /// Kills it while something is so that it changes itself: it is held still for a look. False, and it
    /// goes on, when it was not so any more.
    pub fn kill_watchdog_while(&mut self, is_so: impl Fn() -> bool) -> bool {
        let watchdog = Pid::from_raw(self.watchdog_id() as i32);
        let stat = format!("/proc/{watchdog}/stat");
        kill(watchdog, Signal::SIGSTOP).unwrap();
        wait_for(10, "watchdog that is held still", || {
            fs::read_to_string(&stat)
                .unwrap()
                .contains(") T ")
                .then_some(())
        });
        if is_so() {
            self.kill_watchdog();
            return true;
        }
        kill(watchdog, Signal::SIGCONT).unwrap();
        false
    }

    pub fn stop_watchdog(&mut self) {
        let mut watchdog = self.watchdog.take().unwrap();
        sh(&format!("kill -TERM {}", watchdog.id()));
        assert!(watchdog.wait().unwrap().success(), "{}", self.log());
    }

    pub fn wod(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM).args(words).output().unwrap()
    }

    /// A program as some uid runs it, in its home.
    pub fn run_as(&self, uid: u32, home: &str, program: &str, words: &[&str]) -> Child {
        let mut command = Command::new(program);
        command.args(words).uid(uid).gid(uid).current_dir(home);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("SECRET_TOKEN", "hunter2");
        command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    /// A program as the student runs it, in their home.
    pub fn run(&self, student: u32, program: &str, words: &[&str]) -> Child {
        let home = self.home(student).display().to_string();
        self.run_as(self.uid(student), &home, program, words)
    }

    pub fn home(&self, student: u32) -> PathBuf {
        Path::new("/var/student").join(format!("student{student}"))
    }

    /// A copy of the suspect program, the student's own, by that name below the home or anywhere.
    pub fn copy(&self, student: u32, path: &str) -> String {
        let path = self.home(student).join(path).display().to_string();
        let uid = self.uid(student);
        sh(&format!(
            "mkdir -p $(dirname {path}); chown {uid}:{uid} $(dirname {path}) 2>/dev/null
             cp {SUSPECT} {path}; chown {uid}:{uid} {path}; chmod 755 {path}"
        ));
        path
    }

    /// Living processes with that real uid.
    pub fn alive(&self, uid: u32) -> usize {
        processes(uid).len()
    }

    /// Waits until nothing of the student runs any more; how long that took.
    pub fn gone(&self, student: u32, since: Instant) -> Duration {
        let uid = self.uid(student);
        wait_for(120, "incident, and end of what the student runs", || {
            // One look at /proc may miss what forks meanwhile.
            let is_gone = || self.alive(uid) == 0;
            let took = since.elapsed();
            let is_known = || self.stops().iter().any(|i| i["student"] == student);
            (is_gone() && is_known() && is_gone()).then_some(took)
        })
    }

    pub fn incidents(&self) -> Vec<Value> {
        let output = self.wod(&["watchdog", "list", "--most", "1000", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Those incidents for which something was stopped.
    pub fn stops(&self) -> Vec<Value> {
        let mut all = self.incidents();
        all.retain(|incident| incident["response"] != "alert");
        all
    }

    /// Waits for a stop of the student's that is over.
    pub fn incident(&self, student: u32) -> Value {
        wait_for(30, "incident", || {
            let all = self.stops();
            all.into_iter()
                .find(|i| i["student"] == student && i["state"] == "done")
        })
    }
}

fn journal() -> Journal {
    Journal::open(Path::new(&format!("{STATE}/private/journal.db"))).unwrap()
}

/// Mail to the admin that is still to be sent.
pub fn letters() -> Vec<Letter> {
    journal().letters().unwrap()
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the watchdog said:\n{}", self.log());
        }
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        for uid in self.base..self.base + 100 {
            end_all(uid);
        }
    }
}

/// Everything that runs under that uid of our own.
pub fn end_all(uid: u32) {
    for _ in 0..50 {
        let left = processes(uid);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

pub fn processes(uid: u32) -> Vec<i32> {
    by_uid().remove(&uid).unwrap_or_default()
}

fn by_uid() -> BTreeMap<u32, Vec<i32>> {
    let mut all: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let status = fs::read(entry.path().join("status")).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|l| l.split_whitespace().next())
                .map(str::to_owned)
        };
        let is_dead = field("State:").is_none_or(|state| state == "Z" || state == "X");
        if let Some(uid) = field("Uid:").and_then(|uid| uid.parse().ok())
            && !is_dead
        {
            all.entry(uid).or_default().push(pid);
        }
    }
    all
}
