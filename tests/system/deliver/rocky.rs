//! A host that says it is Rocky: what its programs are called with. They are stand-ins that keep what
//! they hear; rpm and dnf know the packages that were installed by them.

use std::fs;

use super::host::Host;
use crate::support::{on_private_host, sh};

const CALLS: &str = "/run/calls";

/// No program of Debian's that deliver would take is left, and these come in their place.
fn become_rocky() {
    sh(&format!(
        "mount -t tmpfs layers /mnt
         for dir in bin sbin lib; do
           mkdir /mnt/$dir /mnt/$dir/upper /mnt/$dir/work
           mount -t overlay -o lowerdir=/usr/$dir,upperdir=/mnt/$dir/upper,workdir=/mnt/$dir/work rocky /usr/$dir
         done
         cd /usr/bin; rm -f dpkg-query apt-get apt; cd /usr/sbin; rm -f ufw
         printf 'ID=\"rocky\"\\nID_LIKE=\"rhel centos fedora\"\\nVERSION_ID=\"9.4\"\\n'  >/usr/lib/os-release
         printf '#!/bin/bash\\necho \"dnf $*\" >>{CALLS}
           [ ! -e /run/dnf-fails ] || {{ echo \"no mirror\" >&2; exit 1; }}
           for word in \"$@\"; do case $word in -* | install | upgrade | autoremove) ;; *) echo $word >>/run/rpms ;; esac; done\\n' >/usr/bin/dnf
         printf '#!/bin/bash\\necho \"rpm $1\" >>{CALLS}; shift 3
           for name in \"$@\"; do grep -qx -- \"$name\" /run/rpms && echo $name installed || echo \"package $name is not installed\"; done; true\\n' >/usr/bin/rpm
         printf '#!/bin/bash\\necho \"firewall-cmd $*\" >>{CALLS}
           case $* in
             *--add-port=*) word=${{*##*=}}; echo $word >>/run/kept ;;
             --reload) cp /run/kept /run/now ;;
             --permanent*--list-ports) cat /run/kept | xargs ;;
             --list-ports) cat /run/now | xargs ;;
           esac\\n' >/usr/bin/firewall-cmd
         chmod 755 /usr/bin/dnf /usr/bin/rpm /usr/bin/firewall-cmd
         touch /run/rpms {CALLS}; echo 22/tcp | tee /run/kept >/run/now
         for unit in firewalld chronyd crond postfix fail2ban; do touch /run/units/$unit.known; done"
    ));
}

fn calls() -> Vec<String> {
    let text = fs::read_to_string(CALLS).unwrap();
    fs::write(CALLS, "").unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_rocky_host_gets_its_own_packages_services_and_firewall() {
    on_private_host(|| {
        let host = Host::new();
        become_rocky();
        let check = host.deliver(&["--check"]);
        let missing = check.line("packages");
        assert!(
            missing.starts_with("missing: acl, at, cronie, git"),
            "{check:?}"
        );
        assert!(missing.contains("wod deliver --install"), "{missing}");
        let only_looks = |call: &String| {
            ["--list-ports", "--state", "rpm -q"]
                .iter()
                .any(|word| call.contains(word))
        };
        let called = calls();
        assert!(called.iter().all(only_looks), "{called:?}");

        let run = host.deliver(&["--install"]);
        assert_eq!((run.status, run.of("failed")), (0, vec![]), "{run:?}");
        let called = calls();
        let of = |program: &str| -> Vec<&String> {
            let mine = called.iter().filter(|call| call.starts_with(program));
            mine.filter(|call| !call.contains("--list-ports") && !call.contains("--state"))
                .collect()
        };
        assert_eq!(
            of("dnf"),
            [
                "dnf -q -y install acl at cronie git logrotate openssh-server postfix procmail \
              procps-ng sudo python3 python3-systemd fail2ban firewalld chrony"
            ]
        );
        assert_eq!(
            of("firewall-cmd"),
            [
                "firewall-cmd --permanent --add-port=123/tcp",
                "firewall-cmd --permanent --add-port=8000/tcp",
                "firewall-cmd --permanent --add-port=10025/tcp",
                "firewall-cmd --permanent --add-port=123/udp",
                "firewall-cmd --reload",
            ]
        );
        let active = sh("cd /run/units; ls *.active | sed s/.active// | xargs");
        for unit in [
            "firewalld",
            "chronyd",
            "crond",
            "postfix",
            "fail2ban",
            "wod",
        ] {
            assert!(
                active.split_whitespace().any(|one| one == unit),
                "{unit}: {active}"
            );
        }
        assert!(!active.contains("ufw") && !active.split_whitespace().any(|one| one == "cron"));
        assert_eq!(
            sh("getent passwd wodmail | cut -d: -f7").trim(),
            "/sbin/nologin"
        );
        // Postfix of Rocky runs nothing in a chroot.
        assert!(sh("cat /etc/postfix/master.cf").contains("\n10025 inet n - n - - smtpd\n"));
        sh(
            "test -e /etc/cron.d/wod-update; test -e /etc/sudoers.d/60-wod; visudo -cqf /etc/sudoers.d/60-wod",
        );

        let again = host.deliver(&["--install"]);
        assert_eq!((again.status, again.total("changed")), (0, 0), "{again:?}");
        assert!(calls().iter().all(|call| !call.starts_with("dnf")));

        // The nightly update, as cron runs it.
        sh("/usr/local/bin/wod-update");
        assert_eq!(
            calls(),
            ["dnf -q -y --refresh upgrade", "dnf -q -y autoremove"]
        );
        assert!(sh("cat /var/log/wod/update.log").contains(" updated\n"));
        let said = sh("touch /run/dnf-fails; /usr/local/bin/wod-update || echo exit $?");
        assert!(
            said.contains("no mirror") && said.ends_with("exit 1\n"),
            "{said}"
        );
        assert_eq!(calls(), ["dnf -q -y --refresh upgrade"]);

        // What comes before there is a site.
        sh("rm -f /run/dnf-fails /run/rpms; touch /run/rpms");
        let install = host.wod(&["install", "--check"]);
        let told = String::from_utf8_lossy(&install.stdout).into_owned();
        assert!(
            told.contains("packages 1: installed: epel-release"),
            "{told}"
        );
        assert!(
            told.contains("packages 2: installed: ca-certificates, python3"),
            "{told}"
        );
        assert!(calls().iter().all(|call| !call.starts_with("dnf")));
    });
}
