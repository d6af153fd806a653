//! Mails by the thousand, each with a Message-ID of its own, over many connections and through
//! `wod ingest`; and what their sender was told.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use wod::domain::Time;
use wod::intake::message;
use wod::intake::spool::{Record, Route, Spool};

use crate::support::backend::{SENDER, SMTP, STATE};
use crate::support::sh;

pub const SENDERS: usize = 12;
/// Workshops, and with them lanes.
pub const LANES: usize = 8;
/// Mails of one connection.
const IN_ONE_GO: usize = 25;
/// After a mail was put off, or most of them would come while the disk is full.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub struct Mail {
    nth: usize,
    /// How often it was sent after it had been accepted, and before.
    pub copies: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 250, or exit 0.
    Accepted,
    /// 4xx, or exit 75.
    Later(i32),
    /// 5xx, or exit 65.
    Refused(i32),
    /// The connection, or the process, ended without one.
    None,
}

impl Mail {
    fn new(nth: usize) -> Mail {
        Mail { nth, copies: 1 }
    }

    pub fn message_id(&self) -> String {
        format!("<{}@acceptance>", self.nth)
    }

    /// One in forty is no action.
    pub fn is_wrong(&self) -> bool {
        self.nth % 40 == 7
    }

    /// One in fifty goes through the pipe.
    fn is_piped(&self) -> bool {
        self.nth % 50 == 3
    }

    /// One in twenty comes a second time, later.
    fn is_repeated(&self) -> bool {
        self.nth % 20 == 5
    }

    pub fn text(&self) -> String {
        let verb = if self.is_wrong() { "RESTE" } else { "RESET" };
        format!(
            "Message-ID: {}\r\nSubject: {verb} {} 0\r\n\r\nWKSHP-Idle{}\r\n",
            self.message_id(),
            1 + self.nth % 40,
            self.nth % LANES
        )
    }
}

/// Takes mails from the common number until there are no more; what became of each.
pub fn send_all(next: &AtomicUsize, all: usize) -> Vec<(Mail, Answer)> {
    let mut told = Vec::new();
    let mut to_repeat: Vec<usize> = Vec::new();
    loop {
        let first = next.fetch_add(IN_ONE_GO, Ordering::SeqCst);
        if first >= all {
            break;
        }
        let (piped, sent): (Vec<Mail>, Vec<Mail>) = (first..all.min(first + IN_ONE_GO))
            .map(Mail::new)
            .partition(Mail::is_piped);
        let before = told.len();
        told.extend(piped.into_iter().map(|mail| (mail, pipe(&mail))));
        told.extend(by_smtp(sent));
        // Copies of what was accepted a while ago, perhaps by another engine.
        let copies: Vec<Mail> = to_repeat.iter().map(|&at: &usize| told[at].0).collect();
        for ((_, answer), at) in by_smtp(copies).into_iter().zip(&to_repeat) {
            told[*at].0.copies += usize::from(answer == Answer::Accepted);
        }
        let accepted = |at: &usize| told[*at].1 == Answer::Accepted && told[*at].0.is_repeated();
        to_repeat = (before..told.len()).filter(accepted).collect();
    }
    told
}

/// Those that were put off, once more; how many there were.
pub fn send_again(told: &mut [(Mail, Answer)]) -> usize {
    let mut later: Vec<&mut (Mail, Answer)> = told
        .iter_mut()
        .filter(|(_, answer)| matches!(answer, Answer::Later(_)))
        .collect();
    let mails = later.iter().map(|(mail, _)| *mail).collect();
    for (one, (_, answer)) in later.iter_mut().zip(by_smtp(mails)) {
        one.1 = answer;
    }
    later.len()
}

/// Through one connection, or, after it broke, through further ones.
fn by_smtp(mails: Vec<Mail>) -> Vec<(Mail, Answer)> {
    let mut told: Vec<(Mail, Answer)> = Vec::new();
    while told.len() < mails.len() {
        let Some(mut door) = Door::open() else {
            // No engine at this moment.
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        for mail in &mails[told.len()..] {
            match door.send(mail) {
                Sent::Answered(code) => {
                    let answer = answer(code);
                    if matches!(answer, Answer::Later(_)) {
                        thread::sleep(PATIENCE);
                    }
                    told.push((*mail, answer));
                }
                Sent::CutOff => {
                    told.push((*mail, Answer::None));
                    break;
                }
                // Its text never left: to be sent through another connection.
                Sent::Never => break,
            }
        }
    }
    told
}

fn answer(code: i32) -> Answer {
    match code {
        200..400 => Answer::Accepted,
        400..500 => Answer::Later(code),
        _ => Answer::Refused(code),
    }
}

fn pipe(mail: &Mail) -> Answer {
    let mut child = super::ingest().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(mail.text().as_bytes());
    drop(stdin);
    match child.wait().unwrap().code() {
        Some(0) => Answer::Accepted,
        Some(75) => Answer::Later(75),
        Some(code) => Answer::Refused(code),
        None => Answer::None,
    }
}

enum Sent {
    Answered(i32),
    CutOff,
    Never,
}

/// A polite session.
struct Door {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Door {
    /// None when nobody is there, or in no mood to let us in.
    fn open() -> Option<Door> {
        let address: SocketAddr = SMTP.parse().unwrap();
        let stream = TcpStream::connect(address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let replies = BufReader::new(stream.try_clone().unwrap());
        let mut door = Door { stream, replies };
        (door.reply()? == 220).then_some(())?;
        door.stream.write_all(b"HELO acceptance\r\n").ok()?;
        (door.reply()? == 250).then_some(door)
    }

    fn reply(&mut self) -> Option<i32> {
        let mut line = String::new();
        self.replies.read_line(&mut line).ok()?;
        line.get(..3)?.parse().ok().filter(|_| line.ends_with('\n'))
    }

    fn send(&mut self, mail: &Mail) -> Sent {
        let commands = format!("MAIL FROM:<{SENDER}>\r\nRCPT TO:<wodadmin@localhost>\r\nDATA\r\n");
        if self.stream.write_all(commands.as_bytes()).is_err() {
            return Sent::Never;
        }
        let replies = [self.reply(), self.reply(), self.reply()];
        for code in replies {
            match code {
                Some(200..400) => {}
                // All of them are answered, and the first that says no is the answer.
                Some(code) if replies[2].is_some() => return Sent::Answered(code),
                _ => return Sent::Never,
            }
        }
        let text = format!("{}.\r\n", mail.text());
        if self.stream.write_all(text.as_bytes()).is_err() {
            return Sent::CutOff;
        }
        self.reply().map_or(Sent::CutOff, Sent::Answered)
    }
}

/// So many records straight into the spool of a backend that does not run.
pub fn into_spool(mails: usize) {
    let dir = format!("{STATE}/spool");
    let spool = Spool::open(Path::new(&dir)).unwrap();
    for nth in 0..mails {
        let mail = Mail {
            nth: 40 * nth,
            copies: 1,
        };
        let request = message::read(mail.text().as_bytes()).unwrap();
        let record = Record {
            version: Record::VERSION,
            received: Time::now(),
            route: Route::Smtp,
            peer: "127.0.0.1".to_owned(),
            sender: SENDER.to_owned(),
            message_id: request.message_id,
            signed: None,
            reason: None,
            action: request.action,
        };
        spool.put(&record).unwrap();
    }
    sh(&format!(
        "find {dir} -name '*.action' -exec chown wodmail {{}} +"
    ));
}
