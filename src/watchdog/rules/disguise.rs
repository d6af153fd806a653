//! Programs of a student's own that say they are another one. What is root's may call itself what it
//! likes: servers write their state there.

use crate::domain::quoted;
use crate::watchdog::finding::{Finding, Level, Rule};
use crate::watchdog::process::Process;
use crate::watchdog::scene::Scene;
use crate::watchdog::told;

/// Names that are claimed, and the programs that may claim them. A name that ends in `*` goes on.
const FAMILIES: [(&[&str], &[&str]); 10] = [
    (
        &[
            "python*",
            "pypy*",
            "ipython*",
            "ipykernel*",
            "jupyter*",
            "conda",
        ],
        &[
            "python*", "pypy*", "graalpy*", "ipython*", "jupyter*", "conda*", "pyston*",
        ],
    ),
    (
        &["sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "tcsh"],
        &[
            "sh", "bash*", "dash", "zsh*", "ksh*", "mksh", "ash", "fish", "tcsh", "busybox*",
            "toybox*", "nu", "osh", "oil", "yash",
        ],
    ),
    (
        &["node", "nodejs"],
        &["node*", "bun*", "deno", "electron*", "code*"],
    ),
    (&["java", "javaw"], &["java*"]),
    (&["perl", "perl5*"], &["perl*"]),
    (&["ruby"], &["ruby*", "jruby*", "truffleruby*"]),
    (&["R", "Rscript"], &["R", "Rscript"]),
    (&["julia"], &["julia*"]),
    (
        &[
            "systemd*",
            "sshd",
            "sshd-session",
            "cron",
            "crond",
            "init",
            "dbus-daemon",
            "agetty",
            "rsyslogd",
            "dockerd",
            "containerd*",
            "kubelet",
            "login",
            "sudo",
            "su",
        ],
        &[],
    ),
    (
        &[
            "kworker*",
            "kthreadd",
            "ksoftirqd*",
            "migration*",
            "rcu_sched",
            "kswapd*",
            "kdevtmpfs",
            "khugepaged",
            "watchdogd",
        ],
        &[],
    ),
];

pub fn ask(scene: &Scene) -> Vec<Finding> {
    let lies = scene
        .subjects
        .iter()
        .filter_map(|subject| Some((subject, lie(subject.process)?)));
    lies.map(|(subject, claim)| {
        let limit = told::ms(scene.policy.disguise.certain_after);
        // Time counts, not its share: nothing honest comes this far.
        let computes = scene.history.is_some() && subject.cpu_ms >= limit;
        let (level, score) = match computes {
            true => (Level::Certain, 100),
            false => (Level::Suspicious, 60),
        };
        Finding {
            sentence: format!(
                "{} runs {}, which calls itself {}{}",
                subject.student.account(),
                told::program(subject.process),
                quoted(claim),
                if computes { " and computes" } else { "" },
            ),
            ..scene.finding(Rule::Disguise, level, score, &[subject])
        }
    })
    .collect()
}

/// What a program of a student's own says it is, when it is not.
pub fn lie(process: &Process) -> Option<&str> {
    if !process.exe.is_own() {
        return None;
    }
    let file = process.exe.file_name()?;
    let argument = process.argv.first().map_or("", String::as_str);
    // Servers write more than their name there: `nginx: worker process`.
    let word = argument.split([' ', ':']).next().unwrap_or_default();
    let word = word.rsplit('/').next().unwrap_or_default();
    let word = word.strip_prefix('-').unwrap_or(word);
    let claims = [word, process.name.as_str()];
    claims.into_iter().find(|claim| is_lie(claim, file))
}

fn is_lie(claim: &str, file: &str) -> bool {
    // As ps shows threads of the kernel.
    if claim.starts_with('[') && claim.len() > 1 {
        return true;
    }
    if claim == file {
        return false;
    }
    let family = FAMILIES.iter().find(|(claims, _)| is_one_of(claim, claims));
    family.is_some_and(|(_, programs)| !is_one_of(file, programs))
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *known,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_held_against_the_file() {
        for (claim, file) in [
            ("python3", "python3.11"),
            ("python", "pypy3.10"),
            ("jupyter-lab", "python3.12"),
            ("bash", "bash"),
            ("sh", "busybox"),
            ("node", "bun"),
            ("server", "helper"),
            ("npm install", "node"),
            ("sshd", "sshd"),
            ("", "helper"),
            ("nginx", "nginx"),
        ] {
            assert!(!is_lie(claim, file), "{claim} {file}");
        }
        for (claim, file) in [
            ("python", "helper"),
            ("ipykernel_launcher", "helper"),
            ("bash", "x"),
            ("[kworker/0:1]", "x"),
            ("kworker/u8:2", "x"),
            ("sshd", "x"),
            ("java", "node"),
        ] {
            assert!(is_lie(claim, file), "{claim} {file}");
        }
    }
}
