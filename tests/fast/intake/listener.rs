//! The port, with real sockets: the frontend that hangs up at the first byte, and the others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use wod::domain::Seat;
use wod::intake::gate::Policy;
use wod::intake::listener::{Limits, serve};
use wod::intake::spool::Record;

use crate::intake::{Site, policy};

struct Port {
    site: Site,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    fn open(limits: Limits) -> Port {
        let mut policy: Policy = policy();
        policy.peers = vec!["127.0.0.0/29".parse().unwrap()];
        let site = Site::new(policy);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, spool) = (Arc::new(site.gate()), Arc::new(site.spool()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            let served = serve(listener, "backend.example", gate, spool, limits, shutdown);
            runtime.block_on(served).unwrap();
        });
        Port {
            site,
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Ends the port and returns what it spooled.
    fn close(mut self) -> Vec<Record> {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
        self.site.take_records()
    }
}

fn students(records: &[Record]) -> Vec<u32> {
    let mut numbers: Vec<u32> = records
        .iter()
        .map(|record| match record.action.seat {
            Seat::Students(range) => range.first().number(),
            Seat::OfParticipant => 0,
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn dialogue(student: u32) -> String {
    format!(
        "HELO frontend\nMAIL FROM: api@frontend.example\nRCPT TO: wodadmin@backend.example\n\
         DATA\nSubject: CREATE {student} 825\nWKSHP-API101\n.\n"
    )
}

/// As the frontend does it: write all, destroy the socket at the first byte that comes.
fn like_the_frontend(mut stream: TcpStream, pieces: impl Iterator<Item = Vec<u8>>) {
    for piece in pieces {
        stream.write_all(&piece).unwrap();
    }
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"2");
    reset(stream);
}

#[test]
fn the_frontend_fifty_times_at_once() {
    // More than there are slots for at a time.
    let port = Port::open(Limits::default());
    thread::scope(|scope| {
        for student in 1..=50 {
            let stream = port.connect();
            scope.spawn(move || {
                let whole = dialogue(student).into_bytes();
                like_the_frontend(stream, std::iter::once(whole));
            });
        }
    });
    assert_eq!(students(&port.close()), (1..=50).collect::<Vec<u32>>());
}

#[test]
fn the_frontend_that_is_gone_before_anyone_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.write_all(dialogue(7).as_bytes()).unwrap();
    reset(stream);
    let site = Site::new({
        let mut policy = policy();
        policy.peers = vec!["127.0.0.1/32".parse().unwrap()];
        policy
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (gate, spool) = (Arc::new(site.gate()), Arc::new(site.spool()));
    let half_a_second = async { tokio::time::sleep(Duration::from_millis(500)).await };
    runtime
        .block_on(serve(
            listener,
            "b",
            gate,
            spool,
            Limits::default(),
            half_a_second,
        ))
        .unwrap();
    assert_eq!(students(&site.take_records()), [7]);
}

/// Closes as Node's destroy() does with bytes unread.
fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_dialogue_in_single_bytes_and_late_pieces() {
    let port = Port::open(Limits::default());
    thread::scope(|scope| {
        let bytes = port.connect();
        scope.spawn(move || {
            let single = dialogue(1).into_bytes().into_iter().map(|byte| vec![byte]);
            like_the_frontend(bytes, single.inspect(|_| sleep(Duration::from_millis(1))));
        });
        let late = port.connect();
        scope.spawn(move || {
            let whole = dialogue(2).into_bytes();
            let halves = [whole[..40].to_vec(), whole[40..].to_vec()].into_iter();
            let slow = halves.enumerate().map(|(index, half)| {
                // A lost segment comes again after 200 ms and more.
                sleep(Duration::from_millis(700 * index as u64));
                half
            });
            like_the_frontend(late, slow);
        });
    });
    assert_eq!(students(&port.close()), [1, 2]);
}

#[test]
fn a_client_that_says_all_and_closes_its_half() {
    let port = Port::open(Limits::default());
    let mut stream = port.connect();
    stream.write_all(dialogue(3).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    let accepted = "250 2.0.0 accepted: CREATE student3 participant 825 WKSHP-API101\r\n";
    assert!(
        replies.starts_with("220 ") && replies.ends_with(accepted),
        "{replies}"
    );
    assert_eq!(students(&port.close()), [3]);
}

/// Sends a command, returns the last line of its reply.
fn ask(stream: &mut BufReader<TcpStream>, command: &str) -> String {
    stream.get_mut().write_all(command.as_bytes()).unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.as_bytes().get(3) != Some(&b'-') {
            return line.trim_end().to_owned();
        }
    }
}

#[test]
fn a_client_that_waits_for_its_turn() {
    let port = Port::open(Limits::default());
    let mut stream = BufReader::new(port.connect());
    assert_eq!(ask(&mut stream, ""), "220 backend.example ESMTP wod");
    assert_eq!(
        ask(&mut stream, "EHLO relay\r\n"),
        "250 ENHANCEDSTATUSCODES"
    );
    for student in [4, 5] {
        assert_eq!(
            ask(&mut stream, "MAIL FROM:<api@frontend.example> SIZE=90\r\n"),
            "250 2.1.0 ok"
        );
        assert_eq!(
            ask(&mut stream, "RCPT TO:<wodadmin@backend.example>\r\n"),
            "250 2.1.5 ok"
        );
        assert!(ask(&mut stream, "DATA\r\n").starts_with("354 "));
        let mail = format!("Subject: CREATE {student} 825\r\n\r\nWKSHP-API101\r\n.\r\n");
        let accepted =
            format!("250 2.0.0 accepted: CREATE student{student} participant 825 WKSHP-API101");
        assert_eq!(ask(&mut stream, &mail), accepted);
        assert_eq!(
            port.site.take_records().len(),
            1,
            "in the spool before the 250"
        );
    }
    assert_eq!(ask(&mut stream, "QUIT\r\n"), "221 2.0.0 bye");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn slow_clients_are_cut_off_and_keep_nobody_out() {
    let port = Port::open(Limits {
        idle: Duration::from_millis(300),
        session: Duration::from_millis(1500),
        ..Limits::default()
    });
    let start = Instant::now();
    let mut silent = port.connect();
    let mut dripping = port.connect();
    dripping
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    like_the_frontend(port.connect(), std::iter::once(dialogue(6).into_bytes()));
    let mut heard = String::new();
    silent.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("\r\n421 4.4.2 "), "{heard}");
    let mut heard = Vec::new();
    while start.elapsed() < Duration::from_secs(5) {
        let mut bytes = [0; 500];
        let _ = dripping.write_all(b"N");
        match dripping.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&bytes[..count]),
            Err(_) => {}
        }
    }
    assert!(String::from_utf8_lossy(&heard).contains("421 4.4.2 "));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(students(&port.close()), [6]);
}

#[test]
fn too_many_connections_wait_and_are_told_so() {
    let port = Port::open(Limits {
        connections: 3,
        per_peer: 2,
        slot_wait: Duration::from_millis(400),
        ..Limits::default()
    });
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = port.connect();
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    let mut line = String::new();
    port.connect().read_to_string(&mut line).unwrap();
    assert_eq!(line, "421 4.3.0 too many connections; try again later\r\n");
    // One that waits gets the slot of one that leaves.
    let waiting = port.connect();
    sleep(Duration::from_millis(100));
    drop(held);
    like_the_frontend(waiting, std::iter::once(dialogue(8).into_bytes()));
    assert_eq!(students(&port.close()), [8]);
}

#[test]
fn a_foreign_peer_is_turned_away_at_once() {
    let mut policy = policy();
    policy.peers.clear();
    let port = Port::open(Limits::default());
    wod::intake::gatefile::publish(port.site.path().parent().unwrap(), &policy).unwrap();
    let mut line = String::new();
    let mut stream = port.connect();
    stream.write_all(dialogue(9).as_bytes()).unwrap();
    stream.read_to_string(&mut line).unwrap();
    assert!(
        line.starts_with("554 5.7.1 peer 127.0.0.1 is not allowed"),
        "{line}"
    );
    assert!(port.close().is_empty());
}

#[test]
fn a_shutdown_ends_idle_sessions_and_lets_a_text_end() {
    let mut port = Port::open(Limits::default());
    let mut idle = BufReader::new(port.connect());
    ask(&mut idle, "");
    let mut busy = BufReader::new(port.connect());
    ask(&mut busy, "");
    for command in [
        "MAIL FROM:<api@frontend.example>\r\n",
        "RCPT TO:<wodadmin>\r\n",
        "DATA\r\n",
    ] {
        ask(&mut busy, command);
    }
    drop(port.stop.take());
    assert!(ask(&mut idle, "").starts_with("421 4.3.2 "));
    let answer = ask(
        &mut busy,
        "Subject: CREATE 10 825\r\n\r\nWKSHP-API101\r\n.\r\n",
    );
    assert!(answer.starts_with("250 2.0.0 accepted"), "{answer}");
    assert_eq!(students(&port.close()), [10]);
}

#[test]
fn a_spool_that_cannot_write_is_a_451() {
    let port = Port::open(Limits::default());
    std::fs::remove_dir(port.site.path()).unwrap();
    let mut stream = port.connect();
    stream.write_all(dialogue(11).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    assert!(
        replies.contains("\r\n451 4.3.0 the spool cannot take the mail now"),
        "{replies}"
    );
}
