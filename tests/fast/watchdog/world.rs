//! A small world for cases: processes that begin, compute, hand their time on and end, as snapshots.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use wod::domain::{Student, Time};
use wod::watchdog::{Exception, Exe, Policy, Process, ProcessId, Seat, Snapshot};

/// When the worlds begin, and how long their hosts have been up by then.
const BEGIN: Time = Time(1_790_000_000_000);
const UPTIME: u64 = 86_400_000;
const UIDBASE: u32 = 2000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Seconds between two snapshots, and of the whole.
    #[serde(default = "one")]
    every: u64,
    seconds: u64,
    /// WODUSERMAX.
    #[serde(default = "a_dozen")]
    students: u32,
    /// WODCPUGRACE in minutes, WODMAXSESSION in hours.
    grace: Option<u64>,
    longest: Option<u64>,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    exceptions: Vec<Exception>,
    /// What `minutes` ago means for times of seats is counted from the beginning.
    #[serde(default)]
    seats: BTreeMap<u32, Place>,
    processes: Vec<Actor>,
}

/// A seat with times in minutes after the beginning of the world.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(default = "yes")]
    taken: bool,
    participant: Option<u32>,
    workshop: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    last_activity: Option<i64>,
    cpu_minutes: Option<u32>,
}

/// A process, or many of them.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Actor {
    #[serde(default)]
    pid: u32,
    #[serde(default = "one_pid")]
    parent: u32,
    /// A student's, else that of `uid`.
    student: Option<u32>,
    /// One of every student up to this one.
    each: Option<u32>,
    #[serde(default)]
    uid: u32,
    effective_uid: Option<u32>,
    exe: Option<String>,
    /// Where nothing is said, root owns what lies below /usr and /opt.
    owner: Option<u32>,
    #[serde(default)]
    deleted: bool,
    sha256: Option<String>,
    name: Option<String>,
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default = "sleeps")]
    state: char,
    #[serde(default = "one_pid")]
    threads: u32,
    cgroup: Option<String>,
    #[serde(default)]
    peers: Vec<String>,
    /// How many addresses it talks to, beside `peers`.
    #[serde(default)]
    destinations: u32,
    #[serde(default)]
    mib: u64,
    /// Hundredths of one processor.
    #[serde(default)]
    cpu: u64,
    #[serde(default)]
    nice: i32,
    /// Seconds after the beginning.
    #[serde(default)]
    from: u64,
    until: Option<u64>,
    /// After so many seconds it ends and another one begins. `reaped` says who waits for it.
    restart: Option<f64>,
    #[serde(default)]
    reaped: bool,
    #[serde(default = "one_pid")]
    count: u32,
}

fn one() -> u64 {
    1
}
fn one_pid() -> u32 {
    1
}
fn a_dozen() -> u32 {
    12
}
fn yes() -> bool {
    true
}
fn sleeps() -> char {
    'S'
}

impl World {
    pub fn read(text: &str, name: &str) -> World {
        serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn policy(&self) -> Policy {
        let mut policy = Policy::parse(&self.policy).unwrap();
        if let Some(minutes) = self.grace {
            policy.cpu.grace = Duration::from_secs(minutes * 60);
        }
        if let Some(hours) = self.longest {
            policy.seats.longest = Duration::from_secs(hours * 3600);
        }
        policy
    }

    pub fn exceptions(&self) -> Vec<Exception> {
        self.exceptions.clone()
    }

    /// Seconds after the beginning, and what there is then.
    pub fn snapshots(&self) -> impl Iterator<Item = (u64, Snapshot)> {
        let times = (0..=self.seconds).step_by(self.every as usize);
        times.map(|seconds| (seconds, self.snapshot(seconds)))
    }

    /// One for each student where `each` says so.
    fn actors(&self) -> impl Iterator<Item = Actor> {
        self.processes.iter().flat_map(|actor| {
            let students = match actor.each {
                Some(last) => (1..=last).map(Some).collect(),
                None => vec![actor.student],
            };
            students.into_iter().map(|student| Actor {
                student,
                ..actor.clone()
            })
        })
    }

    fn snapshot(&self, seconds: u64) -> Snapshot {
        let mut reaped: BTreeMap<u32, u64> = BTreeMap::new();
        let mut processes = vec![root(1, 0, "/usr/lib/systemd/systemd", &["/sbin/init"])];
        let hub = [
            "/opt/jupyterhub/bin/python3",
            "/opt/jupyterhub/bin/jupyterhub",
        ];
        processes.push(root(10, 1, "/usr/bin/python3.11", &hub));
        processes.push(root(20, 1, "/usr/sbin/sshd", &["sshd: /usr/sbin/sshd -D"]));
        for (index, actor) in self.actors().enumerate() {
            for copy in 0..actor.count {
                let fixed = (actor.pid != 0).then_some(actor.pid + copy);
                let pid = fixed.unwrap_or(1000 + index as u32 * 1000 + copy);
                processes.extend(actor.at(seconds, pid, copy, &mut reaped));
            }
        }
        for process in &mut processes {
            process.reaped_cpu_ms += reaped.remove(&process.id.pid).unwrap_or(0);
        }
        let students = (1..=self.students).map(|n| (UIDBASE + n, Student::new(n).unwrap()));
        let seats = self.seats.iter();
        let seats = seats.map(|(n, place)| (Student::new(*n).unwrap(), place.seat()));
        Snapshot {
            at: UPTIME + seconds * 1000,
            now: BEGIN + Duration::from_secs(seconds),
            cores: 2,
            processes,
            students: students.collect(),
            seats: seats.collect(),
            started: BTreeMap::new(),
        }
    }
}

impl Place {
    fn seat(&self) -> Seat {
        let time = |minutes: i64| Time(BEGIN.0 + minutes * 60_000);
        Seat {
            taken: self.taken,
            participant: self.participant.map(wod::domain::Participant::new),
            workshop: self.workshop.as_ref().map(|name| name.parse().unwrap()),
            since: self.since.map(time),
            until: self.until.map(time),
            last_activity: self.last_activity.map(time),
            cpu_minutes: self.cpu_minutes,
        }
    }
}

impl Actor {
    fn at(
        &self,
        seconds: u64,
        pid: u32,
        copy: u32,
        reaped: &mut BTreeMap<u32, u64>,
    ) -> Option<Process> {
        if seconds < self.from || self.until.is_some_and(|until| seconds >= until) {
            return None;
        }
        let age = (seconds - self.from) * 1000;
        let whole = self.restart.map(|life| (life * 1000.0) as u64);
        let (life, generation) = match whole {
            Some(whole) => (age % whole, age / whole),
            None => (age, 0),
        };
        if self.reaped {
            let full = generation * whole.unwrap_or(0);
            *reaped.entry(self.parent).or_default() += full * self.cpu / 100;
        }
        let uid = self.student.map_or(self.uid, |n| UIDBASE + n);
        let path = self
            .exe
            .as_ref()
            .map(|exe| exe.replace("{n}", &generation.to_string()));
        let is_roots = path
            .as_ref()
            .is_some_and(|path| path.starts_with("/usr/") || path.starts_with("/opt/"));
        let owner = self.owner.unwrap_or(if is_roots { 0 } else { uid });
        let file = path.as_deref().and_then(|path| path.rsplit('/').next());
        let file = file.unwrap_or_default().to_owned();
        let mut peers: Vec<SocketAddr> = self
            .peers
            .iter()
            .map(|peer| peer.parse().unwrap())
            .collect();
        peers.extend(
            (0..self.destinations).map(|n| SocketAddr::from(([198, 51, copy as u8, n as u8], 443))),
        );
        Some(Process {
            id: ProcessId {
                // Each generation has a pid of its own.
                pid: pid + 20_000 * (generation % 100) as u32,
                start: UPTIME + seconds * 1000 - life,
            },
            parent: self.parent,
            session: pid,
            uid,
            effective_uid: self.effective_uid.unwrap_or(uid),
            exe: Exe {
                path: path.map(Into::into),
                deleted: self.deleted,
                owner: self.exe.is_some().then_some(owner),
                sha256: self.sha256.clone(),
            },
            name: self.name.clone().unwrap_or(file.clone()),
            argv: if self.argv.is_empty() {
                vec![file]
            } else {
                self.argv.clone()
            },
            cwd: None,
            state: self.state,
            tracer: 0,
            nice: self.nice,
            threads: self.threads,
            cpu_ms: life * self.cpu / 100,
            reaped_cpu_ms: 0,
            resident: self.mib << 20,
            peers,
            cgroup: self.cgroup.clone(),
        })
    }
}

fn root(pid: u32, parent: u32, exe: &str, argv: &[&str]) -> Process {
    Process {
        id: ProcessId { pid, start: 1000 },
        parent,
        session: pid,
        uid: 0,
        effective_uid: 0,
        exe: Exe {
            path: Some(exe.into()),
            owner: Some(0),
            ..Exe::default()
        },
        name: "root".to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: None,
        state: 'S',
        tracer: 0,
        nice: 0,
        threads: 1,
        cpu_ms: 0,
        reaped_cpu_ms: 0,
        resident: 1 << 20,
        peers: Vec::new(),
        cgroup: None,
    }
}
