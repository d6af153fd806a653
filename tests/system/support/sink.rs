//! A mail server that takes everything and keeps it, for the admin's mail.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where [`MONITOR`] tells the backend to send to.
pub const ADDRESS: &str = "127.0.0.1:2626";
/// Lines of the inventory.
pub const MONITOR: &str = "WODMONITOR: ops@test\nWODPOSTPORT: 2626\n";

/// Listens until the end of the private host.
pub struct Sink {
    mails: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub fn open() -> Sink {
        let listener = TcpListener::bind(ADDRESS).unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(&stream, &kept);
            }
        });
        Sink { mails }
    }

    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

fn take(mut stream: &TcpStream, kept: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    stream.write_all(b"220 sink\r\n").ok()?;
    loop {
        let line = lines.next()?.ok()?;
        match line.split(' ').next().unwrap_or_default() {
            "DATA" => break,
            "QUIT" => return None,
            _ => stream.write_all(b"250 ok\r\n").ok()?,
        }
    }
    stream.write_all(b"354 go on\r\n").ok()?;
    let mut mail = String::new();
    loop {
        let line = lines.next()?.ok()?;
        if line == "." {
            break;
        }
        mail += &line;
        mail.push('\n');
    }
    // Before it is said: whoever was told that it is taken may look at once.
    kept.lock().unwrap().push(mail);
    stream.write_all(b"250 taken\r\n").ok()
}
