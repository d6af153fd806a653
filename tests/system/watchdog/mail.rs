//! What the watchdog says by mail, followed to the mailbox.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::serve::prepare;
use crate::support::backend::{Backend, Options, UID_BASE, home};
use crate::support::sink::{MONITOR, Sink};
use crate::support::watched::{POLICY, SUSPECT, letters};
use crate::support::{on_private_host, sh, wait_for};

/// A listed name is only told of, a strange place is stopped for.
const TELL: &str = "responses: {rules: {name: {certain: alert}}}\n";

fn run(student: u32, path: &str, words: &[&str]) -> Child {
    let program = home(student).join(path);
    let at = program.display();
    sh(&format!(
        "mkdir -p $(dirname {at}); cp {SUSPECT} {at}; chmod 755 {at}
         chown student{student}: {at} $(dirname {at})"
    ));
    let uid = UID_BASE + student;
    let mut command = Command::new(&program);
    command.args(words).uid(uid).gid(uid).current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn an_alert_comes_once_and_is_kept_until_somebody_takes_it() {
    on_private_host(|| {
        prepare(&format!("{POLICY}{TELL}"));
        let backend = Backend::start(Options {
            inventory: &format!(
                "{MONITOR}WODWATCHDOG: serve\nWODWATCHINTERVAL: 0.3\nWODCPUGRACE: 0\n"
            ),
            ..Options::default()
        });
        for (student, participant) in [("12", "825"), ("13", "826"), ("14", "827")] {
            let words = [
                "CREATE",
                "WKSHP-Shell101",
                student,
                "--participant",
                participant,
            ];
            assert_eq!(backend.act(&words)["state"], "done");
        }
        // Several of the same, and another student's; nobody takes mail yet.
        let first = run(12, "xmrig", &["idle", "\u{1b}[2J\nBcc: all@test"]);
        let second = run(12, "again/xmrig", &["idle"]);
        let third = run(13, "xmrig", &["idle"]);
        wait_for(90, "letter that could not be sent", || {
            let all = letters();
            let is_tried = all.iter().any(|letter| letter.tries > 0);
            (all.len() >= 2 && is_tried).then_some(())
        });
        assert_eq!(letters().len(), 2, "{:?}", letters());
        let sink = Sink::open();
        wait_for(90, "two mails", || (sink.mails().len() == 2).then_some(()));
        wait_for(10, "empty outbox", || letters().is_empty().then_some(()));
        for (mail, student) in sink.mails().iter().zip([12, 13]) {
            let mail = mail.replace("=\n", "");
            let sentence = format!("student{student} runs `xmrig`, which is on the list as xmrig");
            for part in [
                "To: ops@test",
                &format!("Subject: SUSPICIOUS: {sentence}"),
                "rule      name (certain, score 100)",
                "called `xmrig`",
                "Nothing was done about it",
                "wod watchdog allow name --workshop WKSHP-Shell101",
            ] {
                assert!(
                    mail.replace("=\n", "").replace("\n ", " ").contains(part),
                    "{part}: {mail}"
                );
            }
            assert!(
                !mail.contains('\u{1b}') && !mail.contains("\nBcc:"),
                "{mail}"
            );
            // The command of the mail, as it stands there.
            let (_, id) = mail.split_once("look      wod watchdog show ").unwrap();
            let id = id.lines().next().unwrap().trim();
            let shown = backend.wod(&["watchdog", "show", id]);
            let shown = String::from_utf8(shown.stdout).unwrap();
            let program = home(student).join("xmrig");
            for part in [
                format!("Incident {id} at "),
                format!("seat         student{student}"),
                format!("participant  {}", 813 + student),
                "answer       alert, done".to_owned(),
                "done         told; nothing was stopped".to_owned(),
                format!("xmrig ({})", program.display()),
                "program 0: ".to_owned(),
            ] {
                assert!(shown.contains(&part), "{part}: {shown}");
            }
        }
        // It goes on, and there is another one of it.
        let fourth = run(12, "more/xmrig", &["idle"]);
        thread::sleep(Duration::from_secs(3));
        assert_eq!(letters(), vec![]);

        // What is stopped is told with the number of its evidence.
        let mut helper = run(14, ".x11/helper", &["burn"]);
        helper.wait().unwrap();
        let stopped = |mail: &String| mail.contains("Subject: STOPPED student14");
        wait_for(90, "mail about the end", || {
            sink.mails().iter().any(stopped).then_some(())
        });
        let mails = sink.mails();
        let about: Vec<&String> = mails.iter().filter(|mail| stopped(mail)).collect();
        assert_eq!(about.len(), 1);
        let listed = backend.wod(&["watchdog", "list", "--json"]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        let all = listed
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let stops: Vec<_> = all.filter(|i| i["response"] != "alert").collect();
        let [incident] = &stops[..] else {
            panic!("{listed}");
        };
        let id = &incident["id"];
        for part in [
            format!("wod watchdog show {id}"),
            "participant 827".to_owned(),
            "wod students unban 827".to_owned(),
        ] {
            assert!(about[0].contains(&part), "{part}: {}", about[0]);
        }
        assert_eq!(incident["evidence"], format!("incident-{id}"));
        // One of it is at most suspected before it is certain.
        let told = mails
            .iter()
            .filter(|mail| mail.contains("student14"))
            .count();
        assert!(told <= 3, "{mails:?}");
        [first, second, third, fourth].into_iter().for_each(end);
    });
}
