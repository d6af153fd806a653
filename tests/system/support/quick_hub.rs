//! A hub that answers at once: as much of JupyterHub's API as the backend uses, with users,
//! tokens and servers that are there until they are taken away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::backend::HUB;

#[derive(Default)]
struct User {
    serves: bool,
    /// Of those that had this name.
    number: usize,
}

#[derive(Default)]
struct State {
    users: BTreeMap<String, User>,
    made: usize,
    /// How many users had been made when somebody last asked for all.
    told: usize,
}

type Shared = Arc<Mutex<State>>;

/// Where the backend looks for the hub.
pub fn start() {
    let listener = TcpListener::bind(HUB.strip_prefix("http://").unwrap()).unwrap();
    let state = Shared::default();
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // Whoever asked may have been killed.
            thread::spawn(move || drop(serve(peer, &state)));
        }
    });
}

/// One line for each user: whether it is another one than at the last time, whether it has a
/// server. Nothing where there is no hub.
pub fn all_users() -> Vec<String> {
    let Ok(mut answer) = ureq::get(format!("{HUB}/all")).call() else {
        return Vec::new();
    };
    let text = answer.body_mut().read_to_string().unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Requests of one connection, until it ends.
fn serve(peer: TcpStream, state: &Shared) -> io::Result<()> {
    let mut to = peer.try_clone()?;
    let mut from = BufReader::new(peer);
    while let Some((method, path)) = request(&mut from)? {
        let (status, body) = state.lock().unwrap().answer(&method, &path);
        let length = body.len();
        // In one piece, or the second waits for the other side's acknowledgement of the first.
        let answer = format!(
            "HTTP/1.1 {status} -\r\nx-jupyterhub-version: 5.5.4\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        to.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Method and path of the next request; none at the end. What it carries is read and let go.
fn request(from: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let first = line(from)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(from)?.to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", number)) => length = number.trim().parse().unwrap_or(0),
            Some(("transfer-encoding", how)) => chunked = how.trim() == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    if chunked {
        while let size @ 1.. = u64::from_str_radix(&line(from)?, 16).unwrap_or(0) {
            skip(from, size + 2)?;
        }
        line(from)?;
    }
    skip(from, length)?;
    Ok(Some((method, path)))
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn skip(from: &mut impl BufRead, bytes: u64) -> io::Result<()> {
    io::copy(&mut from.take(bytes), &mut io::sink()).map(drop)
}

impl State {
    fn answer(&mut self, method: &str, path: &str) -> (u16, String) {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["all"]) => (200, self.all()),
            ("GET", ["hub", "api", "user"]) => {
                let scopes = r#"["admin:users", "admin:servers"]"#;
                (200, format!("{{\"scopes\": {scopes}}}"))
            }
            (method, ["hub", "api", "users", name, what @ ..]) => self.user(method, name, what),
            ("GET", ["user", name, "api"]) => {
                let serves = self.users.get(*name).is_some_and(|user| user.serves);
                (if serves { 200 } else { 503 }, "{}".to_owned())
            }
            _ => (404, "{}".to_owned()),
        }
    }

    fn user(&mut self, method: &str, name: &str, what: &[&str]) -> (u16, String) {
        let empty = || "{}".to_owned();
        if (method, what) == ("POST", &[][..]) && !self.users.contains_key(name) {
            self.made += 1;
            let number = self.made;
            let user = User {
                number,
                ..User::default()
            };
            self.users.insert(name.to_owned(), user);
            return (201, empty());
        }
        let Some(user) = self.users.get_mut(name) else {
            return (404, empty());
        };
        match (method, what) {
            ("GET", []) => {
                let server = format!(r#"{{"": {{"ready": true, "url": "/user/{name}/"}}}}"#);
                let servers = if user.serves { server } else { empty() };
                (200, format!("{{\"servers\": {servers}}}"))
            }
            ("GET", ["tokens"]) => (200, r#"{"api_tokens": []}"#.to_owned()),
            ("POST", []) => (409, empty()),
            ("POST", ["server"]) if user.serves => (400, empty()),
            ("POST", ["server"]) => {
                user.serves = true;
                (201, empty())
            }
            ("DELETE", ["server"]) => {
                user.serves = false;
                (204, String::new())
            }
            ("DELETE", []) => {
                self.users.remove(name);
                (204, String::new())
            }
            _ => (404, empty()),
        }
    }

    fn all(&mut self) -> String {
        let mut lines = String::new();
        for (name, user) in &self.users {
            let (new, serves) = (user.number > self.told, user.serves);
            writeln!(lines, "hub user {name}, a new one {new}, server {serves}").unwrap();
        }
        self.told = self.made;
        lines
    }
}
