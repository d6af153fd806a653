//! Both ways into a backend for one mail, with any envelope: the listener, and `wod ingest` as
//! WODUSER. And a hub that knows nobody and counts who asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::backend::{SENDER, SMTP};
use super::{fed, patience};

/// Who hands a mail over, and what is said of it.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    /// An address of this host.
    pub peer: &'a str,
    pub sender: &'a str,
    pub recipient: &'a str,
}

impl Default for Envelope<'_> {
    fn default() -> Self {
        Envelope {
            peer: "127.0.0.1",
            sender: SENDER,
            recipient: "wodadmin@localhost",
        }
    }
}

/// What came of a mail: the exit status or reply code, and the line without an enhanced code.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: i32,
    pub line: String,
}

/// Through the listener, politely, up to the first reply that says no.
pub fn by_smtp(envelope: Envelope<'_>, mail: &[u8]) -> Answer {
    let mut stream = connect_from(envelope.peer);
    let replies = stream.try_clone().unwrap();
    replies.set_read_timeout(Some(patience(30))).unwrap();
    let mut replies = BufReader::new(replies);
    let commands = [
        String::new(),
        "HELO test\r\n".to_owned(),
        format!("MAIL FROM:<{}>\r\n", envelope.sender),
        format!("RCPT TO:<{}>\r\n", envelope.recipient),
        "DATA\r\n".to_owned(),
    ];
    for command in commands {
        let _ = stream.write_all(command.as_bytes());
        let answer = reply(&mut replies);
        if answer.code >= 400 {
            return answer;
        }
    }
    for line in mail.split_inclusive(|b| *b == b'\n') {
        let stuffing: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if stream
            .write_all(&[stuffing, text, b"\r\n"].concat())
            .is_err()
        {
            break;
        }
    }
    let _ = stream.write_all(b".\r\n");
    reply(&mut replies)
}

fn reply(stream: &mut impl BufRead) -> Answer {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (code, line) = text.trim_end().split_once(' ').unwrap_or((&text, ""));
    let line = match line.split_once(' ') {
        Some((status, line)) if status.split('.').all(|n| n.parse::<u16>().is_ok()) => line,
        _ => line,
    };
    Answer {
        code: code.parse().unwrap_or_else(|_| panic!("reply {text:?}")),
        line: line.to_owned(),
    }
}

fn connect_from(peer: &str) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let local = SocketAddrV4::new(peer.parse().unwrap(), 0);
    bind(&socket, &local).unwrap();
    connect(&socket, &SMTP.parse::<SocketAddrV4>().unwrap()).unwrap();
    TcpStream::from(socket)
}

/// Through the real program, as WODUSER, as a delivery agent would.
pub fn by_pipe(envelope: Envelope<'_>, mail: &[u8]) -> Answer {
    let words = [
        "/run/wod",
        "ingest",
        "--sender",
        envelope.sender,
        "--recipient",
        envelope.recipient,
    ];
    let peer = match envelope.peer {
        "127.0.0.1" => "",
        other => other,
    };
    let output = fed(
        as_account("wodadmin", &words).env("CLIENT_ADDRESS", peer),
        mail,
    );
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.lines().count(), 1, "{said:?}");
    Answer {
        code: output.status.code().unwrap(),
        line: said.trim_end().to_owned(),
    }
}

/// A command with the rights of an account and nobody else's.
pub fn as_account(account: &str, words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={account}"))
        .arg(format!("--regid={account}"))
        .args(["--clear-groups", "--"])
        .args(words)
        .env_remove("SENDER")
        .current_dir("/");
    command
}

/// A shell line with the rights of an account.
pub fn sh_as(account: &str, line: &str) -> Output {
    as_account(account, &["/bin/bash", "-c", line])
        .output()
        .unwrap()
}

/// In the place of a JupyterHub: knows no user, has no server, counts every request.
pub fn hub_without_users() -> Arc<AtomicUsize> {
    let listener = TcpListener::bind("127.0.0.1:8000").unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.unwrap(), Arc::clone(&counter));
            thread::spawn(move || {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut request = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                let _ = request.read_line(&mut first);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if request.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let _ = request.take(length).read_to_end(&mut Vec::new());
                let status = match first.starts_with("POST") {
                    true => "201 Created",
                    false => "404 Not Found",
                };
                let _ = stream.write_all(
                    format!(
                        "HTTP/1.1 {status}\r\nX-JupyterHub-Version: 5.0.0\r\nContent-Type: application/json\r\n\
                         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
                    )
                    .as_bytes(),
                );
            });
        }
    });
    asked
}
