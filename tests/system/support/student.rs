//! One student on a private host: what they see, what they can do, and what is left of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::backend::{HUB, STATE, STUDENTS, UID_BASE};
use super::{fed, sh, wait_for};

/// From the local registry, as a frontend has it from its own.
pub fn password(student: u32) -> String {
    let query = format!("select password from seats where student = {student}");
    let line = format!(
        "python3 -c 'import sqlite3; print(sqlite3.connect(\"{STATE}/private/journal.db\").execute(\"{query}\").fetchone()[0])'"
    );
    sh(&line).trim().to_owned()
}

/// A shell line as that student, as after a login; whatever becomes of it.
pub fn try_as_student(student: u32, line: &str) -> Output {
    let id = (UID_BASE + student).to_string();
    Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args(["/bin/bash", "-ec", line])
        .env("HOME", format!("{STUDENTS}/student{student}"))
        .env("USER", format!("student{student}"))
        .env("LOGNAME", format!("student{student}"))
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The same; panics when it fails.
pub fn as_student(student: u32, line: &str) -> String {
    let output = try_as_student(student, line);
    assert!(
        output.status.success(),
        "student{student}: {line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Whether PAM lets somebody become the student with this password.
pub fn su_takes(student: u32, password: &str) -> bool {
    let mut su = Command::new("setpriv");
    su.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .args(["su", &format!("student{student}"), "-c", "id -un"])
        .current_dir("/");
    let output = fed(&mut su, format!("{password}\n").as_bytes());
    String::from_utf8_lossy(&output.stdout).trim() == format!("student{student}")
}

/// A token that the student made for later, as the page /hub/token does.
pub fn hub_token(student: u32, password: &str) -> String {
    let name = format!("student{student}");
    let asked = serde_json::json!({"auth": {"username": name, "password": password}});
    let mut response = ureq::post(format!("{HUB}/hub/api/users/{name}/tokens"))
        .send_json(asked)
        .unwrap();
    let model: serde_json::Value = response.body_mut().read_json().unwrap();
    model["token"].as_str().unwrap().to_owned()
}

/// A kernel on the student's server, as a notebook starts it.
pub fn start_kernel(student: u32, token: &str) {
    let url = format!("{HUB}/user/student{student}/api/kernels");
    ureq::post(url)
        .header("Authorization", format!("token {token}"))
        .send_json(serde_json::json!({"name": "python3"}))
        .unwrap();
    wait_for(20, "kernel", || {
        processes(student).contains("ipykernel").then_some(())
    });
}

/// What a student can leave behind outside of the home, and what holds on to life.
pub fn leave_all_over(student: u32) {
    as_student(
        student,
        "(trap '' TERM HUP INT; exec >/dev/null 2>&1
          setsid bash -c '(exec -a innocent sleep 100000) & sleep 100000' &)
         (cd /; exec -a /usr/bin/nothing sleep 100000 >/dev/null 2>&1 &)
         for dir in /tmp /var/tmp /dev/shm /run/lock
         do
           mkdir -p $dir/left-$USER/deep; echo mine >$dir/left-$USER/deep/file
           echo mine >$dir/.left-$USER; chmod 0 $dir/left-$USER/deep $dir/left-$USER
         done >&2
         ipcmk -M 4096 >&2; ipcmk -S 3 >&2; ipcmk -Q >&2
         echo '* * * * * sleep 1' | crontab -
         echo sleep 1 | at now + 2 days 2>/dev/null
         mkdir -p ~/closed/dir; touch ~/closed/dir/file; chmod 0 ~/closed/dir ~/closed",
    );
    sh(&format!(
        "install -o student{student} -g mail -m 660 /dev/null /var/mail/student{student}"
    ));
    // What was put into the background becomes itself a moment later.
    wait_for(10, "what was left running", || {
        let running = processes(student);
        (running.contains("innocent") && running.contains("/usr/bin/nothing")).then_some(())
    });
    let there = traces(student);
    for what in [
        "/tmp/.left-",
        "/var/tmp/left-",
        "/dev/shm/.left-",
        "/run/lock/.left-",
        "/cron/crontabs/student",
        "/atjobs/",
        "/mail/student",
        "shm",
        "sem",
        "msg",
        "innocent",
        "/usr/bin/nothing",
    ] {
        assert!(there.contains(what), "{what} was not left in {there}");
    }
}

pub fn processes(student: u32) -> String {
    // The dead ones that nobody has asked for yet do no harm.
    sh(&format!(
        "ps -ww -o args= -U student{student} | grep -v '<defunct>' || true"
    ))
}

/// Everything on this machine that belongs to the student, one line each.
pub fn traces(student: u32) -> String {
    let uid = UID_BASE + student;
    sh(&format!(
        "find / \\( -path /proc -o -path /sys \\) -prune -o \\( -uid {uid} -o -gid {uid} \\) -print 2>&1 \
           | grep -v 'No such file' || true
         ps -ww -o pid=,args= -U {uid} -u {uid} | grep -v '<defunct>' || true
         for kind in shm sem msg
         do awk -v uid={uid} -v kind=$kind '
              NR == 1 {{ for (i = 1; i <= NF; i++) if ($i == \"uid\" || $i == \"cuid\") at[i] }}
              NR > 1 {{ for (i in at) if ($i == uid) {{ print kind, $0; next }} }}' /proc/sysvipc/$kind
         done
         find /var/spool /var/mail -name 'student{student}' -o -name 'student{student}.*'"
    ))
}

/// Nothing of the student is on this machine, once the trash is emptied.
pub fn nothing_is_left_of(student: u32) {
    trash_is_emptied();
    let left = traces(student);
    assert!(
        left.trim().is_empty(),
        "of student{student} is left: {left}"
    );
}

pub fn trash_is_emptied() {
    wait_for(20, "empty trash", || {
        let trash = Path::new(STUDENTS).join(".wod/trash");
        let mut entries = fs::read_dir(trash).into_iter().flatten();
        entries.next().is_none().then_some(())
    });
}
