//! A whole backend on a private host: `wod serve` with real accounts, and what speaks to it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::secrecy::Guard;
use super::{patience, root, sh, wait_for};

pub const SENDER: &str = "frontend@test";
pub const SMTP: &str = "127.0.0.1:2525";
pub const HUB: &str = "http://127.0.0.1:8000";
pub const STATE: &str = "/var/lib/wod";
pub const STUDENTS: &str = "/var/student";
pub const SHARE: &str = "/var/share";
pub const UID_BASE: u32 = 62_000;
const INVENTORY: &str = "/etc/wod/inventory";
pub const PROGRAM: &str = "/run/wod";

/// A site on this private host, its engine, and if asked for its JupyterHub. Everything is gone
/// with the private host.
pub struct Backend {
    serve: Option<Child>,
    hub: Option<Child>,
    filter: String,
    guard: Option<Guard>,
}

/// What differs from a small site without a hub.
#[derive(Default)]
pub struct Options<'a> {
    pub hub: bool,
    /// Lines of the inventory, over the usual ones.
    pub inventory: &'a str,
    /// WODLOG; the usual one when it is empty.
    pub filter: &'a str,
}

impl Backend {
    /// Makes the site and starts its engine; comes back when it listens.
    pub fn start(options: Options<'_>) -> Backend {
        let inventory = make_site(&options);
        let hub = options.hub.then(start_hub);
        let filter = options.filter.to_owned();
        let mut backend = Backend {
            serve: None,
            hub,
            filter,
            guard: Some(Guard::start(&inventory)),
        };
        backend.start_engine();
        backend
    }

    pub fn start_engine(&mut self) {
        self.start_engine_with(&[]);
    }

    /// With more in its environment.
    pub fn start_engine_with(&mut self, environment: &[(&str, &str)]) {
        let mut serve = Command::new(PROGRAM);
        serve.arg("serve").envs(environment.iter().copied());
        self.spawn(&mut serve);
        wait_for(60, "listening wod serve", || {
            let ended = self.serve.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "wod serve ended: {}", self.log());
            TcpStream::connect(SMTP).ok()
        });
    }

    /// With variables over those of the inventory.
    pub fn start_engine_over(&mut self, variables: &[&str]) {
        let mut serve = Command::new(PROGRAM);
        for variable in variables {
            serve.args(["-e", variable]);
        }
        self.spawn(serve.arg("serve"));
    }

    /// It has not come to its first instruction, and goes on when somebody traces it or sends
    /// SIGCONT.
    pub fn start_engine_stopped(&mut self) {
        let mut serve = Command::new("/bin/sh");
        self.spawn(serve.args(["-c", &format!("kill -STOP $$; exec {PROGRAM} serve")]));
        let stat = format!("/proc/{}/stat", self.engine_id());
        wait_for(10, "stopped engine", || {
            fs::read_to_string(&stat)
                .unwrap()
                .contains(") T ")
                .then_some(())
        });
    }

    fn spawn(&mut self, serve: &mut Command) {
        let log = append("/run/serve.log");
        let filter = Some(&self.filter).filter(|filter| !filter.is_empty());
        let serve = serve
            .envs(filter.map(|filter| ("WODLOG", filter)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.serve = Some(serve.unwrap());
    }

    /// As power goes: nothing is finished or tidied up.
    pub fn kill_engine(&mut self) {
        let mut serve = self.serve.take().unwrap();
        serve.kill().unwrap();
        serve.wait().unwrap();
        // Its intake ends with it, and with that the port is free.
        wait_for(10, "free port", || TcpStream::connect(SMTP).err());
    }

    pub fn stop_engine(&mut self) {
        let mut serve = self.serve.take().unwrap();
        sh(&format!("kill -TERM {}", serve.id()));
        assert!(serve.wait().unwrap().success(), "{}", self.log());
    }

    pub fn engine_id(&self) -> u32 {
        self.serve.as_ref().unwrap().id()
    }

    /// What the engine itself has used of processors so far, in milliseconds: a busy machine makes it no
    /// more.
    pub fn processor_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.engine_id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1;
        // User and system time, in hundredths of a second.
        let ticks = fields.split(' ').skip(11).take(2);
        ticks
            .map(|field| field.parse::<u64>().unwrap())
            .sum::<u64>()
            * 10
    }

    pub fn engine_runs(&mut self) -> bool {
        self.serve.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    pub fn hub_id(&self) -> u32 {
        self.hub.as_ref().unwrap().id()
    }

    pub fn stop_hub(&mut self) {
        let mut hub = self.hub.take().unwrap();
        sh(&format!("kill -TERM {}", hub.id()));
        hub.wait().unwrap();
    }

    pub fn start_hub_again(&mut self) {
        self.hub = Some(start_hub());
    }

    /// What `wod serve` has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string("/run/serve.log").unwrap_or_default()
    }

    /// `wod` with these words, whatever becomes of it.
    pub fn wod(&self, words: &[&str]) -> Output {
        Command::new(PROGRAM).args(words).output().unwrap()
    }

    /// One action by `wod test-action --wait`, to its end; its JSON object.
    pub fn act(&self, words: &[&str]) -> Value {
        let mut all = vec!["test-action", "--wait", "--json"];
        all.extend(words);
        let output = self.wod(&all);
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| {
            panic!(
                "{words:?}: {e}: {text}{}\n{}",
                String::from_utf8_lossy(&output.stderr),
                self.log()
            )
        })
    }

    /// All actions in the order of their ids, as `wod actions list --all --json` shows them.
    pub fn actions(&self) -> Vec<Value> {
        let output = self.wod(&["actions", "list", "--all", "--most", "1000", "--json"]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let mut all: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        all.reverse();
        all
    }

    pub fn action(&self, id: i64) -> Value {
        let output = self.wod(&["actions", "show", &id.to_string(), "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until so many actions are there, and none of them is on its way.
    pub fn settled(&self, actions: usize) -> Vec<Value> {
        wait_for(90, "end of all actions", || {
            let all = self.actions();
            let over = ["done", "held", "cancelled", "refused"];
            let settled = all
                .iter()
                .all(|a| over.contains(&a["state"].as_str().unwrap()));
            (all.len() >= actions && settled).then_some(all)
        })
    }

    /// One seat as `wod students list --json` shows it.
    pub fn seat(&self, student: u32) -> Option<Value> {
        let output = self.wod(&["students", "list", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .find(|seat: &Value| seat["student"] == student)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("wod serve said:\n{}", self.log());
            eprintln!(
                "hub said:\n{}",
                fs::read_to_string("/run/hub.log").unwrap_or_default()
            );
        }
        for mut child in self.serve.take().into_iter().chain(self.hub.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let found = self.guard.take().map(Guard::end).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(found.is_empty(), "secrets in the open: {found:#?}");
        }
    }
}

/// Accounts, workshops, inventory. Some of it is there when a backend is started again. Gives back
/// the inventory's lines.
fn make_site(options: &Options<'_>) -> String {
    sh(&format!(
        "install -m 755 {program} {PROGRAM}
         id wodadmin >/dev/null 2>&1 || useradd --system --create-home --shell /bin/bash wodadmin
         id wodmail >/dev/null 2>&1 || useradd --system --no-create-home wodmail
         mkdir -p {SHARE} {INVENTORY}/group_vars {STUDENTS} {STATE}
         chmod 711 {STUDENTS}; chown wodadmin {STUDENTS}
         cp -R {root}/workshops {root}/sys {SHARE}/; chmod -R u+rwX,go+rX {SHARE}
         find {SHARE}/workshops/scripts -name '*.shc' -exec chmod go= {{}} +
         chown -R wodadmin {SHARE}; cp -f {SHARE}/sys/jupyterhub_config.py {SHARE}/sys/wod_*.py /etc/wod/",
        program = env!("CARGO_BIN_EXE_wod"),
        root = root().display(),
    ));
    let hub = match options.hub {
        true => "jupyterhub",
        false => "none",
    };
    // The later of two equal keys counts, as with PyYAML.
    let text = format!(
        "WODUSER: wodadmin\nWODSENDER: {SENDER}\nWODSTATEDIR: {STATE}\n\
         WODSTUDDIR: {STUDENTS}\nWODUSERMIN: 1\nWODUSERMAX: 40\n\
         UIDBASE: {UID_BASE}\nGIDBASE: {UID_BASE}\n\
         WODNOBO: {SHARE}/workshops\nWODSCRIPTDIR: {SHARE}/workshops/scripts\n\
         WODSKELDIR: {SHARE}/sys/skel\nWODSMTPLISTEN: {SMTP}\n\
         WODHUB: {hub}\nWODBETOKEN: {token}\nWODBEPORT: 8000\nWODBEFQDN: 127.0.0.1\n\
         BRANDING: the tests\nBRANDINGWOD: Workshops-on-Demand\nSURVEYURL: http://survey\n\
         SURVEYCHALURL: http://survey\nWODWATCHDOG: none\nWODRETRYSECONDS: 0.1\nWODGUARDSECONDS: 2\n{more}\n",
        token = token(),
        more = options.inventory,
    );
    fs::write(format!("{INVENTORY}/group_vars/all.yml"), &text).unwrap();
    sh(&format!("chmod 600 {INVENTORY}/group_vars/all.yml"));
    text
}

/// The names of all users that the hub has, page by page.
pub fn hub_users() -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let url = format!("{HUB}/hub/api/users?offset={}&limit=200", names.len());
        let text = ureq::get(url)
            .header("authorization", format!("token {}", token()))
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let page: Vec<Value> = serde_json::from_str(&text).unwrap();
        if page.is_empty() {
            names.sort();
            return names;
        }
        let of = |user: &Value| user["name"].as_str().unwrap().to_owned();
        names.extend(page.iter().map(of));
    }
}

/// Fixed: a private host has one hub, and nobody else reaches it.
pub fn token() -> String {
    "0123456789abcdef".repeat(4)
}

fn start_hub() -> Child {
    sh("umask 077; mkdir -p /run/hub");
    fs::write("/run/hub/token", token()).unwrap();
    sh("chmod 600 /run/hub/token");
    let log = append("/run/hub.log");
    let mut hub = Command::new("/opt/jupyterhub/bin/jupyterhub")
        .args(["-f", "/etc/wod/jupyterhub_config.py"])
        .env("WODSTATEDIR", STATE)
        .env("WODHUBDIR", "/run/hub")
        .env("WODBETOKENFILE", "/run/hub/token")
        .env("WODBEBINDIP", "127.0.0.1")
        .env("WODSTUDDIR", STUDENTS)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for(60, "JupyterHub", || {
        assert!(hub.try_wait().unwrap().is_none(), "JupyterHub ended");
        let answer = ureq::get(format!("{HUB}/hub/api/")).call().ok()?;
        answer.status().is_success().then_some(())
    });
    hub
}

fn append(path: &str) -> fs::File {
    fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

/// Where a student's home is.
pub fn home(student: u32) -> PathBuf {
    Path::new(STUDENTS).join(format!("student{student}"))
}

/// Sends one mail as frontends do: the whole dialogue at once, bare line feeds, no blank line
/// between subject and body; the socket is reset at the first byte that comes back.
pub fn send_as_frontend(subject: &str, body: &str) {
    let mut stream = TcpStream::connect(SMTP).unwrap();
    let dialogue = format!(
        "HELO frontend\nMAIL FROM: {SENDER}\nRCPT TO: wodadmin@backend\nDATA\n\
         Subject: {subject}\n{body}\n.\n"
    );
    stream.write_all(dialogue.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 1]);
}

/// Sends one mail in one piece and gives back the reply to it; nothing when the backend dies first.
pub fn send_in_one_piece(subject: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(SMTP).unwrap();
    let dialogue = format!(
        "HELO test\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<wodadmin@localhost>\r\nDATA\r\n\
         Subject: {subject}\r\n\r\n{body}\r\n.\r\nQUIT\r\n"
    );
    let mut told = Vec::new();
    let _ = stream.write_all(dialogue.as_bytes());
    let _ = stream.read_to_end(&mut told);
    let told = String::from_utf8_lossy(&told);
    let mut replies = told.lines().skip_while(|line| !line.starts_with("354"));
    replies.nth(1).unwrap_or_default().to_owned()
}

/// Sends one mail politely; gives back the reply to it.
pub fn send(subject: &str, body: &str) -> String {
    let mail = format!("Subject: {subject}\r\n\r\n{body}\r\n");
    send_bytes(SENDER, mail.as_bytes())
}

/// Sends these bytes as the mail of that sender.
pub fn send_bytes(sender: &str, mail: &[u8]) -> String {
    let address: SocketAddr = SMTP.parse().unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();
    let mut stream = peer.try_clone().unwrap();
    stream.set_read_timeout(Some(patience(60))).unwrap();
    let mut reply = || {
        let mut line = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).unwrap_or(0) == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim().to_owned()
    };
    let mut last = reply();
    for line in [
        "HELO test\r\n".to_owned(),
        format!("MAIL FROM:<{sender}>\r\n"),
        "RCPT TO:<wodadmin@localhost>\r\n".to_owned(),
        "DATA\r\n".to_owned(),
    ] {
        peer.write_all(line.as_bytes()).unwrap();
        last = reply();
        if !last.starts_with(['2', '3']) {
            return last;
        }
    }
    assert!(last.starts_with("354"), "{last}");
    let _ = peer.write_all(mail);
    let _ = peer.write_all(b"\r\n.\r\n");
    reply()
}
