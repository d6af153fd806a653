//! What is abuse on this site: lists, limits, and what is done about findings. A plain value.

mod fields;
mod lists;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Level, Rule};

pub use fields::Wrong;
pub use lists::Lists;

/// `watchdog.yml`; `templates/watchdog/policy.yml` explains every field.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Rules that are not asked.
    pub without: BTreeSet<Rule>,
    pub lists: Lists,
    pub places: Places,
    pub disguise: Disguise,
    pub cpu: Cpu,
    pub pool: Pool,
    pub processes: Processes,
    pub memory: Memory,
    pub seats: Seats,
    pub logins: Logins,
    pub responses: Responses,
}

/// Where programs of students do and do not lie. Times are times on processors.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// Hidden directories in which honest programs live: `.local`, `.cargo`, …
    pub honest: BTreeSet<String>,
    /// Beginnings of names below /tmp that honest tools use: `go-build`, `pip-`, …
    pub honest_temporary: BTreeSet<String>,
    pub suspicious_after: Duration,
    pub certain_after: Duration,
    /// The same for a program that is deleted and lay in an ordinary directory.
    pub deleted_after: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Disguise {
    /// Time on processors after which nobody mistakes it for a joke.
    pub certain_after: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cpu {
    /// Time on processors that a session may use before anybody asks, where its workshop's
    /// `wod.yml` states no `cpu_minutes`: WODCPUGRACE.
    pub grace: Duration,
    /// Hundredths of one processor from which a process is said to compute.
    pub busy_percent: u32,
    /// Time on processors of one process: of any, worth a line.
    pub notice_after: Duration,
    /// Of a program of the student's own, or one that does not belong to the hub's server.
    pub suspicious_after: Duration,
    pub windows: Vec<Window>,
}

/// All that a student uses within a time that slides along.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub span: Duration,
    /// So much time on processors within it.
    pub cpu: Duration,
    pub programs: Programs,
    pub level: Level,
}

/// Whose programs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// Those that do not belong to root.
    Own,
    All,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Whether pools are looked for on this host, too.
    pub loopback: bool,
    /// Time on processors of a process with a pool's port.
    pub suspicious_after: Duration,
    pub certain_after: Duration,
    /// Different addresses that a student talks to within half a minute.
    pub destinations_notice: usize,
    pub destinations_suspicious: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Processes {
    pub notice: u32,
    pub suspicious: u32,
    /// Copies of one program that are a fork bomb.
    pub bomb: u32,
    /// How long so many have to be there.
    pub bomb_after: Duration,
    /// New processes a second, over ten seconds.
    pub forks_notice: u32,
    pub forks_suspicious: u32,
}

/// Bytes in memory of all of a student's processes.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    pub notice: u64,
    pub suspicious: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Seats {
    /// How long processes may be on a seat that nobody has.
    pub empty_suspicious_after: Duration,
    pub empty_certain_after: Duration,
    /// How long a session lasts whose end nobody knows: WODMAXSESSION.
    pub longest: Duration,
    /// How long after the end processes are only worth a line.
    pub overtime: Duration,
    pub idle: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Logins {
    /// Programs of root's that let somebody in.
    pub programs: BTreeSet<String>,
    pub level: Level,
}

/// What is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    Log,
    /// Somebody is told.
    Alert,
    StopProcess,
    /// All of the student's processes, and the seat is cleaned.
    StopSeat,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Responses {
    pub levels: BTreeMap<Level, Response>,
    /// Where a rule has an answer of its own.
    pub rules: BTreeMap<Rule, BTreeMap<Level, Response>>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const GIB: u64 = 1 << 30;

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            without: BTreeSet::new(),
            lists: Lists::default(),
            places: Places::default(),
            disguise: Disguise {
                certain_after: Duration::from_secs(20),
            },
            cpu: Cpu::default(),
            pool: Pool {
                loopback: false,
                suspicious_after: MINUTE,
                certain_after: 10 * MINUTE,
                destinations_notice: 24,
                destinations_suspicious: 96,
            },
            processes: Processes {
                notice: 200,
                suspicious: 600,
                bomb: 400,
                bomb_after: Duration::from_secs(3),
                forks_notice: 200,
                forks_suspicious: 1000,
            },
            memory: Memory {
                notice: 4 * GIB,
                suspicious: 12 * GIB,
            },
            seats: Seats {
                empty_suspicious_after: MINUTE,
                empty_certain_after: 10 * MINUTE,
                longest: 24 * HOUR,
                overtime: HOUR / 2,
                idle: 12 * HOUR,
            },
            logins: Logins {
                programs: names(&["dropbear", "login", "sshd", "sshd-session", "su", "vsftpd"]),
                level: Level::Notice,
            },
            responses: Responses::default(),
        }
    }
}

impl Default for Places {
    fn default() -> Places {
        Places {
            honest: names(&[
                ".asdf",
                ".bun",
                ".cabal",
                ".cache",
                ".cargo",
                ".conda",
                ".config",
                ".deno",
                ".docker",
                ".dotnet",
                ".ghcup",
                ".git",
                ".go",
                ".gradle",
                ".ipython",
                ".jdks",
                ".julia",
                ".jupyter",
                ".krew",
                ".kube",
                ".linuxbrew",
                ".local",
                ".m2",
                ".mamba",
                ".micromamba",
                ".minikube",
                ".nox",
                ".npm",
                ".nvm",
                ".opam",
                ".pixi",
                ".pyenv",
                ".rbenv",
                ".rustup",
                ".sdkman",
                ".stack",
                ".tox",
                ".venv",
                ".virtualenvs",
                ".vscode-server",
            ]),
            honest_temporary: names(&[
                ".mount_",
                "Rtmp",
                "_MEI",
                "bazel_",
                "bun-node-",
                "cargo-install",
                "cc",
                "go-build",
                "go-link-",
                "npm-",
                "pip-",
                "rustc",
                "rustdoctest",
            ]),
            suspicious_after: MINUTE,
            certain_after: 15 * MINUTE,
            deleted_after: 30 * MINUTE,
        }
    }
}

impl Default for Cpu {
    fn default() -> Cpu {
        let window = |span, cpu, programs, level| Window {
            span,
            cpu,
            programs,
            level,
        };
        Cpu {
            grace: 30 * MINUTE,
            busy_percent: 50,
            notice_after: 5 * MINUTE,
            suspicious_after: 20 * MINUTE,
            windows: vec![
                window(10 * MINUTE, 8 * MINUTE, Programs::Own, Level::Notice),
                window(HOUR, 45 * MINUTE, Programs::All, Level::Suspicious),
                window(HOUR, 45 * MINUTE, Programs::Own, Level::Suspicious),
                window(8 * HOUR, 2 * HOUR, Programs::Own, Level::Suspicious),
                window(2 * HOUR, 90 * MINUTE, Programs::Own, Level::Certain),
            ],
        }
    }
}

impl Default for Responses {
    fn default() -> Responses {
        Responses {
            levels: BTreeMap::from([
                (Level::Notice, Response::Log),
                (Level::Suspicious, Response::Alert),
                (Level::Certain, Response::StopSeat),
            ]),
            // There is nothing to clean up on a seat that nobody has.
            rules: BTreeMap::from([(
                Rule::EmptySeat,
                BTreeMap::from([(Level::Certain, Response::StopProcess)]),
            )]),
        }
    }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

impl Policy {
    /// Reads `watchdog.yml`; what it does not state is as in the default. Everything that is wrong
    /// with it is told at once.
    pub fn parse(text: &str) -> Result<Policy, Vec<Wrong>> {
        read::policy(text)
    }

    /// What is to be done about a finding; one that is allowed is only logged.
    pub fn response(&self, finding: &Finding) -> Response {
        if finding.allowed.is_some() {
            return Response::Log;
        }
        let of_rule = self.responses.rules.get(&finding.rule);
        let stated = of_rule.and_then(|levels| levels.get(&finding.level));
        let stated = stated.or_else(|| self.responses.levels.get(&finding.level));
        stated.copied().unwrap_or(Response::Log)
    }
}
