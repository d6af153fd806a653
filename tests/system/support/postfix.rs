//! A real Postfix on a private host, with a configuration of its own: mail for
//! `wodadmin@backend.test` goes through `mailbox_command`, for `@pipe.test` through pipe(8).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::backend::SENDER;
use super::{sh, wait_for};

const ADDRESS: (&str, u16) = ("127.0.0.1", 2525 + 100);
const DIR: &str = "/etc/postfix-wod";

/// Runs until it is dropped.
pub struct Postfix(());

pub fn start() -> Postfix {
    sh(&format!(
        "mkdir -p {DIR} /var/lib/postfix-wod /var/spool/postfix-wod /run/log
         chown postfix /var/lib/postfix-wod
         cat >{DIR}/main.cf <<'END'
compatibility_level = 3.6
config_directory = {DIR}
queue_directory = /var/spool/postfix-wod
data_directory = /var/lib/postfix-wod
maillog_file = /var/log/postfix-wod.log
maillog_file_prefixes = /var
myhostname = backend.test
mydestination = backend.test, localhost
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
transport_maps = inline:{{ {{pipe.test = wod:}} }}
wod_destination_recipient_limit = 1
mailbox_command = /run/wod ingest
minimal_backoff_time = 1s
queue_run_delay = 2s
END
         cat >{DIR}/master.cf <<'END'
{port}    inet  n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
wod       unix  - n n - 10 pipe user=wodadmin argv=/run/wod ingest --sender ${{sender}} --recipient ${{recipient}} --peer ${{client_address}}
END
         postfix -c {DIR} start 2>&1",
        port = ADDRESS.1,
    ));
    wait_for(20, "Postfix", || TcpStream::connect(ADDRESS).ok());
    Postfix(())
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Postfix said:\n{}", log());
        }
        let _ = Command::new("postfix").args(["-c", DIR, "stop"]).output();
    }
}

fn log() -> String {
    std::fs::read_to_string("/var/log/postfix-wod.log").unwrap_or_default()
}

/// Waits until the log has said it so often.
pub fn log_says(what: &str, times: usize) {
    wait_for(30, what, || {
        (log().matches(what).count() >= times).then_some(())
    });
}

/// As the frontend does: everything at once, before the greeting, bare line feeds, no blank line;
/// the socket is gone at the first byte that comes back.
pub fn send_at_once(recipient: &str, subject: &str, body: &str) {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    let dialogue = format!(
        "HELO frontend\nMAIL FROM: {SENDER}\nRCPT TO: {recipient}\nDATA\nSubject: {subject}\n{body}\n.\n"
    );
    stream.write_all(dialogue.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 1]);
}

/// As mail programs do.
pub fn send(recipient: &str, sender: &str, subject: &str, body: &str) {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    let mut reply = [0; 512];
    let mut said = String::new();
    for line in [
        "HELO test\r\n".to_owned(),
        format!("MAIL FROM:<{sender}>\r\n"),
        format!("RCPT TO:<{recipient}>\r\n"),
        "DATA\r\n".to_owned(),
        format!("From: <{sender}>\r\nSubject: {subject}\r\n\r\n{body}\r\n.\r\n"),
    ] {
        let length = stream.read(&mut reply).unwrap();
        said = String::from_utf8_lossy(&reply[..length]).into_owned();
        assert!(said.starts_with(['2', '3']), "{said}");
        stream.write_all(line.as_bytes()).unwrap();
    }
    let length = stream.read(&mut reply).unwrap();
    said.push_str(&String::from_utf8_lossy(&reply[..length]));
    assert!(said.contains("queued"), "{said}");
}
