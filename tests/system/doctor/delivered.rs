//! Files that somebody changed after `wod deliver`.

use std::process::Command;

use super::{only_new, told};
use crate::deliver::host::{Host, PROGRAM};
use crate::support::{on_private_host, sh};

#[test]
fn what_is_not_as_deliver_makes_it_is_told_and_left_alone() {
    on_private_host(|| {
        let host = Host::new();
        let look = || told(Command::new(PROGRAM).args(["doctor", "--json"])).1;
        let before = look();
        let many = |(check, line): &(String, String)| {
            check == "deliver" && line.contains("items are not as wod deliver makes them")
        };
        assert!(before.iter().any(many), "{before:?}");
        assert!(!std::fs::exists("/etc/sudoers.d/60-wod").unwrap());

        let run = host.deliver(&["--install"]);
        assert_eq!(run.status, 0, "{run:?}");
        let usual = look();
        assert!(
            usual.iter().all(|(check, _)| check != "deliver"),
            "{usual:?}"
        );

        sh("chmod 640 /etc/sudoers.d/60-wod; echo '# by hand' >>/etc/logrotate.d/wod");
        let others = "2 items are not as wod deliver makes them: file /etc/sudoers.d/60-wod, file /etc/logrotate.d/wod";
        only_new(&usual, &look(), &[("deliver", others)]);
        assert_eq!(sh("tail -1 /etc/logrotate.d/wod").trim(), "# by hand");
        assert_eq!(host.deliver(&[]).status, 0);
        only_new(&usual, &look(), &[]);

        // What deliver could not do, doctor says before.
        sh("cd /etc/security/limits.d; rm 60-wod.conf; mkdir 60-wod.conf");
        only_new(
            &usual,
            &look(),
            &[("deliver", "file /etc/security/limits.d/60-wod.conf: ")],
        );
    });
}
