//! A private host for deliver: empty, with kernel settings, services and packages of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{root, sh};

pub const TOKEN: &str = "3f9c0123456789abcdef0123456789abcdef0123456789ab";
pub const VAULT: &str = "correct-horse-battery";
pub const PROGRAM: &str = "/usr/local/bin/wod";

/// Nothing of deliver is there yet; Postfix, ufw, fail2ban, sudo and cron are, as Debian has them.
pub struct Host;

/// This host has no systemd as its first process: what `systemctl` would say and do is kept in
/// files. A unit is installed when it has a file where systemd looks.
const SYSTEMCTL: &str = r#"#!/bin/bash
dir=/run/units; mkdir -p $dir
verb=$1; shift
for unit in "$@"; do case $unit in --*) ;; *) name=$unit ;; esac; done
case $name in *.timer | *.socket | *.service) file=$name ;; *) file=$name.service ;; esac
there() { [ -e "/etc/systemd/system/$file" ] || [ -e "/lib/systemd/system/$file" ] || [ -e "$dir/$name.known" ]; }
case $verb in
show)
    there && echo LoadState=loaded || echo LoadState=not-found
    [ -e "$dir/$name.active" ] && echo ActiveState=active || echo ActiveState=inactive
    [ -e "$dir/$name.enabled" ] && echo UnitFileState=enabled || echo UnitFileState=disabled ;;
enable | start)
    there || { echo "Unit $name could not be found." >&2; exit 1; }
    [ $verb = enable ] && touch "$dir/$name.enabled" || touch "$dir/$name.active"
    touch "$dir/$name.known" ;;
*) echo "$verb $name" >>/run/systemctl.log ;;
esac
"#;

impl Host {
    pub fn new() -> Host {
        sh(&format!(
            "for dir in bin sbin; do mount -t tmpfs -o mode=0755 ours /usr/local/$dir; done
             install -m 755 {program} {PROGRAM}
             mkdir -p /run/systemd/system /run/units /var/share /etc/wod/inventory/group_vars
             mkdir -p /var/jphub/bin /var/jphub/share/jupyter; chmod 755 /var/jphub
             printf '#!/bin/sh\n' >/var/jphub/bin/jupyterhub; chmod 755 /var/jphub/bin/jupyterhub
             cp -R {root}/workshops {root}/sys /var/share/; chmod -R u+rwX,go+rX /var/share
             id wodadmin >/dev/null 2>&1 && userdel wodadmin; id wodmail >/dev/null 2>&1 && userdel wodmail
             mkdir -p /var/share/sys/skel/.ssh; echo key >/var/share/sys/skel/.ssh/config
             echo pub >/var/share/sys/skel/.ssh/known.pub
             mkdir -p /var/private/ansible/production
             echo 'a: {{{{ WODBEPORT }}}}' >/var/private/ansible/production/site.yml.j2
             cd /var/share/workshops/scripts
             printf '#!/bin/sh\ntoken is {{{{ WODBETOKEN }}}}\n' >tells.sh.j2
             echo at-compile-time >get-flag.sh.j2
             # The uid that useradd is going to take for WODUSER, whose trees these are.
             uid=999; while getent passwd $uid; do uid=$((uid-1)); done >/dev/null
             gid=999; while getent group $gid; do gid=$((gid-1)); done >/dev/null
             chown -R $uid:$gid /var/share/workshops /var/private; chmod 700 /var/private",
            program = env!("CARGO_BIN_EXE_wod"),
            root = root().display(),
        ));
        fs::write("/usr/local/sbin/systemctl", SYSTEMCTL).unwrap();
        sh("chmod 755 /usr/local/sbin/systemctl");
        kernel_settings();
        let text = format!(
            "WODUSER: wodadmin\nWODGROUP: production\nWODSENDER: frontend@test\n\
             WODSTUDDIR: /var/student\nWODUSERMIN: 1\nWODUSERMAX: 40\nUIDBASE: 62000\n\
             GIDBASE: 62000\nWODNOBO: /var/share/workshops\n\
             WODSCRIPTDIR: /var/share/workshops/scripts\nWODSYSDIR: /var/share/sys\n\
             WODSKELDIR: /var/share/sys/skel\nWODPRIVDIR: /var/private\n\
             WODANSIBLEPRIVDIR: /var/private/ansible\nVAULTPWD: {VAULT}\n\
             WODBETOKEN: {TOKEN}\nWODBEFQDN: wod.example.org\nJPHUB: /var/jphub\n\
             WODPOSTPORT: 10025\n"
        );
        fs::write("/etc/wod/inventory/group_vars/all.yml", text).unwrap();
        sh("chmod 600 /etc/wod/inventory/group_vars/all.yml");
        let host = Host;
        host.package_archive();
        host
    }

    /// What Debian would have is not to be reached: packages of the same names, with nothing in
    /// them, for those that are missing.
    fn package_archive(&self) {
        let check = self.deliver(&["--check", "--tags", "system"]);
        let missing = check.line("packages");
        let missing = missing.strip_prefix("missing: ").unwrap_or_default();
        let missing = missing.split(';').next().unwrap().replace(", ", " ");
        let first = "fail2ban ufw python3-systemd procmail";
        sh(&format!(
            "mkdir -p /run/archive; cd /run/archive
             rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
             echo 'deb [trusted=yes] file:/run/archive ./' >/etc/apt/sources.list
             for name in {missing} python3-venv; do
               mkdir -p $name/DEBIAN
               printf 'Package: %s\\nVersion: 9999\\nArchitecture: all\\nMaintainer: tests <t@t>\\nDescription: for a test of {first}\\n' $name >$name/DEBIAN/control
               dpkg-deb --build $name . >/dev/null; rm -r $name
             done
             for deb in *.deb; do
               dpkg-deb -f $deb; echo Filename: ./$deb; stat -c 'Size: %s' $deb
               echo \"SHA256: $(sha256sum $deb | cut -d' ' -f1)\"; echo
             done >Packages"
        ));
    }

    pub fn wod(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM).args(words).output().unwrap()
    }

    pub fn deliver(&self, words: &[&str]) -> Run {
        // They want a hub that answers; `deliver_students` has one.
        let mut all = vec!["deliver", "--json", "--skip-tags", "students"];
        all.extend(words);
        Run::told_by(&self.wod(&all))
    }

    /// The names of all items.
    pub fn items(&self) -> Vec<String> {
        let output = self.wod(&["deliver", "--list", "--json", "--skip-tags", "students"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines
            .map(|v| v["item"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A tmpfs in the place of /proc/sys with what deliver sets, and what programs read at their start.
fn kernel_settings() {
    sh("mkdir /run/proc-sys; cd /proc/sys
        for key in net/ipv4/tcp_keepalive_time kernel/threads-max kernel/pid_max vm/max_map_count \\
                   kernel/cap_last_cap kernel/ngroups_max kernel/random/uuid kernel/random/boot_id \\
                   kernel/osrelease kernel/overflowuid kernel/overflowgid; do
          mkdir -p /run/proc-sys/$(dirname $key); cat $key >/run/proc-sys/$key
        done
        mount --bind /run/proc-sys /proc/sys
        echo 7200 >/proc/sys/net/ipv4/tcp_keepalive_time; echo 32768 >/proc/sys/kernel/pid_max");
}

#[derive(Debug)]
pub struct Event {
    pub item: String,
    pub outcome: String,
    pub line: String,
}

/// One run as `--json` tells it.
pub struct Run {
    pub status: i32,
    pub events: Vec<Event>,
    pub recap: Value,
    pub said: String,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = self.events.iter().filter(|event| event.outcome != "ok");
        write!(f, "exit {} {}", self.status, self.said)?;
        f.debug_list().entries(told).finish()
    }
}

impl Run {
    fn told_by(output: &Output) -> Run {
        let text = String::from_utf8_lossy(&output.stdout);
        let mut events = Vec::new();
        let mut recap = Value::Null;
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            if value.get("recap").is_some() {
                recap = value;
                continue;
            }
            let text = |key: &str| value[key].as_str().unwrap().to_owned();
            events.push(Event {
                item: text("item"),
                outcome: text("outcome"),
                line: text("line"),
            });
        }
        Run {
            status: output.status.code().unwrap_or(-1),
            events,
            recap,
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn of(&self, outcome: &str) -> Vec<&String> {
        let found = self.events.iter().filter(|event| event.outcome == outcome);
        found.map(|event| &event.item).collect()
    }

    /// Items that changed, without the commands that then had to be run.
    pub fn changed(&self) -> Vec<&String> {
        let mut items = self.of("changed");
        items.retain(|item| !item.starts_with("command "));
        items
    }

    pub fn total(&self, outcome: &str) -> u64 {
        self.recap["total"][outcome].as_u64().unwrap()
    }

    /// What was told of the first item whose name has this in it.
    pub fn line(&self, item: &str) -> String {
        let found = self.events.iter().find(|event| event.item.contains(item));
        found.map_or_else(String::new, |event| event.line.clone())
    }
}

const OURS: [&str; 11] = [
    "/etc",
    "/home",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/proc/sys",
    "/run/units",
    "/var/student",
    "/var/share",
    "/var/private",
    "/var/jphub",
    "/var/lib/wod",
];
/// Not /root: what somebody at work on the machine does there shows through.
const ALL: [&str; 6] = ["/etc", "/home", "/var", "/usr/local", "/run", "/proc/sys"];

pub type Listing = BTreeMap<String, String>;

/// Everything that a run could have changed, with size, owner, mode and times to the nanosecond.
pub fn listing() -> Listing {
    listed(&ALL)
}

/// Where items are: quicker.
pub fn short_listing() -> Listing {
    listed(&OURS)
}

/// Fails with what is not the same.
pub fn assert_same(before: &Listing, now: &Listing, what: &str) {
    let of = |from: &Listing, to: &Listing| -> Vec<String> {
        let other = from
            .iter()
            .filter(|(path, text)| to.get(*path) != Some(text));
        other
            .map(|(path, text)| format!("{path}: {text}"))
            .collect()
    };
    let (was, is) = (of(before, now), of(now, before));
    assert!(was.is_empty() && is.is_empty(), "{what}: {was:#?} {is:#?}");
}

fn listed(places: &[&str]) -> Listing {
    let mut all = BTreeMap::new();
    for place in places {
        look(Path::new(place), &mut all);
    }
    all
}

fn look(path: &Path, all: &mut Listing) {
    let Ok(meta) = path.symlink_metadata() else {
        return;
    };
    let text = format!(
        "{:o} {}:{} {} m{}.{} c{}.{}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    );
    all.insert(path.display().to_string(), text);
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten() {
            look(&entry.unwrap().path(), all);
        }
    }
}
