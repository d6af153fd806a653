//! The hub adapter against a real JupyterHub with `sys/jupyterhub_config.py`, and against
//! servers that are none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::browser::Browser;
use crate::support::student::hub_token;
use crate::support::{living, on_private_host, root, sh, wait_for};
use wod::adapters::hub_jupyterhub::{Config, JupyterHub};
use wod::adapters::hub_none::NoHub;
use wod::domain::{Secret, Student, Time};
use wod::ports::{Disposition, Fault, Hub, Progress};

const HOST: &str = "http://127.0.0.1:8000";
const API: &str = "http://127.0.0.1:8000/hub/api";
const HUB_DIR: &str = "/var/lib/wod/hub";
/// Seconds after which the hub takes a server that has not come for one that never will.
const START: &str = "30";

#[test]
fn students_of_a_real_hub() {
    on_private_host(|| {
        inside::students_of_a_real_hub();
    });
}

#[test]
fn starts_that_fail_or_hang() {
    on_private_host(|| {
        inside::starts_that_fail_or_hang();
    });
}

#[test]
fn a_try_out_without_root() {
    on_private_host(|| {
        inside::a_try_out_without_root();
    });
}

fn student(number: u32) -> Student {
    Student::new(number).unwrap()
}

fn config(api: &str, token: &str) -> Config {
    let login = "https://hub.example.org/hub/login";
    Config::new(api, Secret::new(token.into()), login)
}

fn hub_at(api: &str, token: &str) -> JupyterHub {
    JupyterHub::new(config(api, token)).unwrap()
}

/// Asks until it is done; gives back the fault when one comes instead.
fn until_done(mut step: impl FnMut() -> Result<Progress, Fault>) -> Result<(), Fault> {
    wait_for(120, "end of a start or stop", || match step() {
        Ok(Progress::Done) => Some(Ok(())),
        Ok(Progress::NotYet(pause)) => {
            assert!(pause >= Duration::from_millis(100) && pause <= Duration::from_secs(1));
            None
        }
        Err(fault) => Some(Err(fault)),
    })
}

/// A server that says the same to everybody, after a while.
fn stub(answer: &'static str, delay: Duration) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut peer in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = peer.read(&mut [0; 4096]);
                thread::sleep(delay);
                let _ = peer.write_all(answer.as_bytes());
            });
        }
    });
    format!("http://127.0.0.1:{port}/hub/api")
}

#[test]
fn what_is_no_hub_or_a_broken_one_may_pass() {
    const NONE: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nNot Found";
    const HTML: &str = "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n<html>oops</html>";
    const BROKEN: &str = "HTTP/1.1 500 Oops\r\nX-JupyterHub-Version: 6.1.1\r\nConnection: close\r\n\r\n{\"status\": 500, \"message\": \"boom\"}";
    const STRANGE: &str =
        "HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6.1.1\r\nConnection: close\r\n\r\n<html>";
    let slow = Duration::from_secs(100);
    for (answer, delay, expected) in [
        (NONE, Duration::ZERO, "does not answer: HTTP 404"),
        (HTML, Duration::ZERO, "does not answer: HTTP 500"),
        (BROKEN, Duration::ZERO, "HTTP 500, `boom`"),
        (STRANGE, Duration::ZERO, "does not understand"),
        ("", Duration::ZERO, "does not answer"),
        (NONE, slow, "does not answer: timeout"),
    ] {
        let mut config = config(&stub(answer, delay), "s3cret");
        if delay == slow {
            config.timeout = Duration::from_secs(1);
        }
        let hub = JupyterHub::new(config).unwrap();
        let began = Instant::now();
        let activity = hub.last_activity().map(|_| Progress::Done);
        for result in [hub.start(student(7)), hub.stop(student(7)), activity] {
            let fault = result.unwrap_err();
            assert_eq!(fault.disposition, Disposition::Retry, "{fault}");
            assert!(fault.line().contains(expected), "{fault}");
            assert!(!fault.chain().contains("s3cret"));
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_hub_that_never_gets_on_is_told_in_the_end() {
    const PENDING: &str = "HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6.1.1\r\nConnection: close\r\n\r\n{\"servers\": {\"\": {\"ready\": false, \"pending\": \"stop\", \"url\": \"/user/student7/\"}}}";
    let api = stub(PENDING, Duration::ZERO);
    let limits = Config {
        start_limit: Duration::from_millis(300),
        stop_limit: Duration::from_millis(300),
        ..config(&api, "t")
    };
    let hub = JupyterHub::new(limits).unwrap();
    let fault = until_done(|| hub.start(student(7))).unwrap_err();
    assert!(
        fault.line().contains("student7 did not start within"),
        "{fault}"
    );
    let fault = until_done(|| hub.stop(student(7))).unwrap_err();
    assert!(
        fault.line().contains("student7 did not stop within"),
        "{fault}"
    );
    // It is begun anew after that, not refused for ever.
    assert!(hub.stop(student(7)).is_ok());
}

#[test]
fn without_a_hub_all_is_done() {
    assert_eq!(NoHub.start(student(7)).unwrap(), Progress::Done);
    assert_eq!(NoHub.stop(student(7)).unwrap(), Progress::Done);
    assert!(NoHub.check().is_ok() && NoHub.login_url().is_none());
    assert_eq!(NoHub.last_activity().unwrap(), None);
}

/// A hub with the product's own configuration; `as_whom` comes before its command.
#[expect(clippy::zombie_processes, reason = "it ends with its private host")]
fn launch(as_whom: &[&str], settings: &[(&str, &str)]) {
    let venv = std::env::var("JPHUB").unwrap_or_else(|_| "/opt/jupyterhub".into());
    let program = format!("{venv}/bin/jupyterhub");
    let line: Vec<&str> = as_whom
        .iter()
        .copied()
        .chain([program.as_str(), "-f"])
        .collect();
    let log = File::create("/run/hub.log").unwrap();
    Command::new(line[0])
        .args(&line[1..])
        .arg(root().join("sys/jupyterhub_config.py"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(settings.iter().copied())
        .current_dir("/")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for(60, "hub", || {
        let log = std::fs::read_to_string("/run/hub.log").unwrap();
        log.contains("JupyterHub is now running").then_some(())
    });
}

fn token(dir: &str) -> String {
    let text = std::fs::read_to_string(Path::new(dir).join("api-token")).unwrap();
    text.trim().to_owned()
}

/// The status of a request with a student's own token.
fn with_token(token: &str, path: &str) -> u16 {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .new_agent();
    let request = agent.get(format!("{HOST}{path}"));
    let response = request
        .header("Authorization", format!("token {token}"))
        .call();
    response.unwrap().status().as_u16()
}

mod inside {
    use super::*;

    const CONTENTS: &str = "/user/student7/api/contents";

    fn account(number: u32, password: &str) {
        sh(&format!(
            "useradd -m -u $((62000 + {number})) -s /bin/bash student{number} 2>&1
             echo student{number}:{password} | chpasswd"
        ));
    }

    fn processes(number: u32) -> String {
        living(&format!("-u student{number}")).join("\n")
    }

    fn root_hub() -> JupyterHub {
        launch(&[], &[("WODHUBDIR", HUB_DIR), ("WODHUBSTARTTIME", START)]);
        JupyterHub::new(Config::new(
            API,
            Secret::new(token(HUB_DIR)),
            "http://127.0.0.1:8000/hub/login",
        ))
        .unwrap()
    }

    pub fn students_of_a_real_hub() {
        let down = hub_at(API, "t").start(student(7)).unwrap_err();
        assert_eq!(down.disposition, Disposition::Retry);
        assert!(down.line().contains("is jupyterhub running?"), "{down}");

        account(7, "first-word");
        let hub = root_hub();
        hub.check().unwrap();
        tokens_that_are_refused();
        nothing_to_read_for_students();

        assert_eq!(hub.last_activity().unwrap(), Some(BTreeMap::new()));
        let before = Time::now();
        until_done(|| hub.start(student(7))).unwrap();
        assert!(processes(7).contains("jupyterhub-singleuser"));
        a_server_that_nobody_uses(&hub, before);
        let began = Instant::now();
        assert_eq!(hub.start(student(7)).unwrap(), Progress::Done);
        assert!(began.elapsed() < Duration::from_secs(10));

        let (mut browser, own) = a_participant();
        nothing_of_a_participant_remains(&hub, &mut browser, &own);
        a_student_that_the_hub_does_not_know(&hub);
        assert_eq!(hub.login_url().unwrap(), "http://127.0.0.1:8000/hub/login");
    }

    fn tokens_that_are_refused() {
        let wrong = hub_at(API, "wrong-token");
        let steps = [wrong.start(student(7)), wrong.stop(student(7))];
        let faults = steps.into_iter().map(Result::unwrap_err);
        for fault in faults.chain([wrong.check().unwrap_err()]) {
            assert_eq!(fault.disposition, Disposition::Permanent);
            assert!(fault.line().contains("check WODBETOKEN"), "{fault}");
            assert!(!fault.chain().contains("wrong-token"));
        }
    }

    fn nothing_to_read_for_students() {
        sh(&format!(
            "! setpriv --reuid=62007 --clear-groups ls {HUB_DIR} 2>&1"
        ));
        sh(&format!(
            "! setpriv --reuid=62007 --clear-groups cat {HUB_DIR}/api-token 2>&1"
        ));
        let open = sh(&format!(
            "find {HUB_DIR} -type f -perm /077 ! -name proxy.pid"
        ));
        assert_eq!(open, "");
    }

    /// It was last used when it was started, however much later one asks.
    fn a_server_that_nobody_uses(hub: &JupyterHub, before: Time) {
        let used = hub.last_activity().unwrap().unwrap();
        assert_eq!(used.keys().copied().collect::<Vec<_>>(), [student(7)]);
        let time = used[&student(7)];
        assert!(before <= time && time <= Time::now(), "{before} {time}");
        let idle_from = Time::now();
        thread::sleep(Duration::from_secs(2));
        let again = hub.last_activity().unwrap().unwrap()[&student(7)];
        assert!(time <= again && again <= idle_from, "{time} {again}");
    }

    /// Logs in as a participant would; gives back the browser and a token made meanwhile.
    fn a_participant() -> (Browser, String) {
        assert_eq!(Browser::new(HOST).log_in("student7", "wrong"), 403);
        sh("echo root:root-word | chpasswd");
        assert_eq!(Browser::new(HOST).log_in("root", "root-word"), 403);

        let mut browser = Browser::new(HOST);
        assert_eq!(browser.log_in("student7", "first-word"), 302);
        let lab = browser.get("/user/student7/lab");
        assert_eq!((lab.status, lab.path.as_str()), (200, "/user/student7/lab"));
        assert_eq!(browser.get(CONTENTS).status, 200);

        let own = hub_token(7, "first-word");
        assert_eq!(with_token(&own, "/hub/api/user"), 200);
        assert_eq!(with_token(&own, CONTENTS), 200);
        (browser, own)
    }

    fn nothing_of_a_participant_remains(hub: &JupyterHub, browser: &mut Browser, own: &str) {
        sh("echo student7:second-word | chpasswd");
        assert_eq!(Browser::new(HOST).log_in("student7", "first-word"), 403);
        // Why `stop` has to do more: JupyterHub lets the old browser in all the same.
        assert_eq!(browser.get("/hub/home").path, "/hub/home");
        assert_eq!(browser.get(CONTENTS).status, 200);

        until_done(|| hub.stop(student(7))).unwrap();
        assert_eq!(processes(7), "");
        assert_eq!(hub.last_activity().unwrap(), Some(BTreeMap::new()));
        let old = browser.clone();
        assert!(browser.get("/hub/home").path.starts_with("/hub/login"));
        assert!(
            browser
                .get("/hub/spawn/student7")
                .path
                .starts_with("/hub/login")
        );

        // The next participant has the same seat, and here even the same home.
        until_done(|| hub.start(student(7))).unwrap();
        for path in [
            CONTENTS,
            "/user/student7/lab",
            "/hub/home",
            "/user/student7/api/terminals",
        ] {
            let page = old.clone().get(path);
            let outside = page.status == 403 || page.path.starts_with("/hub/login");
            assert!(outside, "{path}: {} {}", page.status, page.path);
        }
        assert_eq!(with_token(own, "/hub/api/user"), 403);
        assert_eq!(with_token(own, CONTENTS), 403);
        let mut next = Browser::new(HOST);
        assert_eq!(next.log_in("student7", "second-word"), 302);
        assert_eq!(next.get("/user/student7/lab").status, 200);
        until_done(|| hub.stop(student(7))).unwrap();
    }

    fn a_student_that_the_hub_does_not_know(hub: &JupyterHub) {
        assert_eq!(hub.stop(student(99)).unwrap(), Progress::Done);
        let fault = hub.start(student(99)).unwrap_err();
        assert!(fault.line().contains("getent passwd student99"), "{fault}");
        assert_eq!(fault.disposition, Disposition::Retry);
    }

    pub fn starts_that_fail_or_hang() {
        for number in [7, 8] {
            account(number, "a-word");
            sh(&format!(
                "install -d -o student{number} ~student{number}/.jupyter"
            ));
        }
        sh("echo 'import os; os._exit(3)' > ~student7/.jupyter/jupyter_server_config.py");
        sh("echo 'import time; time.sleep(300)' > ~student8/.jupyter/jupyter_server_config.py");
        let hub = root_hub();

        let fault = until_done(|| hub.start(student(7))).unwrap_err();
        assert_eq!(
            fault.line(),
            "the server of student7 did not start; see the hub's log"
        );
        // What was wrong is put right: the next attempt is a new one.
        sh("rm ~student7/.jupyter/jupyter_server_config.py");
        until_done(|| hub.start(student(7))).unwrap();
        // A server that was killed is started again.
        sh("pkill -KILL -u student7; sleep 0.5");
        until_done(|| hub.start(student(7))).unwrap();

        wait_for(10, "server that hangs", || {
            assert_ne!(hub.start(student(8)).unwrap(), Progress::Done);
            processes(8).contains("singleuser").then_some(())
        });
        let began = Instant::now();
        until_done(|| hub.stop(student(8))).unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(processes(8), "");
        until_done(|| hub.stop(student(7))).unwrap();
    }

    pub fn a_try_out_without_root() {
        sh("useradd -m -u 62050 tryout 2>&1; install -d -o tryout /run/try/student/student7 /run/try/student
            cd /run/try; umask 077
            /usr/bin/python3 -c 'import hashlib; h = hashlib.pbkdf2_hmac(\"sha256\", b\"first-word\", bytes(16), 1000).hex(); print(\"{\\\"student7\\\": \\\"pbkdf2_sha256$1000$%s$%s\\\", \\\"student8\\\": \\\"!\\\"}\" % (bytes(16).hex(), h))' > hub-passwords.json
            chown -R tryout /run/try");
        let as_tryout = ["setpriv", "--reuid=62050", "--clear-groups"];
        launch(
            &as_tryout,
            &[
                ("WODSTATEDIR", "/run/try"),
                ("WODSTUDDIR", "/run/try/student"),
                ("WODHUBSTARTTIME", START),
            ],
        );
        let settings = Config::new(API, Secret::new(token("/run/try/hub")), "");
        let hub = JupyterHub::new(settings).unwrap();
        until_done(|| hub.start(student(7))).unwrap();
        let mut browser = Browser::new(HOST);
        assert_eq!(browser.log_in("student7", "wrong"), 403);
        assert_eq!(browser.log_in("student8", "!"), 403);
        assert_eq!(browser.log_in("student7", "first-word"), 302);
        assert_eq!(browser.get("/user/student7/lab").status, 200);
        assert_eq!(
            sh("readlink /proc/$(pgrep -f [j]upyterhub-singleuser)/cwd").trim(),
            "/run/try/student/student7"
        );

        // A file that others can read is not trusted; a student without a home gets no server.
        sh("chmod 644 /run/try/hub-passwords.json");
        assert_eq!(Browser::new(HOST).log_in("student7", "first-word"), 403);
        let fault = until_done(|| hub.start(student(8))).unwrap_err();
        assert!(fault.line().contains("student8 did not start"), "{fault}");
        until_done(|| hub.stop(student(7))).unwrap();
        assert!(browser.get("/hub/home").path.starts_with("/hub/login"));
        assert!(!living("-e").join("\n").contains("jupyterhub-singleuser"));
    }
}
