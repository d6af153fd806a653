//! Killed at every change, and in the middle of the next one: the host can be used, no file is half a
//! file, and the next run goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{on_private_host, sh};

use super::damage::damages;
use super::host::{Host, PROGRAM};

/// Looked at after each kill, but those that accounts, packages and the firewall are kept in.
type Texts = BTreeMap<String, Option<Vec<u8>>>;

#[test]
fn killed_at_every_change_it_goes_on() {
    on_private_host(|| {
        let host = Host::new();
        // Where Debian has it, a setting that is lost comes back at another place.
        sh("postconf -c /etc/postfix -X mailbox_command");
        let paths = paths(&host);
        let mut initial = texts(&paths);
        assert_eq!(host.deliver(&["--install"]).status, 0);
        let whole = texts(&paths);
        let items = host.items();
        let (mut kills, mut owed) = (0, 0);
        // Milliseconds after a change was told: into the next one, or the one after it. The slower we
        // are, the more changes there are between two kills: then it takes more turns.
        for (turn, delay) in [0, 3, 11].into_iter().cycle().enumerate() {
            if turn >= 3 && kills > 100 && owed > 20 {
                break;
            }
            assert!(turn < 15, "only {kills} kills, {owed} with commands owed");
            for item in items.iter().rev() {
                sh(&damages(item, &items)[0]);
            }
            let damaged = texts(&paths);
            let mut changes = 0;
            while let Some(changed) = killed_at_its_first_change(delay) {
                changes += changed;
                kills += 1;
                assert!(kills < 200 * (turn + 1), "it does not come to an end");
                usable();
                for (path, now) in texts(&paths) {
                    let known = [&initial[&path], &damaged[&path], &whole[&path]];
                    assert!(known.contains(&&now), "half of {path}: {now:?}");
                }
                owed += usize::from(
                    sh("cat /var/lib/wod/private/deliver/pending.json || true").len() > 4,
                );
            }
            assert!(changes > 40, "only {changes} changes");
            assert_eq!(texts(&paths), whole);
            let last = host.deliver(&["--install"]);
            assert_eq!((last.status, last.total("changed")), (0, 0), "{last:?}");
            nothing_left();
            initial = damaged;
        }
        println!("{kills} kills, {owed} of them with commands owed");
        // A command that was owed is run although nothing else is left to do.
        sh("rm -f /run/systemctl.log; cd /var/lib/wod/private/deliver
            echo '[[\"systemctl\",\"try-restart\",\"fail2ban\"]]' >pending.json");
        let run = host.deliver(&[]);
        assert_eq!(
            run.of("changed"),
            ["command systemctl try-restart fail2ban"]
        );
        sh("grep -qx 'try-restart fail2ban' /run/systemctl.log");
        assert_eq!(host.deliver(&[]).total("changed"), 0);
    });
}

/// Starts a run and kills it after the first change that it tells of. None when there was none, and
/// it came to its end.
fn killed_at_its_first_change(delay: u64) -> Option<usize> {
    let mut run = Command::new(PROGRAM)
        .args(["deliver", "--install", "--json", "--skip-tags", "students"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let is_change = |line: &String| line.contains("\"outcome\":\"changed\"");
    let changed = lines.by_ref().map(Result::unwrap).find(is_change);
    if changed.is_some() {
        thread::sleep(Duration::from_millis(delay));
        run.kill().unwrap();
    }
    let more = lines.map_while(Result::ok).filter(is_change).count();
    let status = run.wait().unwrap();
    // What it had started ends by itself.
    sh("while pgrep -x 'useradd|usermod|apt-get|dpkg|ufw' >/dev/null; do sleep 0.02; done");
    match changed {
        Some(_) => Some(1 + more),
        None => {
            assert!(status.success(), "{status}");
            None
        }
    }
}

/// An admin can log in and become root, and whatever reads configuration files still can.
fn usable() {
    sh("getent passwd root nobody >/dev/null; getent shadow root >/dev/null
        test \"$(awk -F: 'NF != 7' /etc/passwd; awk -F: 'NF != 9' /etc/shadow; awk -F: 'NF != 4' /etc/group)\" = ''
        su root -c true; visudo -c >/dev/null; sshd -t; postconf -n -c /etc/postfix >/dev/null
        getent hosts localhost >/dev/null");
}

fn nothing_left() {
    let left = sh("find /etc /home /var/share /var/private /var/lib/wod /usr/local -name '.wod-*'");
    assert_eq!(left, "");
}

/// Of items that are files, or lines in files.
fn paths(host: &Host) -> Vec<String> {
    let items = host.items();
    let files = items.iter().filter_map(|item| {
        let (kind, rest) = item.split_once(' ')?;
        let known = ["file", "block", "settings"].contains(&kind);
        known.then(|| rest.strip_prefix("in ").unwrap_or(rest).to_owned())
    });
    files.collect()
}

fn texts(paths: &[String]) -> Texts {
    let read = |path: &String| (path.clone(), fs::read(path).ok());
    paths.iter().map(read).collect()
}
