//! The mail about a run that failed.

use super::{SECRET, deliver, history, program, site};
use crate::support::sink::{ADDRESS, MONITOR, Sink};
use crate::support::{on_private_host, sh, wait_for};

const LETTERS: &str = "/var/lib/wod/private/deliver/letters";

fn waiting() -> usize {
    sh(&format!("ls {LETTERS} 2>/dev/null | wc -l"))
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn a_failure_is_told_once_and_never_lost() {
    on_private_host(|| {
        let mut backend = site(MONITOR);
        program("10-good", "echo 'changed: something'");
        assert_eq!(deliver(&backend, &[]).status, 0);
        assert_eq!(waiting(), 0);
        program("20-bad", "echo \"it was $SITEPASSWORD\"; exit 7");
        // Nobody is told of what was only looked at.
        deliver(&backend, &["--check"]);
        assert_eq!(waiting(), 0);
        // There is no server: {ADDRESS} is closed.
        let run = deliver(&backend, &[]);
        assert_eq!(run.status, 2, "{}", run.said);
        assert!(
            run.said.contains("mail to WODMONITOR is sent later"),
            "{}",
            run.said
        );
        assert_eq!(waiting(), 1);
        assert_eq!(sh(&format!("stat -c '%U %a' {LETTERS}/*")), "root 600\n");
        assert!(!sh(&format!("cat {LETTERS}/*")).contains(SECRET));

        let sink = Sink::open();
        // A run that goes well takes it along.
        sh("rm /var/private/deliver.d/20-bad");
        assert_eq!(deliver(&backend, &[]).status, 0);
        let mails = sink.mails();
        assert_eq!(
            (mails.len(), waiting()),
            (1, 0),
            "no letter came to {ADDRESS}"
        );
        let mail = &mails[0];
        for part in [
            "Subject: ERROR in wod-deliver",
            "To: ops@test",
            "wod deliver history show 2",
            "program 20-bad: failed (exit 7): it was ***",
            "| it was ***",
            "private   ok=0 changed=1 failed=1 skipped=0",
            "changed  private   program 10-good: something",
        ] {
            // Quoted-printable, where a line has a sign that mail has another meaning for.
            let part = part.replace('=', "=3D");
            let unfolded = mail.replace("=\n", "");
            assert!(
                unfolded.contains(&part) || mail.contains(&part.replace("=3D", "=")),
                "{part}: {mail}"
            );
        }
        assert!(!mail.contains(SECRET), "{mail}");

        // Told at once where there is a server, and once.
        program("20-bad", "exit 7");
        assert_eq!(deliver(&backend, &[]).status, 2);
        assert_eq!((sink.mails().len(), waiting()), (2, 0));
        // A letter that a killed run left behind is sent by an engine, too.
        sh(&format!(
            "cd {LETTERS}; printf '{{\"subject\":\"ERROR in wod-deliver\",\"body\":\"left behind\"}}' >4.json; chmod 600 4.json"
        ));
        backend.start_engine();
        wait_for(10, "letter from the engine", || {
            (sink.mails().len() == 3).then_some(())
        });
        assert!(sink.mails()[2].contains("left behind"));
        assert_eq!(history(&backend).len(), 4);
    });
}
