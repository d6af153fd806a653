//! Output that nobody reads: the work is done all the same.

use std::process::Command;

use super::{json, wod};
use crate::support::backend::{Backend, Options, send};
use crate::support::{on_private_host, wait_for};

/// `| head` and a log that nobody takes any more: the work is done all the same.
#[test]
fn nobody_reads_what_is_said() {
    on_private_host(|| {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let mut backend = Backend::start(Options::default());
        let unread = |words: &[&str]| {
            let mut wod = Command::new("/run/wod");
            wod.args(words).stdout(closed()).stderr(closed());
            wod.status().unwrap().code()
        };
        let create = ["test-action", "CREATE", "WKSHP-API101", "--to"];
        let class = ["localhost:2525", "11,13", "--wait"];
        assert_eq!(unread(&[&create[..], &class].concat()), Some(0));
        assert_eq!(backend.settled(3).len(), 3);
        assert_eq!(unread(&["actions", "show", "1"]), Some(0));
        assert_eq!(unread(&["students", "list"]), Some(0));
        backend.stop_engine();
        // 2 is for items that failed, as some do on a host like this one; but all were tried.
        let share = "WODSYSDIR=/var/share/sys";
        let deliver = unread(&["-e", share, "deliver", "--skip-tags", "students"]);
        assert!(matches!(deliver, Some(0 | 2)), "{deliver:?}");
        let (_, out, err) = wod(&["deliver", "history", "--json"]);
        let run = json(out.lines().next().unwrap_or(&err));
        assert!(
            run["ended"].is_number() || run["ended"].is_string(),
            "{run}"
        );

        let mut serve = Command::new("/run/wod")
            .arg("serve")
            .stdout(closed())
            .stderr(closed())
            .spawn()
            .unwrap();
        let reply = wait_for(20, "listening wod serve", || {
            std::net::TcpStream::connect("127.0.0.1:2525").ok()?;
            Some(send("PURGE 11 0", "WKSHP-API101"))
        });
        assert!(reply.starts_with("250"), "{reply}");
        assert_eq!(backend.settled(4)[3]["state"], "done");
        assert!(serve.try_wait().unwrap().is_none());
        serve.kill().unwrap();
        serve.wait().unwrap();
    });
}
