//! Engine and intake as units of their own, as systemd starts them: the port is held by somebody
//! else, and no mail is lost while either of them starts again.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::backend::{Backend, Options, SMTP, STATE, send, send_as_frontend};
use crate::support::{on_private_host, sh, wait_for};

/// What wod-intake.service does: the account, the socket as stdin.
fn start_intake(port: &TcpListener) -> Child {
    Command::new("setpriv")
        .args([
            "--reuid=wodmail",
            "--regid=wodmail",
            "--clear-groups",
            "--bounding-set=-all",
        ])
        .args(["--no-new-privs", "--", "/run/wod", "intake"])
        .args(["--spool", &format!("{STATE}/spool")])
        .args(["--public", &format!("{STATE}/public")])
        .stdin(Stdio::from(OwnedFd::from(port.try_clone().unwrap())))
        .spawn()
        .unwrap()
}

fn end(mut child: Child) {
    sh(&format!("kill -TERM {}", child.id()));
    assert!(child.wait().unwrap().success());
}

#[test]
fn no_mail_is_lost_while_a_unit_starts_again() {
    on_private_host(|| {
        let mut backend = Backend::start(Options::default());
        backend.stop_engine();
        wait_for(10, "free port", || TcpStream::connect(SMTP).err());
        let port = TcpListener::bind(SMTP).unwrap();

        // Nobody reads yet: it waits at the port, and then in the spool.
        let early = thread::spawn(|| send("CREATE 3 803", "WKSHP-Shell101"));
        let hasty = thread::spawn(|| send_as_frontend("CREATE 4 804", "WKSHP-Shell101"));
        thread::sleep(std::time::Duration::from_millis(300));
        let intake = start_intake(&port);
        assert!(early.join().unwrap().starts_with("250"));
        hasty.join().unwrap();
        // Who waits for no reply cannot tell when it is taken.
        wait_for(10, "two mails in the spool", || {
            let names = std::fs::read_dir(format!("{STATE}/spool")).unwrap();
            let is_action = |name: &std::ffi::OsStr| name.as_encoded_bytes().ends_with(b".action");
            let count = names.filter(|e| is_action(&e.as_ref().unwrap().file_name()));
            (count.count() == 2).then_some(())
        });

        // Between two intakes, too, and one that is killed has lost nothing that it took.
        end(intake);
        let between = thread::spawn(|| send("CREATE 5 805", "WKSHP-Shell101"));
        thread::sleep(std::time::Duration::from_millis(300));
        let mut intake = start_intake(&port);
        assert!(between.join().unwrap().starts_with("250"));
        intake.kill().unwrap();
        intake.wait().unwrap();
        assert_eq!(
            sh(&format!("ls {STATE}/spool | grep -c action")).trim(),
            "3"
        );

        // An engine that starts no intake of its own, and tells systemd when it is ready.
        let notify = UnixDatagram::bind("/run/notify").unwrap();
        let mut serve = Command::new("/run/wod")
            .args(["serve", "--no-intake"])
            .env("NOTIFY_SOCKET", "/run/notify")
            .spawn()
            .unwrap();
        let mut told = [0; 16];
        let length = notify.recv(&mut told).unwrap();
        assert_eq!(&told[..length], b"READY=1");
        let done = backend.settled(3);
        assert!(
            done.iter().all(|action| action["state"] == "done"),
            "{done:?}"
        );
        let intakes = sh("pgrep -cf '([w]od|[e]xe) intake' || true");
        assert_eq!(intakes.trim(), "0");

        // While the engine is gone the intake takes mails all the same.
        sh(&format!("kill -KILL {}", serve.id()));
        serve.wait().unwrap();
        let intake = start_intake(&port);
        assert!(send("CREATE 6 806", "WKSHP-Shell101").starts_with("250"));
        end(intake);
        drop(port);
        backend.start_engine();
        assert_eq!(backend.settled(4)[3]["state"], "done");
    });
}

#[test]
fn an_intake_without_a_socket_says_who_starts_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_wod"))
        .args(["intake", "--spool", "/", "--public", "/"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wod-intake.socket"), "{said}");
}
