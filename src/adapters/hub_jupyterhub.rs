//! JupyterHub, through its REST API: hub users and their servers.
//! Each call looks at what is and takes at most one step further; it never waits for a server.

mod crowd;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderValue, Method, Request, header};

pub use crowd::CHUNK;

use crate::domain::{Secret, Student, Time, quoted};
use crate::ports::{Fault, Hub, Progress};

/// Soon enough that a participant does not notice.
const SOON: Duration = Duration::from_millis(200);
/// For what takes seconds in the hub.
const LATER: Duration = Duration::from_millis(500);
/// Who is not asked for again within this time was given up; the next time is another one.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// A user's model has some hundred bytes, a page of users two hundred times that; more is not the hub.
const LARGEST_ANSWER: u64 = 4 << 20;
/// Only the hub sets it. Its proxy says 404 too, while it has no hub to ask.
const HUB_MARK: &str = "x-jupyterhub-version";
/// What `check` wants to see among the token's scopes: of each line, one. The first implies the
/// others, which JupyterHub 6 lists and 5 does not.
const SCOPES: [&[&str]; 3] = [
    &["admin:users"],
    &["admin:servers", "servers", "start:servers"],
    &["admin:servers", "servers", "delete:servers"],
];

/// Where the hub is, and how long it may take.
#[derive(Debug, Clone)]
pub struct Config {
    /// WODBEAPIURL, e.g. `http://localhost:8000/hub/api`.
    pub api_url: String,
    /// WODBETOKEN.
    pub token: Secret,
    /// What participants are told, e.g. `https://hub.example.org/hub/login`.
    pub login_url: String,
    /// Where students' servers are reached from this host, e.g. `http://localhost:8000`; None:
    /// at the host and port of `api_url`.
    pub servers_url: Option<String>,
    /// For one request.
    pub timeout: Duration,
    /// From the first `start` to a server that answers.
    pub start_limit: Duration,
    /// From the first `stop` to a hub that knows nothing of the student any more.
    pub stop_limit: Duration,
}

impl Config {
    /// With the usual times: 15 s for a request (the hub holds some back for 10 s), 3 minutes
    /// for a start, one for a stop.
    pub fn new(api_url: impl Into<String>, token: Secret, login_url: impl Into<String>) -> Config {
        Config {
            api_url: api_url.into(),
            token,
            login_url: login_url.into(),
            servers_url: None,
            timeout: Duration::from_secs(15),
            start_limit: Duration::from_secs(180),
            stop_limit: Duration::from_secs(60),
        }
    }
}

/// What was begun for a student and is not yet done.
#[derive(Debug, Clone, Copy)]
struct Begun {
    goal: Goal,
    since: Instant,
    /// When it was last asked for.
    seen: Instant,
    /// The hub accepted to start a server. When there is none later on, it failed.
    accepted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Start,
    Stop,
}

/// A [`Hub`] that is JupyterHub 5 or 6.
pub struct JupyterHub {
    agent: Agent,
    /// For what takes the hub longer than a look at one student.
    patient: Agent,
    authorization: HeaderValue,
    api_url: String,
    servers_url: String,
    login_url: String,
    start_limit: Duration,
    stop_limit: Duration,
    begun: Mutex<HashMap<Student, Begun>>,
}

/// An answer that is the hub's own.
struct Answer {
    status: u16,
    body: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    servers: HashMap<String, Server>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    stopped: bool,
    #[serde(default)]
    pending: Option<String>,
    #[serde(default)]
    url: String,
}

/// What the hub has of the tokens that a user's programs may use.
#[derive(Deserialize)]
struct Tokens {
    api_tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Token {
    id: String,
}

/// Whom the hub takes us for.
#[derive(Deserialize)]
struct Ourselves {
    scopes: Vec<String>,
}

impl JupyterHub {
    /// Fails, permanently, when an address or the token cannot be used at all.
    pub fn new(config: Config) -> Result<JupyterHub, Fault> {
        let api_url = checked_url("WODBEAPIURL", &config.api_url)?;
        let servers_url = match &config.servers_url {
            Some(url) => checked_url("the address of students' servers", url)?,
            None => origin(&api_url).to_owned(),
        };
        Ok(JupyterHub {
            agent: agent(config.timeout),
            patient: agent(config.timeout.max(crowd::TIMEOUT)),
            authorization: authorization(&config.token)?,
            api_url,
            servers_url,
            login_url: config.login_url,
            start_limit: config.start_limit,
            stop_limit: config.stop_limit,
            begun: Mutex::new(HashMap::new()),
        })
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<Student, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the goal is wanted; fails when it has been for too long.
    fn begin(&self, student: Student, goal: Goal) -> Result<Begun, Fault> {
        let (limit, verb) = match goal {
            Goal::Start => (self.start_limit, "start"),
            Goal::Stop => (self.stop_limit, "stop"),
        };
        let mut all = self.begun();
        let now = Instant::now();
        let begun = match all.get(&student) {
            Some(old) if old.goal == goal && now - old.seen < FORGOTTEN => {
                Begun { seen: now, ..*old }
            }
            _ => Begun {
                goal,
                since: now,
                seen: now,
                accepted: false,
            },
        };
        all.insert(student, begun);
        if begun.since.elapsed() > limit {
            all.remove(&student);
            return Err(Fault::retry(format!(
                "the server of {} did not {verb} within {} s; see the hub's log",
                student.account(),
                limit.as_secs()
            )));
        }
        Ok(begun)
    }

    fn accepted(&self, student: Student) {
        if let Some(begun) = self.begun().get_mut(&student) {
            begun.accepted = true;
        }
    }

    /// The goal is reached, or given up: the next call begins anew.
    fn end(&self, student: Student) {
        self.begun().remove(&student);
    }

    fn user(&self, student: Student) -> Result<Option<User>, Fault> {
        let answer = self.call(Method::GET, &user_path(student))?;
        match answer.status {
            200 => answer.read(&student.account()).map(Some),
            404 => Ok(None),
            _ => Err(unexpected("looking at", student, &answer)),
        }
    }

    fn ensure_user(&self, student: Student) -> Result<(), Fault> {
        let answer = self.call(Method::POST, &user_path(student))?;
        match answer.status {
            201 | 409 => Ok(()),
            400 => Err(Fault::retry(format!(
                "the hub does not take {0} as a user ({1}); does getent passwd {0} show it on the hub's host?",
                student.account(),
                answer.message()
            ))),
            _ => Err(unexpected("making a user of", student, &answer)),
        }
    }

    fn ask_for_server(&self, student: Student) -> Result<Progress, Fault> {
        let answer = self.call(Method::POST, &format!("{}/server", user_path(student)))?;
        match answer.status {
            201 | 202 => {
                self.accepted(student);
                Ok(Progress::NotYet(SOON))
            }
            // Already running, or busy with something: the next look tells. 429: too many at once.
            400 | 404 | 429 => Ok(Progress::NotYet(LATER)),
            _ => {
                self.end(student);
                Err(Fault::retry(format!(
                    "the server of {} did not start ({}); see the hub's log",
                    student.account(),
                    answer.message()
                )))
            }
        }
    }

    /// Ready is the hub's opinion; what counts is that a browser would reach the server.
    fn answers(&self, server: &Server) -> bool {
        let url = format!("{}{}api", self.servers_url, server.url);
        // Without a route to the server the hub answers in its place: a redirect, 424 or 503.
        self.agent
            .get(&url)
            .call()
            .is_ok_and(|response| matches!(response.status().as_u16(), 200 | 401 | 403))
    }

    fn stop_server(&self, student: Student, name: &str) -> Result<Progress, Fault> {
        let path = match name {
            "" => format!("{}/server", user_path(student)),
            named => format!("{}/servers/{}", user_path(student), escaped(named)),
        };
        match self.call(Method::DELETE, &path)?.status {
            204 | 404 => Ok(Progress::Done),
            // 202: it is ending. 400 and 500: the hub is still busy with its start.
            _ => Ok(Progress::NotYet(LATER)),
        }
    }

    /// Forgets the hub user with its tokens and its cookies' id, and makes a new one of the same
    /// name. Nothing less will do: a browser's login outlives a change of the password.
    fn renew_user(&self, student: Student) -> Result<Progress, Fault> {
        match self.call(Method::DELETE, &user_path(student))?.status {
            204 | 404 => {}
            // A server was started again meanwhile, by a browser that was still logged in.
            _ => return Ok(Progress::NotYet(LATER)),
        }
        self.make_anew(student);
        Ok(Progress::Done)
    }

    /// The old one is gone, which is what was asked for; `start` makes a new one as well.
    fn make_anew(&self, student: Student) {
        if let Err(fault) = self.ensure_user(student) {
            tracing::warn!(student = %student, "{fault}");
        }
    }

    fn call(&self, method: Method, path: &str) -> Result<Answer, Fault> {
        self.ask(&self.agent, method, path, "application/json", ())
    }

    /// With a body and what the answer is to be.
    fn ask(
        &self,
        agent: &Agent,
        method: Method,
        path: &str,
        accept: &str,
        body: impl ureq::AsSendBody,
    ) -> Result<Answer, Fault> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api_url))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, accept)
            .body(body)
            .map_err(|e| {
                Fault::permanent(format!("{} is no address of a hub", self.api_url)).because(&e)
            })?;
        let mut response = agent
            .run(request)
            .map_err(|e| self.silent(&e.to_string()))?;
        let status = response.status().as_u16();
        if response.headers().get(HUB_MARK).is_none() {
            return Err(self.silent(&format!("HTTP {status} from something else there")));
        }
        if matches!(status, 401 | 403) {
            return Err(Fault::permanent(format!(
                "the hub at {} refuses our token (HTTP {status}); check WODBETOKEN and the scopes of its service in jupyterhub_config.py",
                self.api_url
            )));
        }
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_string()
            .map_err(|e| self.silent(&e.to_string()))?;
        Ok(Answer { status, body })
    }

    fn silent(&self, why: &str) -> Fault {
        Fault::retry(format!(
            "the hub at {} does not answer: {why}; is jupyterhub running? see systemctl status jupyterhub",
            self.api_url
        ))
    }
}

impl Hub for JupyterHub {
    fn start(&self, student: Student) -> Result<Progress, Fault> {
        let begun = self.begin(student, Goal::Start)?;
        let Some(mut user) = self.user(student)? else {
            self.ensure_user(student)?;
            return self.ask_for_server(student);
        };
        let server = user.servers.remove("").filter(|server| !server.stopped);
        match server {
            Some(server) if server.pending.is_some() => Ok(Progress::NotYet(LATER)),
            Some(server) if server.ready => match self.answers(&server) {
                true => {
                    self.end(student);
                    Ok(Progress::Done)
                }
                // The hub looks after a server only now and then; asked to start it, it does at once.
                false => self.ask_for_server(student),
            },
            // A failed start shows in nothing but this.
            _ if begun.accepted => {
                self.end(student);
                Err(Fault::retry(format!(
                    "the server of {} did not start; see the hub's log",
                    student.account()
                )))
            }
            _ => self.ask_for_server(student),
        }
    }

    fn stop(&self, student: Student) -> Result<Progress, Fault> {
        self.begin(student, Goal::Stop)?;
        let Some(user) = self.user(student)? else {
            // Gone a moment ago, perhaps, by an engine that was killed before it made the new one.
            self.make_anew(student);
            self.end(student);
            return Ok(Progress::Done);
        };
        let mut progress = Progress::Done;
        for (name, server) in user.servers.iter().filter(|(_, server)| !server.stopped) {
            let one = match server.pending.as_deref() {
                Some("stop") => Progress::NotYet(LATER),
                _ => self.stop_server(student, name)?,
            };
            if one != Progress::Done {
                progress = one;
            }
        }
        if progress == Progress::Done {
            progress = self.renew_user(student)?;
        }
        if progress == Progress::Done {
            self.end(student);
        }
        Ok(progress)
    }

    fn leftovers(&self, student: Student) -> Result<Vec<String>, Fault> {
        let Some(user) = self.user(student)? else {
            return Ok(Vec::new());
        };
        let name = |name: &String| match name.is_empty() {
            true => "hub server".to_owned(),
            false => format!("hub server {name:?}"),
        };
        let running = user.servers.iter().filter(|(_, server)| !server.stopped);
        let mut lines: Vec<String> = running.map(|(server, _)| name(server)).collect();
        let answer = self.call(Method::GET, &format!("{}/tokens", user_path(student)))?;
        if answer.status != 200 {
            return Err(unexpected("listing the tokens of", student, &answer));
        }
        let tokens: Tokens = answer.read(&format!("the tokens of {}", student.account()))?;
        let tokens = tokens.api_tokens.iter();
        lines.extend(tokens.map(|token| format!("hub token {}", token.id)));
        Ok(lines)
    }

    fn last_activity(&self) -> Result<Option<BTreeMap<Student, Time>>, Fault> {
        self.activity().map(Some)
    }

    fn check(&self) -> Result<(), Fault> {
        let answer = self.call(Method::GET, "/user")?;
        let Ourselves { scopes } = match answer.status {
            200 => answer.read("our token")?,
            status => return Err(self.silent(&format!("HTTP {status}"))),
        };
        let granted = |wanted: &&[&str]| scopes.iter().any(|has| wanted.contains(&has.as_str()));
        match SCOPES.into_iter().find(|wanted| !granted(wanted)) {
            None => Ok(()),
            Some(missing) => Err(Fault::permanent(format!(
                "the hub at {} does not give our token the scope {}; add it to the role of its service in jupyterhub_config.py",
                self.api_url, missing[0]
            ))),
        }
    }

    fn login_url(&self) -> Option<String> {
        Some(self.login_url.clone())
    }
}

impl Answer {
    fn read<T: DeserializeOwned>(&self, of: &str) -> Result<T, Fault> {
        serde_json::from_str(&self.body).map_err(|e| {
            Fault::retry(format!(
                "the hub says of {of} what this backend does not understand; is it JupyterHub 5 or 6?"
            ))
            .because(&e)
        })
    }

    /// Status and, where the hub gave one, reason; fit for one line.
    fn message(&self) -> String {
        let reason = serde_json::from_str::<Value>(&self.body)
            .ok()
            .and_then(|json| json["message"].as_str().map(quoted));
        match reason {
            Some(reason) => format!("HTTP {}, {reason}", self.status),
            None => format!("HTTP {}", self.status),
        }
    }
}

fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // An http_proxy in the environment is for the world outside, and would see the token.
        .proxy(None)
        .build()
        .new_agent()
}

fn unexpected(doing: &str, student: Student, answer: &Answer) -> Fault {
    Fault::retry(format!(
        "the hub failed at {doing} {}: {}; see the hub's log",
        student.account(),
        answer.message()
    ))
}

fn user_path(student: Student) -> String {
    format!("/users/{}", student.account())
}

/// A student can choose the names of further servers, where a site allows any.
fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The address without a slash at its end. A name or password in it would show up in messages.
fn checked_url(what: &str, url: &str) -> Result<String, Fault> {
    let good = ["http://", "https://"].iter().any(|scheme| {
        url.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty())
    });
    if url.contains('@') {
        return Err(Fault::permanent(format!(
            "{what} must not carry a name or password; the token goes into WODBETOKEN"
        )));
    }
    match good {
        true => Ok(url.trim_end_matches('/').to_owned()),
        false => Err(Fault::permanent(format!(
            "{what} {}: expected http://host:port/hub/api or the like",
            quoted(url)
        ))),
    }
}

/// `http://host:port` of a longer address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url[host..].find('/') {
        Some(slash) => &url[..host + slash],
        None => url,
    }
}

fn authorization(token: &Secret) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(&format!("token {}", token.expose())).map_err(|_| {
        Fault::permanent("WODBETOKEN has a line break or another character that no token has")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
