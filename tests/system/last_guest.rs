//! A guest who leaves everything behind that an account can leave: after CLEANUP, RESET and PURGE
//! nothing of it is there, and neighbours whose numbers look alike have all of theirs.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::support::backend::{Backend, Options, STUDENTS, UID_BASE, home, send};
use crate::support::seats::{self, fits, password, workshop};
use crate::support::{living, on_private_host, sh, wait_for};

const TRASH: &str = "/var/student/.wod/trash";

#[test]
fn nothing_is_left_of_the_last_guest() {
    on_private_host(|| {
        places();
        workshop("Plain", "range: [1,150]\n", &[]);
        let backend = Backend::start(Options {
            inventory: "WODUSERMAX: 150\n",
            ..Options::default()
        });
        let neighbours = [12, 120];
        for (n, name) in [(1, "Plain"), (12, "Plain"), (120, "Plain"), (21, "Git101")] {
            done(&backend, "CREATE", n, name);
            leave_everything(n);
        }
        let lines = left(&backend, 12);
        assert!(lines.len() >= 20, "{lines:#?}");
        let theirs = neighbours.map(things);
        done(&backend, "CLEANUP", 1, "Plain");
        assert_clean(&backend, 1);
        let marks = || sh("git --git-dir=/home/wodadmin/git101/class.git for-each-ref refs/seats");
        assert!(marks().contains("refs/seats/21"));
        done(&backend, "CLEANUP", 21, "Git101");
        assert!(!marks().contains("refs/seats/21"));
        assert!(home(21).exists(), "it stays until RESET");
        done(&backend, "RESET", 21, "Git101");
        assert_clean(&backend, 21);
        assert_eq!(neighbours.map(things), theirs);
        for n in neighbours {
            assert!(fits(n, &password(n).unwrap()), "student{n}");
            done(&backend, "PURGE", n, "Plain");
        }
        assert_clean(&backend, 12);
        assert_nothing_is_found(&[1, 12, 21, 120]);
        // The same seat, its next guest, and the trash that is kept for a while.
        the_trash_is_roots_alone(backend);
    });
}

/// Where hosts and workshops let everybody write.
fn places() {
    sh(
        "mkdir -p /tmp/of-root/deep /var/exchange/deep /var/mail /var/lib/systemd/linger
        chmod 1777 /tmp/of-root/deep /var/exchange/deep; chmod 755 /tmp/of-root
        mkdir -p /run/mq && mount -t mqueue none /run/mq && chmod 1777 /run/mq
        if [ -d /dev/mqueue ]; then mount -t mqueue none /dev/mqueue; fi",
    );
}

fn done(backend: &Backend, verb: &str, student: u32, name: &str) {
    let participant = (800 + student).to_string();
    let words = [verb, &format!("WKSHP-{name}"), &student.to_string()];
    let begun = Instant::now();
    let action = backend.act(&[&words[..], &["--participant", &participant]].concat());
    println!("{verb} {student}: {:?}", begun.elapsed());
    assert_eq!(action["state"], "done", "{action}");
}

/// By the programs that a guest would use, as the guest; what only root can make, as root.
fn leave_everything(student: u32) {
    let id = UID_BASE + student;
    let as_guest = r#"
        echo '* * * * * touch /tmp/cron-was-here' | crontab -
        echo 'touch /tmp/at-was-here' | at -M now + 1 day 2>/dev/null
        mkdir -p ~/.config/systemd/user ~/.config/autostart ~/shared
        printf '[Service]\nExecStart=/bin/sleep 1000\n' >~/.config/systemd/user/mine.service
        chmod 777 ~ ~/shared
        for dir in /tmp /var/tmp /dev/shm /run/lock /tmp/of-root/deep /var/exchange/deep; do
            mkdir -p "$dir/of $1/deep" && touch "$dir/of $1/deep/.file" "$dir/file-$1"
            chmod 000 "$dir/of $1/deep"
        done
        ln ~/.config/systemd/user/mine.service "/var/tmp/link-$1"
        ln -s /etc "/tmp/link-$1"; mkfifo "/tmp/fifo-$1"
        ipcmk -M 100 -S 1 -Q
        perl -e 'syscall(240, $ARGV[0], 0102, 0600, 0)' "queue-$1"
        cp /usr/bin/perl "/dev/shm/.p$1"
        setsid "/dev/shm/.p$1" -e '$SIG{$_} = "IGNORE" for qw(TERM HUP INT CHLD); exit if fork;
            exit if fork; chdir "/"; unlink $^X; open STDOUT, ">", "/dev/null"; sleep 1 while 1'
        (cd /; exec -a '[kworker]' sleep 1000 >/dev/null 2>&1 &)"#;
    fs::write("/run/leave", as_guest).unwrap();
    sh(&format!(
        "cd {home}; HOME={home} LOGNAME=student{student} setpriv --reuid={id} --regid={id} \
            --clear-groups bash -eu /run/leave {student} >/run/left.log 2>&1 || {{ cat /run/left.log; exit 1; }}
        echo mail >/var/mail/student{student}; chown {id}:mail /var/mail/student{student}
        touch /var/lib/systemd/linger/student{student}
        mkdir -p /run/user/{id}; umount /run/user/{id} 2>/dev/null || true
        mount -t tmpfs -o mode=700,uid={id} none /run/user/{id}
        touch /run/user/{id}/bus && chown {id} /run/user/{id}/bus",
        home = home(student).display(),
    ));
    // Each has become what it is to be.
    let running = |args: &str| {
        living(&format!("-U {id}"))
            .iter()
            .any(|one| one.starts_with(args))
    };
    wait_for(5, "processes", || {
        let is_alone = !fs::exists(format!("/dev/shm/.p{student}")).unwrap();
        let is_all = is_alone && running("[kworker]") && running("/dev/shm/.p");
        (is_all && seats::processes(student) == 2).then_some(())
    });
}

fn verify(backend: &Backend, student: u32) -> (bool, Value) {
    let output = backend.wod(&["students", "verify", &student.to_string(), "--json"]);
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), said)
}

/// What `wod students verify` finds; at the same time it has to say that the seat is not clean.
fn left(backend: &Backend, student: u32) -> Vec<Value> {
    let (clean, said) = verify(backend, student);
    assert!(!clean && said["clean"] == false, "{said}");
    said["left"].as_array().unwrap().clone()
}

/// What a guest has outside their home, in a few words.
fn things(student: u32) -> String {
    let id = UID_BASE + student;
    let things = sh(&format!(
        "find /tmp /var/tmp /dev/shm /run/lock /run/mq /run/user/{id} /var/exchange /var/mail \\
            /var/spool/cron /var/lib/systemd/linger '(' -uid {id} -o -name student{student} ')' | sort
         ps -o pid=,args= -U {id}; ipcs -a | grep -w student{student}; stat -c '%a %n' {home}",
        home = home(student).display(),
    ));
    assert!(things.lines().count() >= 30, "{things}");
    things
}

fn assert_clean(backend: &Backend, student: u32) {
    seats::assert_free(backend, student);
    let begun = Instant::now();
    let (clean, said) = verify(backend, student);
    println!("verify {student}: {:?}", begun.elapsed());
    assert!(clean && said["clean"] == true, "{said:#}");
}

/// By the word of find, ps, ipcs, and the names in the spools.
fn assert_nothing_is_found(students: &[u32]) {
    let all = |what: &str, with: &str| {
        let each = students
            .iter()
            .map(|n| what.replace('N', &(UID_BASE + n).to_string()));
        each.collect::<Vec<_>>().join(with)
    };
    // The directories of logind are logind's.
    let files = sh(&format!(
        "for mount in $(awk '{{print $5}}' /proc/self/mountinfo | sort -u); do
            case $mount in /proc*|/sys*) continue;; esac
            find \"$mount\" -xdev '(' {uids} ')' ! -path '/run/user/6????' 2>/dev/null || true
        done
        ls /var/spool/cron/crontabs /var/mail /var/lib/systemd/linger | grep -E '^student[0-9]' || true
        ipcs -a | grep -E 'student|{ids}' || true; ps -o pid=,args= {shown} || true",
        uids = all("-uid N", " -o "),
        ids = all("N", "|"),
        shown = all("-U N", " "),
    ));
    assert_eq!(files, "");
}

/// With WODTRASHHOURS, an erased home is there for root, and for that time only.
fn the_trash_is_roots_alone(mut backend: Backend) {
    backend.stop_engine();
    drop(backend);
    let inventory = "WODUSERMAX: 150\nWODTRASHHOURS: 1\n";
    let mut backend = Backend::start(Options {
        inventory,
        ..Options::default()
    });
    done(&backend, "CREATE", 1, "Plain");
    leave_everything(1);
    done(&backend, "PURGE", 1, "Plain");
    let (clean, said) = verify(&backend, 1);
    assert!(clean, "{said:#}");
    let notes = said["notes"].to_string();
    assert!(notes.contains(&format!("{TRASH}/student1.")), "{said}");
    let modes = sh(&format!(
        "stat -c '%a %U' {STUDENTS}/.wod {TRASH}; ls {TRASH}"
    ));
    assert!(
        modes.starts_with("700 root\n700 root\nstudent1."),
        "{modes}"
    );
    let id = UID_BASE + 1;
    let refused =
        format!("! setpriv --reuid={id} --regid={id} --clear-groups ls {TRASH}/ 2>/dev/null");
    sh(&refused);
    backend.stop_engine();
    drop(backend);
    // 1.8 seconds.
    let _backend = Backend::start(Options {
        inventory: "WODUSERMAX: 150\nWODTRASHHOURS: 0.0005\n",
        ..Options::default()
    });
    std::thread::sleep(std::time::Duration::from_secs(2));
    // Any erased home wakes who empties the trash.
    send("PURGE 2 0", "WKSHP-Plain");
    wait_for(20, "empty trash", || {
        sh(&format!("ls {TRASH}")).is_empty().then_some(())
    });
}
