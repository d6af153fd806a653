//! Many mails at once, in any order, twice: each seat ends as its last mail wanted.

use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use crate::support::backend::SENDER;
use crate::support::backend::{Backend, Options, SMTP, home, send, send_as_frontend, send_bytes};
use crate::support::seats::{
    assert_free, assert_taken, assert_tidy, events, fits, password, workshop,
};
use crate::support::{on_private_host, sh, wait_for};

#[test]
fn twenty_students_at_once() {
    on_private_host(|| {
        workshop("Half", "range: [1,20]\n", &[]);
        let backend = Backend::start(Options::default());
        let begun = Instant::now();
        thread::scope(|scope| {
            for n in 1..=20 {
                scope.spawn(move || {
                    send_as_frontend(&format!("CREATE {n} {}", 800 + n), "WKSHP-Half")
                });
            }
        });
        let all = backend.settled(20);
        println!("20 CREATEs: {:?}", begun.elapsed());
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        for n in 1..=20 {
            assert_taken(&backend, n, 800 + n, "WKSHP-Half");
        }
        let (one, other) = (password(1).unwrap(), password(2).unwrap());
        assert!(!fits(1, &other) && !fits(2, &one));
        assert_tidy();
    });
}

/// All orders of CLEANUP, RESET and PURGE, for a workshop with reset and one without.
#[test]
fn the_end_of_a_workshop_comes_in_any_order() {
    on_private_host(|| {
        workshop("Plain", "range: [1,10]\n", &[]);
        workshop(
            "Class",
            "range: [11,20]\nreset: true\n",
            &[("reset", "exit 0")],
        );
        let backend = Backend::start(Options::default());
        let seats: Vec<(u32, &str)> = (1..=6)
            .map(|n| (n, "WKSHP-Plain"))
            .chain((11..=16).map(|n| (n, "WKSHP-Class")))
            .collect();
        for &(n, workshop) in &seats {
            send(&format!("CREATE {n} {}", 800 + n), workshop);
        }
        backend.settled(seats.len());
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        thread::scope(|scope| {
            for (&(n, workshop), order) in seats.iter().zip(orders.iter().cycle()) {
                scope.spawn(move || {
                    for place in order {
                        let verb = ["CLEANUP", "RESET", "PURGE"][*place];
                        send_as_frontend(&format!("{verb} {n} {}", 800 + n), workshop);
                    }
                });
            }
        });
        let all = backend.settled(4 * seats.len());
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        for (n, _) in seats {
            assert_free(&backend, n);
            let seat = backend.seat(n).unwrap();
            assert_eq!(seat["cleaned"], true, "{seat}");
            assert_eq!(
                seat["completion"], 50,
                "measured before it was erased: {seat}"
            );
            assert_eq!(seat["active"], false, "{seat}");
        }
        assert_tidy();
    });
}

#[test]
fn the_last_mail_of_a_seat_decides() {
    on_private_host(|| {
        workshop("Half", "range: [1,20]\n", &[]);
        let backend = Backend::start(Options::default());
        let mail = |subject: &str| assert!(send(subject, "WKSHP-Half").starts_with("250"));
        // The seats do not wait for each other.
        for subject in [
            "CREATE 1 801",
            "CLEANUP 1 801",
            "CREATE 2 802",
            "CLEANUP 2 802",
            "CREATE 2 902",
            "CREATE 3 803",
            "CREATE 3 803",
            "CREATE 4 904",
            "CREATE 4 804",
            "PURGE 5 805",
            "CREATE 6 806",
            "PURGE 6 806",
            "CREATE 6 906",
            "CREATE 7 807",
            "CREATE 7 907",
            "CREATE 7 807",
            "CREATE 8 808",
            "PURGE 8 808",
            "CREATE 8 808",
            "PURGE 8 808",
        ] {
            mail(subject);
        }
        let all = backend.settled(19);
        assert_eq!(all.len(), 19, "one is a duplicate: {all:#?}");
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        assert_free(&backend, 1);
        assert_taken(&backend, 2, 902, "WKSHP-Half");
        assert_taken(&backend, 3, 803, "WKSHP-Half");
        assert_taken(&backend, 4, 804, "WKSHP-Half");
        assert_free(&backend, 5);
        assert_taken(&backend, 6, 906, "WKSHP-Half");
        assert_taken(&backend, 7, 807, "WKSHP-Half");
        assert_free(&backend, 8);
        assert_tidy();
    });
}

/// As frontends with a missing `await` write it.
#[test]
fn a_subject_without_student_means_the_participants_seat() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        workshop(
            "Class",
            "range: [11,20]\nreset: true\n",
            &[("reset", "exit 0")],
        );
        let backend = Backend::start(Options::default());
        send_as_frontend("CREATE 3 803", "WKSHP-Half");
        send_as_frontend("PURGE [object Promise] 803", "WKSHP-Half");
        send_as_frontend("CREATE 13 813", "WKSHP-Class");
        send_as_frontend("RESET [object Promise] 813", "WKSHP-Class");
        send_as_frontend("CREATE 4 804", "WKSHP-Half");
        let all = backend.settled(5);
        assert!(all.iter().all(|a| a["state"] == "done"), "{all:#?}");
        assert_free(&backend, 3);
        assert_free(&backend, 13);
        assert_taken(&backend, 4, 804, "WKSHP-Half");
        // Later, and once somebody else has the seat.
        send_as_frontend("CLEANUP 4 804", "WKSHP-Half");
        send_as_frontend("CREATE 4 904", "WKSHP-Half");
        backend.settled(7);
        let reply = send("PURGE [object Promise] 804", "WKSHP-Half");
        assert!(
            reply.starts_with("550") && reply.contains("participant 804 has no seat"),
            "{reply}"
        );
        assert_taken(&backend, 4, 904, "WKSHP-Half");
        send_as_frontend("PURGE [object Promise] 904", "WKSHP-Half");
        backend.settled(8);
        assert_free(&backend, 4);
    });
}

/// The end of a workshop comes for the first time when somebody else has the seat already.
#[test]
fn a_seat_that_was_given_on_is_not_taken_by_a_late_mail() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let backend = Backend::start(Options::default());
        send("CREATE 4 804", "WKSHP-Half");
        send("CREATE 4 904", "WKSHP-Half");
        backend.settled(2);
        let told = password(4).unwrap();
        for (nth, verb) in ["CLEANUP", "RESET", "PURGE"].into_iter().enumerate() {
            send_as_frontend(&format!("{verb} 4 804"), "WKSHP-Half");
            let late = backend.settled(3 + nth)[2 + nth].clone();
            let line = late["problem"].as_str().unwrap();
            assert_eq!(late["state"], "refused", "{late}");
            assert!(
                line.contains("student4 is participant 904's since action 2"),
                "{line}"
            );
            assert_taken(&backend, 4, 904, "WKSHP-Half");
            assert!(fits(4, &told));
        }
        // Who never had a seat, and a seat that nobody ever had.
        send("PURGE 9 909", "VOID");
        send("CLEANUP 4 904", "WKSHP-Half");
        let all = backend.settled(7);
        assert!(all[5..].iter().all(|a| a["state"] == "done"), "{all:#?}");
        assert_free(&backend, 4);
        assert_tidy();
    });
}

#[test]
fn duplicates_are_known_after_a_restart() {
    on_private_host(|| {
        workshop("Half", "range: [1,10]\n", &[]);
        let mut backend = Backend::start(Options::default());
        let with_id = b"Message-ID: <one@frontend>\r\nSubject: CREATE 2 802\r\n\r\nWKSHP-Half\r\n";
        send_as_frontend("CREATE 1 801", "WKSHP-Half");
        send_bytes(SENDER, with_id);
        backend.settled(2);
        let passwords = (password(1), password(2));
        for stop in [Backend::stop_engine, Backend::kill_engine] {
            stop(&mut backend);
            backend.start_engine();
            send_as_frontend("CREATE 1 801", "WKSHP-Half");
            assert!(send_bytes(SENDER, with_id).starts_with("250"));
            // This one is new, so those before it have been looked at when it is done.
            send(&format!("PURGE 9 {}", backend.engine_id()), "VOID");
            backend.settled(3);
        }
        assert_eq!(backend.settled(4).len(), 4);
        assert_eq!((password(1), password(2)), passwords);
        assert!(home(1).exists() && home(2).exists());
    });
}

#[test]
fn nobody_waits_behind_a_slow_script_of_another_seat() {
    on_private_host(|| {
        workshop("Half", "range: [1,40]\n", &[]);
        let until = "while [ ! -e /tmp/go ]; do sleep 0.1; done";
        workshop("Slow", "range: [1,40]\n", &[("create", until)]);
        let backend = Backend::start(Options::default());
        send("CREATE 40 840", "WKSHP-Slow");
        wait_for(10, "running script", || {
            (events(1, "step-done") > 5).then_some(())
        });
        for n in 1..10 {
            send(&format!("CLEANUP 40 {}", 940 + n), "WKSHP-Half");
        }
        // Of a workshop without reset it has nothing to do: what is seen is the waiting.
        thread::scope(|scope| {
            for part in 0..4 {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(SMTP).unwrap();
                    burst(
                        &mut stream,
                        (0..75).map(|n| {
                            (
                                format!("RESET {} {}", 1 + n % 39, 1000 + 75 * part + n),
                                "WKSHP-Half",
                            )
                        }),
                    );
                });
            }
        });
        let others = wait_for(20, "end of the others", || {
            let all = backend.actions();
            let done = |a: &&serde_json::Value| a["action"] == "RESET" && a["state"] == "done";
            (all.iter().filter(done).count() == 300).then_some(all)
        });
        assert_eq!(
            others[0]["state"], "running",
            "the slow one is still at its script"
        );
        assert!(
            others[1..10].iter().all(|a| a["state"] == "waiting"),
            "and its seat's next wait"
        );
        sh("touch /tmp/go");
        let all = backend.settled(310);
        assert!(all.iter().all(|a| a["state"] == "done"));
        assert_free(&backend, 40);
    });
}

/// Many mails over one connection, without waiting for replies.
fn burst(stream: &mut TcpStream, mails: impl Iterator<Item = (String, &'static str)>) {
    use std::io::{Read, Write};
    let mut text = "HELO test\r\n".to_owned();
    let mut count = 0;
    for (subject, body) in mails {
        text += &format!(
            "MAIL FROM:<{SENDER}>\r\nRCPT TO:<wodadmin@localhost>\r\nDATA\r\n\
             Subject: {subject}\r\n\r\n{body}\r\n.\r\n"
        );
        count += 1;
    }
    stream.write_all((text + "QUIT\r\n").as_bytes()).unwrap();
    let mut replies = String::new();
    let _ = stream.read_to_string(&mut replies);
    let accepted = replies
        .lines()
        .filter(|line| line.contains("accepted: "))
        .count();
    assert_eq!(accepted, count, "{replies}");
}
