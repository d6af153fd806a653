//! Every delivered file, tried by the program that it is for.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{on_private_host, sh};

use super::host::Host;

/// Units, and what `systemd-analyze security` may say at most. Above 3.0 the unit file says why.
const EXPOSURE: &[(&str, f64)] = &[
    // Accounts, homes, and scripts that have sudo.
    ("wod.service", 7.0),
    // Reads strangers' mail.
    ("wod-intake.service", 1.2),
    // Sees every process of the host, and stops students' by their own uid.
    ("wod-watchdog.service", 3.7),
    // Logs students in and starts what they work with.
    ("jupyterhub.service", 7.0),
    // Changes what it finds, anywhere; programs of the overlay may use sudo.
    ("wod-deliver.service", 4.0),
];

#[test]
fn every_file_passes_its_own_checker() {
    on_private_host(|| {
        let host = Host::new();
        assert_eq!(host.deliver(&["--install"]).status, 0);
        let mut tried = 0;
        for item in host.items() {
            let Some(path) = item.strip_prefix("file ") else {
                continue;
            };
            if let Some(line) = checker(path) {
                sh(&line);
                tried += 1;
            }
        }
        assert!(tried > 15, "only {tried} files were tried");
        sh("visudo -c; sshd -t
            postconf -n -c /etc/postfix 2>&1 | tee /run/said; ! grep -iE 'warning|fatal' /run/said
            postconf -M -c /etc/postfix | grep -q '^10025 .*smtpd'");
        sh(
            "test \"$(su - wodadmin -s /bin/bash -c 'echo $EDITOR')\" = vim
            test \"$(sudo -u wodadmin sudo -n id -u)\" = 0",
        );
    });
}

fn checker(path: &str) -> Option<String> {
    let (_, name) = path.rsplit_once('/')?;
    let line = match path {
        _ if path.starts_with("/etc/systemd/system/") && path.ends_with(".conf") => {
            format!("grep -qE '^\\[Slice\\]' {path}")
        }
        _ if path.starts_with("/etc/systemd/system/") => {
            format!("systemd-analyze verify --man=no --recursive-errors=no {path}")
        }
        _ if path.starts_with("/etc/sudoers.d/") => format!("visudo -cf {path}"),
        _ if path.starts_with("/etc/logrotate.d/") => format!("logrotate -d {path}"),
        _ if path.starts_with("/etc/sysctl.d/") => format!("sysctl -q -p {path}"),
        // A container may not be allowed to raise what pam_limits then sets.
        _ if path.starts_with("/etc/security/limits.d/") => {
            format!("test \"$(awk '!/^#/ && NF == 4 && $2 ~ /^(soft|hard)$/' {path} | wc -l)\" = 7")
        }
        _ if path.ends_with(".py") => format!("/usr/bin/python3 -m py_compile {path}"),
        // Five fields, an account, a command.
        _ if path.starts_with("/etc/cron.d/") => format!(
            "case {name} in *.*) exit 1 ;; esac
             awk '/^[0-9]/ {{ if (NF < 7) exit 1; lines++ }} END {{ exit lines != 1 }}' {path}
             id -u $(awk '/^[0-9]/ {{ print $6 }}' {path})"
        ),
        _ if path.starts_with("/usr/local/bin/wod-") => format!("bash -n {path}; test -x {path}"),
        _ if path.starts_with("/etc/skel/.") && !path.contains(".ssh") => format!("bash -n {path}"),
        "/etc/skel/.ssh/config" => format!("test $(stat -c %a {path}) = 600"),
        "/etc/skel/.ssh/known.pub" => format!("test $(stat -c %a {path}) = 644"),
        _ => return None,
    };
    Some(line)
}

#[test]
fn units_take_away_what_their_job_allows() {
    on_private_host(|| {
        let host = Host::new();
        // Also the one of a command that this program may not have.
        host.wod(&[
            "-e",
            "wod_watchdog_unit=true",
            "deliver",
            "--install",
            "--skip-tags",
            "students",
        ]);
        sh(
            "systemd-analyze verify --man=no --recursive-errors=no /etc/systemd/system/wod-watchdog.service",
        );
        let units = sh("cd /etc/systemd/system; ls *.service");
        let mut units: Vec<&str> = units.lines().collect();
        let ours = |unit: &&str| unit.starts_with("wod") || *unit == "jupyterhub.service";
        units.retain(ours);
        assert_eq!(units.len(), EXPOSURE.len());
        for unit in units {
            let (_, most) = EXPOSURE.iter().find(|(name, _)| *name == unit).unwrap();
            let said = sh(&format!(
                "systemd-analyze security --offline=true --no-pager {unit} | tail -n 1"
            ));
            let score: f64 = said
                .split_whitespace()
                .find_map(|word| word.parse().ok())
                .unwrap();
            println!("{unit}: {score}");
            assert!(score <= *most, "{unit}: {score}");
            if *most > 3.0 {
                each_open_point_has_its_reason(unit);
            }
        }
    });
}

/// Each setting that costs score is named in the unit's comment.
fn each_open_point_has_its_reason(unit: &str) {
    let text = fs::read_to_string(format!("/etc/systemd/system/{unit}")).unwrap();
    let comments = text.lines().filter(|line| line.starts_with('#'));
    let comments = comments.collect::<Vec<_>>().join("\n");
    let report = sh(&format!(
        "systemd-analyze security --offline=true --no-pager {unit} | grep '✗'"
    ));
    let named = report.lines().filter_map(|line| {
        let setting = line.split_whitespace().nth(1)?;
        Some(setting.split('=').next()?.to_owned())
    });
    let named: BTreeSet<String> = named.collect();
    assert!(named.len() > 5, "{report}");
    let silent: Vec<&String> = named
        .iter()
        .filter(|name| !comments.contains(*name))
        .collect();
    assert!(silent.is_empty(), "{unit} has no reason for {silent:?}");
}

#[test]
fn fail2ban_counts_wrong_passwords_and_nothing_else() {
    on_private_host(|| {
        Host::new().deliver(&["--install"]);
        let wrong = [
            "[W 2026-11-21 13:00:00.123 JupyterHub auth:1478] PAM Authentication failed ('student1'@10.1.2.3): [PAM Error 7] Authentication failure",
            "[W 2024-01-02 13:00:00.124 JupyterHub auth:1242] PAM Authentication failed (student1@::ffff:10.1.2.3): [PAM Error 7] Authentication failure",
            "Nov 21 13:00:00 host jupyterhub[123]: [W 2026-11-21 13:00:00.123 JupyterHub auth:1478] PAM Authentication failed ('student1'@10.1.2.3): [PAM Error 10] User not known to the underlying authentication module",
        ];
        let right = [
            "[W 2026-11-21 13:00:01.130 JupyterHub log:192] 404 GET /hub/favicon.png (student1@10.1.2.3) 2.33ms",
            "[W 2026-11-21 13:00:01.130 JupyterHub log:192] 403 POST /hub/login?next=%2Fhub%2F (@10.1.2.3) 2012.33ms",
            "[I 2026-11-21 13:00:02.130 JupyterHub log:192] 302 POST /hub/login -> /hub/spawn (student1@10.1.2.3) 212.33ms",
            "[I 2026-11-21 13:00:02.130 JupyterHub base:972] User logged in: student1",
        ];
        let matched = |lines: &[&str]| {
            std::fs::write("/run/hub.log", lines.join("\n") + "\n").unwrap();
            let said = sh("fail2ban-regex /run/hub.log /etc/fail2ban/filter.d/jupyterhub.conf");
            let line = said
                .lines()
                .find(|line| line.starts_with("Lines: "))
                .unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            words[5].parse::<usize>().unwrap()
        };
        assert_eq!(matched(&wrong), wrong.len());
        assert_eq!(matched(&right), 0);
        // Who is banned is who sent it, whatever name was typed.
        std::fs::write(
            "/run/hub.log",
            "[W 2026-11-21 13:00:00.123 JupyterHub auth:1478] PAM Authentication failed ('x@1.1.1.1): [PAM Error 7] y'@10.1.2.3): [PAM Error 7] Authentication failure\n",
        )
        .unwrap();
        let said = sh("fail2ban-regex -v /run/hub.log /etc/fail2ban/filter.d/jupyterhub.conf");
        assert!(
            said.contains("10.1.2.3") && !said.contains("1.1.1.1  "),
            "{said}"
        );
        // The jail as the server reads it; Debian's own one for sshd wants a log that is not here.
        sh("cp -R /etc/fail2ban /run/fail2ban; rm /run/fail2ban/jail.d/defaults-debian.conf
            fail2ban-client -c /run/fail2ban -d 2>&1 | grep -q \"'jupyterhub', 'addfailregex'\\|'multi-set', 'jupyterhub', 'addfailregex'\\|jupyterhub\"");
    });
}

#[test]
fn the_hub_reads_its_configuration() {
    on_private_host(|| {
        let host = Host::new();
        host.deliver(&["--install"]);
        // From elsewhere, as its unit does: a file that is not found is left out without a word.
        let shown = sh("cd /var/lib/wod
            /opt/jupyterhub/bin/jupyterhub --show-config -f /etc/wod/jupyterhub/jupyterhub_config.py 2>&1");
        for word in [
            "api_page_max_limit = 10000",
            "cleanup_servers = False",
            "'delete:servers'",
            "shutdown_no_activity_timeout=43200",
            super::host::TOKEN,
        ] {
            assert!(shown.contains(word), "{word} is not in {shown}");
        }
    });
}

#[test]
fn procmail_hands_every_mail_over_and_its_answer_back() {
    on_private_host(|| {
        Host::new().deliver(&["--install"]);
        // In the place of wod, to see what comes and to choose what goes back.
        sh("printf '#!/bin/sh\\ncat >/home/wodadmin/got; exit 67\\n' >/run/answer; chmod 755 /run/answer
            cp /run/answer /usr/local/bin/wod
            printf 'From a@b Sat Nov 21 13:00:00 2026\\nSubject: CREATE 1 2\\n\\nWKSHP-A\\n' >/run/mail");
        let status = sh(
            "setpriv --reuid=wodadmin --regid=wodadmin --clear-groups env \\
            HOME=/home/wodadmin LOGNAME=wodadmin procmail </run/mail && echo 0 || echo $?",
        );
        assert_eq!(status.trim(), "67");
        sh(
            "grep -q 'Subject: CREATE 1 2' /home/wodadmin/got; grep -q WKSHP-A /home/wodadmin/got
            test ! -s /var/mail/wodadmin",
        );
    });
}
