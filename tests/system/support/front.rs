//! Something in front of the hub that a test can make fail, and a mail server for the admin.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the backend has for the hub's address.
pub const PORT: u16 = 9000;
const HUB: (&str, u16) = ("127.0.0.1", 8000);

/// How the hub behaves, as the backend sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Every answer is a failure.
    Broken,
    /// Only to start a server fails.
    NoStarts,
    /// Every answer takes so many milliseconds longer.
    Slow(u64),
}

/// A proxy for the hub, one request per connection.
#[derive(Clone)]
pub struct Front(Arc<Mutex<Mood>>);

impl Front {
    pub fn start() -> Front {
        let front = Front(Arc::new(Mutex::new(Mood::Good)));
        let listener = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
        let mood = front.clone();
        thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let mood = mood.clone();
                thread::spawn(move || mood.pass_on(peer));
            }
        });
        front
    }

    pub fn is(&self, mood: Mood) {
        *self.0.lock().unwrap() = mood;
    }

    fn pass_on(&self, mut peer: TcpStream) -> Option<()> {
        const BROKEN: &str = "HTTP/1.1 500 Oops\r\nX-JupyterHub-Version: 6.1.1\r\n\
             Connection: close\r\nContent-Length: 34\r\n\r\n{\"status\": 500, \"message\": \"boom\"}";
        let head = head(&mut peer)?;
        let mood = *self.0.lock().unwrap();
        let starts = head.starts_with("POST") && head.contains("/server HTTP");
        if mood == Mood::Broken || mood == Mood::NoStarts && starts {
            return peer.write_all(BROKEN.as_bytes()).ok();
        }
        if let Mood::Slow(milliseconds) = mood {
            thread::sleep(Duration::from_millis(milliseconds));
        }
        let mut hub = TcpStream::connect(HUB).ok()?;
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        hub.write_all(head.as_bytes()).ok()?;
        let (mut body, mut to) = (peer.try_clone().ok()?, hub.try_clone().ok()?);
        thread::spawn(move || std::io::copy(&mut body, &mut to));
        let done = std::io::copy(&mut hub, &mut peer).ok().map(drop);
        let _ = peer.shutdown(Shutdown::Both);
        done
    }
}

/// Up to the blank line.
fn head(peer: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if peer.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A mail server that keeps what it gets.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Vec<String>>>);

impl Mailbox {
    pub fn start(port: u16) -> Mailbox {
        let mailbox = Mailbox::default();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mails = mailbox.clone();
        thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                mails.talk(peer);
            }
        });
        mailbox
    }

    pub fn mails(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn talk(&self, mut peer: TcpStream) -> Option<()> {
        peer.write_all(b"220 admin\r\n").ok()?;
        let mut said = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            while let Some(end) = said.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&said[..end]).to_uppercase();
                said.drain(..end + 2);
                match line.get(..4) {
                    Some("DATA") => {
                        peer.write_all(b"354 go on\r\n").ok()?;
                        self.take(&mut peer, &mut said)?;
                    }
                    Some("QUIT") => return peer.write_all(b"221 bye\r\n").ok(),
                    _ => {}
                }
                peer.write_all(b"250 fine\r\n").ok()?;
            }
            match peer.read(&mut chunk).ok()? {
                0 => return None,
                length => said.extend_from_slice(&chunk[..length]),
            }
        }
    }

    fn take(&self, peer: &mut TcpStream, said: &mut Vec<u8>) -> Option<()> {
        const END: &[u8] = b"\r\n.\r\n";
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = said.windows(END.len()).position(|part| part == END) {
                let mail = String::from_utf8_lossy(&said[..end]).into_owned();
                self.0.lock().unwrap().push(mail);
                said.drain(..end + END.len());
                return Some(());
            }
            match peer.read(&mut chunk).ok()? {
                0 => return None,
                length => said.extend_from_slice(&chunk[..length]),
            }
        }
    }
}
