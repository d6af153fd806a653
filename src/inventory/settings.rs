//! The WOD* variables as typed settings: every error of a configuration is reported at once.
//!
//! Values come through a lookup, already resolved; nothing is read from files here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::domain::signature;
use crate::domain::{Cron, Secret, Student, StudentRange, StudentWindow};
use crate::intake::confine;

/// Real Linux accounts, or plain directories that are all ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountsKind {
    System,
    Sandbox,
}

#[derive(Debug, Clone)]
pub enum HubSettings {
    None,
    JupyterHub {
        /// WODBEAPIURL, ends in `/hub/api`.
        api: String,
        token: Secret,
        /// Where students go.
        login: String,
    },
}

#[derive(Debug, Clone)]
pub struct LdapSettings {
    pub server: String,
    pub port: u16,
    pub domain: String,
    pub password: Secret,
}

/// Everything that `wod serve` and the commands need to know of a site.
#[derive(Debug, Clone)]
pub struct Settings {
    pub user: String,
    pub group: Option<String>,
    pub accounts: AccountsKind,
    pub window: StudentWindow,
    pub uid_base: u32,
    pub gid_base: u32,
    pub students_dir: PathBuf,
    /// CLEAN: deliver removes the students before it makes them.
    pub clean: bool,
    /// When `wod serve` runs deliver; empty leaves it to the timer.
    pub deliver_cron: Vec<Cron>,
    /// How long a program of the overlay may run in a run of deliver.
    pub private_time: Duration,
    /// The private overlay as a whole.
    pub overlay: Option<PathBuf>,
    /// Its Ansible part.
    pub private_variables: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub notebooks: PathBuf,
    pub private_notebooks: Option<PathBuf>,
    pub scripts: PathBuf,
    pub private_scripts: Option<PathBuf>,
    pub skeletons: Vec<PathBuf>,
    /// Templates of the host's own files, the overlay's first.
    pub sys_dirs: Vec<PathBuf>,
    pub variables_dirs: Vec<PathBuf>,
    pub pass_dir: Option<PathBuf>,
    pub trash: Duration,
    /// How long the journal keeps what is over.
    pub history: Duration,
    pub hub: HubSettings,
    pub hub_wait: Duration,
    pub ldap: Option<LdapSettings>,
    pub smtp_listen: Option<SocketAddr>,
    pub smtp_peers: Vec<IpNet>,
    pub senders: Vec<String>,
    pub recipients: Vec<String>,
    pub largest_mail: u64,
    pub intake_user: String,
    pub confine: confine::Demand,
    pub signatures: signature::Rule,
    pub monitor: Option<String>,
    pub mail_host: String,
    pub mail_port: u16,
    pub workers: usize,
    pub guard_wait: Duration,
    pub duplicate_window: Duration,
    pub retry_first: Duration,
    pub attempts: u32,
    pub script_timeout: Duration,
    pub watchdog: WatchdogSettings,
}

/// Who runs the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogBy {
    /// A child of `wod serve`.
    Serve,
    /// A unit of its own.
    Unit,
    Nobody,
}

#[derive(Debug, Clone)]
pub struct WatchdogSettings {
    pub by: WatchdogBy,
    pub interval: Duration,
    /// WODCPUGRACE and WODMAXSESSION, where the site states them.
    pub grace: Option<Duration>,
    pub longest_session: Option<Duration>,
}

/// One wrong setting: name, what is wrong, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct Wrong {
    pub name: String,
    pub problem: String,
}

/// Gives the resolved value of a variable, None when it is not set, or why it has none.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<Value>, String>;

impl Settings {
    pub fn read(lookup: Lookup<'_>) -> Result<Settings, Vec<Wrong>> {
        let mut of = Reader {
            lookup,
            wrong: Vec::new(),
        };
        let settings = read(&mut of);
        match of.wrong.is_empty() {
            true => Ok(settings),
            false => Err(of.wrong),
        }
    }
}

fn read(of: &mut Reader<'_>) -> Settings {
    let user = of.text("WODUSER", "wodadmin");
    let sender = of.maybe("WODSENDER");
    let private = of.path("WODPRIVDIR");
    let group = of.maybe("WODGROUP");
    // A part of the overlay that is there counts, whether somebody names it or not.
    let mut overlay = |name: &str, part: &str| {
        let usual = private.as_ref().map(|dir| dir.join(part));
        of.path(name).or_else(|| usual.filter(|dir| dir.is_dir()))
    };
    let private_notebooks = overlay("WODPRIVNOBO", "notebooks");
    let private_scripts = overlay("WODSCRIPTPRIVDIR", "scripts");
    let private_variables = overlay("WODANSIBLEPRIVDIR", "ansible");
    let variables: Vec<PathBuf> = [of.path("WODANSIBLEDIR"), private_variables.clone()]
        .into_iter()
        .flatten()
        .collect();
    let in_group = |dir: &PathBuf| group.as_ref().map(|group| dir.join(group));
    Settings {
        accounts: of.choice(
            "WODACCOUNTS",
            &[
                ("system", AccountsKind::System),
                ("sandbox", AccountsKind::Sandbox),
            ],
        ),
        window: of.window(),
        uid_base: of.number("UIDBASE", 2000),
        gid_base: of.number("GIDBASE", 2000),
        students_dir: of.path_or("WODSTUDDIR", "/student"),
        clean: of.flag("CLEAN"),
        deliver_cron: of.cron("WODDELIVERCRON"),
        private_time: of.seconds("WODPRIVATESECONDS", 1800.0, 1.0),
        state_dir: of.path_or("WODSTATEDIR", "/var/lib/wod"),
        notebooks: of.path_or("WODNOBO", "/usr/share/wod/workshops"),
        private_notebooks,
        scripts: of.path_or("WODSCRIPTDIR", "/usr/share/wod/workshops/scripts"),
        private_scripts,
        skeletons: [
            of.path("WODSKELDIR"),
            private.as_ref().map(|dir| dir.join("skel")),
        ]
        .into_iter()
        .flatten()
        .filter(|dir| dir.is_dir())
        .collect(),
        sys_dirs: [
            of.path("WODSYSPRIVDIR")
                .or_else(|| Some(private.as_ref()?.join("sys"))),
            Some(of.path_or("WODSYSDIR", "/usr/share/wod/sys")),
        ]
        .into_iter()
        .flatten()
        .collect(),
        pass_dir: private_variables
            .as_ref()
            .and_then(in_group)
            .map(|dir| dir.join("pass")),
        variables_dirs: variables.iter().filter_map(in_group).collect(),
        trash: of.seconds("WODTRASHHOURS", 0.0, 3600.0),
        history: of.seconds("WODHISTORYDAYS", 90.0, 86_400.0),
        hub: of.hub(),
        hub_wait: of.seconds("WODHUBSECONDS", 120.0, 1.0),
        ldap: of.ldap(),
        smtp_listen: of.listen(),
        smtp_peers: of.list("WODSMTPPEERS", &["127.0.0.0/8", "::1/128"]),
        senders: match sender {
            Some(sender) => of.list("WODSENDERS", &[&sender]),
            None => of.list("WODSENDERS", &[]),
        },
        recipients: of.list("WODRECIPIENTS", &[&user]),
        largest_mail: of.number("WODMAILBYTES", 1 << 20),
        intake_user: of.text("WODINTAKEUSER", "wodmail"),
        confine: of.choice(
            "WODCONFINE",
            &[
                ("possible", confine::Demand::Possible),
                ("required", confine::Demand::Required),
            ],
        ),
        signatures: signature::Rule {
            demand: of.signatures(),
            window: Duration::from_secs(of.number("WODREPLAYSECONDS", 300)),
        },
        monitor: of.maybe("WODMONITOR"),
        mail_host: of.text("WODMAILHOST", "127.0.0.1"),
        mail_port: of.number("WODPOSTPORT", 25),
        workers: of.number("WODWORKERS", 8),
        guard_wait: of.seconds("WODGUARDSECONDS", 20.0, 1.0),
        duplicate_window: of.seconds("WODDUPLICATESECONDS", 600.0, 1.0),
        retry_first: of.seconds("WODRETRYSECONDS", 2.0, 1.0),
        attempts: of.number("WODATTEMPTS", 6),
        overlay: private,
        private_variables,
        script_timeout: of.seconds("WODSCRIPTSECONDS", 600.0, 1.0),
        watchdog: of.watchdog(),
        user,
        group,
    }
}

struct Reader<'a> {
    lookup: Lookup<'a>,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn fail(&mut self, name: &str, problem: impl Into<String>) {
        self.wrong.push(Wrong {
            name: name.to_owned(),
            problem: problem.into(),
        });
    }

    /// An empty text counts as not set: that is how sites switch something off.
    fn value(&mut self, name: &str) -> Option<Value> {
        match (self.lookup)(name) {
            Ok(Some(Value::String(text))) if text.trim().is_empty() => None,
            Ok(Some(Value::Null)) => None,
            Ok(value) => value,
            Err(problem) => {
                self.fail(name, format!("cannot be resolved: {problem}"));
                None
            }
        }
    }

    fn maybe(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(bool) => Some(bool.to_string()),
            other => {
                self.fail(name, format!("is {other}; expected a text"));
                None
            }
        }
    }

    fn text(&mut self, name: &str, default: &str) -> String {
        self.maybe(name).unwrap_or_else(|| default.to_owned())
    }

    fn secret(&mut self, name: &str) -> Option<Secret> {
        self.maybe(name).map(Secret::new)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.maybe(name)?);
        if !path.is_absolute() {
            let shown = path.display().to_string();
            self.fail(name, format!("is {shown}; expected an absolute path"));
            return None;
        }
        Some(path)
    }

    fn path_or(&mut self, name: &str, default: &str) -> PathBuf {
        self.path(name).unwrap_or_else(|| PathBuf::from(default))
    }

    fn parse<T: FromStr>(&mut self, name: &str, text: &str, expected: &str) -> Option<T> {
        let parsed = text.trim().parse().ok();
        if parsed.is_none() {
            self.fail(name, format!("is {text}; expected {expected}"));
        }
        parsed
    }

    fn number<T: FromStr>(&mut self, name: &str, default: T) -> T {
        self.maybe(name)
            .and_then(|text| self.parse(name, &text, "a whole number that is not too large"))
            .unwrap_or(default)
    }

    /// YAML's truth, or the words that sites write on a command line.
    fn flag(&mut self, name: &str) -> bool {
        match self.maybe(name).map(|text| text.trim().to_lowercase()) {
            None => false,
            Some(text) if matches!(&text[..], "true" | "yes" | "on" | "1") => true,
            Some(text) if matches!(&text[..], "false" | "no" | "off" | "0") => false,
            Some(text) => {
                self.fail(name, format!("is {text}; expected true or false"));
                false
            }
        }
    }

    fn seconds(&mut self, name: &str, default: f64, unit: f64) -> Duration {
        let given = self
            .maybe(name)
            .and_then(|text| self.parse(name, &text, "a number"));
        let seconds = given.unwrap_or(default) * unit;
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|_| {
            self.fail(name, "is out of range; expected 0 or more");
            Duration::ZERO
        })
    }

    fn watchdog(&mut self) -> WatchdogSettings {
        let stated = |of: &mut Self, name: &str, unit| {
            of.maybe(name)
                .is_some()
                .then(|| of.seconds(name, 0.0, unit))
        };
        let interval = self.seconds("WODWATCHINTERVAL", 1.0, 1.0);
        if interval < Duration::from_millis(100) {
            self.fail(
                "WODWATCHINTERVAL",
                "is too short; expected 0.1 seconds or more",
            );
        }
        WatchdogSettings {
            by: self.choice(
                "WODWATCHDOG",
                &[
                    ("serve", WatchdogBy::Serve),
                    ("unit", WatchdogBy::Unit),
                    ("none", WatchdogBy::Nobody),
                ],
            ),
            interval,
            grace: stated(self, "WODCPUGRACE", 60.0),
            longest_session: stated(self, "WODMAXSESSION", 3600.0),
        }
    }

    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let Some(text) = self.maybe(name) else {
            return choices[0].1;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return *choice;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.fail(name, format!("is {text}; expected {}", words.join(" or ")));
        choices[0].1
    }

    /// A list, or one text with commas.
    fn list<T: FromStr>(&mut self, name: &str, default: &[&str]) -> Vec<T> {
        let texts: Vec<String> = match self.value(name) {
            None => default.iter().map(|&text| text.to_owned()).collect(),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect(),
            Some(Value::String(text)) => {
                text.split(',').map(|part| part.trim().to_owned()).collect()
            }
            Some(other) => {
                self.fail(name, format!("is {other}; expected a list"));
                Vec::new()
            }
        };
        texts
            .iter()
            .filter_map(|text| {
                self.parse(name, text, "a list of such values (networks as 10.0.0.0/8)")
            })
            .collect()
    }

    /// A line, several with line feeds between, or a list of lines: they have commas in them.
    fn cron(&mut self, name: &str) -> Vec<Cron> {
        let lines: Vec<String> = match self.value(name) {
            None => Vec::new(),
            Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect(),
            Some(other) => {
                self.fail(
                    name,
                    format!("is {other}; expected a line as \"17 4 * * *\""),
                );
                Vec::new()
            }
        };
        let lines = lines.iter().filter(|line| !line.trim().is_empty());
        let host = self.text("inventory_hostname", "");
        let parsed = lines.map(|line| Cron::of_host(line, &host));
        let mut all = Vec::new();
        for line in parsed {
            match line {
                Ok(cron) => all.push(cron),
                Err(problem) => self.fail(name, format!("is wrong: {problem}")),
            }
        }
        all
    }

    fn window(&mut self) -> StudentWindow {
        let first = self.student("WODUSERMIN", 1);
        let last = self.student("WODUSERMAX", 100);
        let range = StudentRange::new(first, last).unwrap_or_else(|_| {
            self.fail(
                "WODUSERMAX",
                format!("is {last}; expected at least WODUSERMIN, {first}"),
            );
            StudentRange::one(first)
        });
        StudentWindow(range)
    }

    fn student(&mut self, name: &str, default: u32) -> Student {
        let number = self.number(name, default);
        Student::new(number).unwrap_or_else(|invalid| {
            self.fail(name, format!("is {number}; {}", invalid.expected));
            Student::FIRST
        })
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let text = self.text("WODSMTPLISTEN", "127.0.0.1:2525");
        match text.as_str() {
            "none" => None,
            text => self.parse(
                "WODSMTPLISTEN",
                text,
                "an address and port as 127.0.0.1:2525, or none",
            ),
        }
    }

    fn signatures(&mut self) -> signature::Demand {
        // `off` without quotes is a boolean of YAML 1.1.
        let text = self.text("WODSIGNATURES", "optional");
        match text.as_str() {
            "off" | "false" => signature::Demand::Off,
            "optional" => signature::Demand::Optional,
            "required" => signature::Demand::Required,
            text => {
                let problem = format!("is {text}; expected off, optional or required");
                self.fail("WODSIGNATURES", problem);
                signature::Demand::Required
            }
        }
    }

    fn hub(&mut self) -> HubSettings {
        let kind = self.choice("WODHUB", &[("jupyterhub", true), ("none", false)]);
        if !kind {
            return HubSettings::None;
        }
        let host = self.text("WODBEFQDN", "127.0.0.1");
        let port: u16 = self.number("WODBEPORT", 8000);
        let proto = self.text("WODBEPROTO", "http");
        let api = self.text("WODBEAPIURL", &format!("{proto}://{host}:{port}/hub/api"));
        let outside = self.text("WODBEEXTFQDN", &host);
        let Some(token) = self.secret("WODBETOKEN") else {
            self.fail(
                "WODBETOKEN",
                "is not set; expected the token of our service in jupyterhub_config.py \
                 (or set WODHUB: none)",
            );
            return HubSettings::None;
        };
        HubSettings::JupyterHub {
            api,
            token,
            login: format!("{proto}://{outside}:{port}/hub/login"),
        }
    }

    fn ldap(&mut self) -> Option<LdapSettings> {
        let server = self.maybe("WODLDAPSRVNAME")?;
        let port = self.number("WODLDAPPORT", 389);
        let domain = self.maybe("WODLDAPDMN");
        let password = self.secret("WODLDAPPWD");
        let (Some(domain), Some(password)) = (domain, password) else {
            self.fail(
                "WODLDAPSRVNAME",
                "is set, so WODLDAPDMN and WODLDAPPWD have to be, too",
            );
            return None;
        };
        Some(LdapSettings {
            server,
            port,
            domain,
            password,
        })
    }
}

#[cfg(test)]
mod tests;
