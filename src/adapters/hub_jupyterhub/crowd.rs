//! Many hub users at once: listed by the page, made by the hundred.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Method;

use crate::domain::{Student, Time};
use crate::ports::Fault;

use super::{JupyterHub, unexpected, user_path};

/// More the hub does not give, whatever is asked for.
const PAGE: usize = 200;
/// More at once keep the hub from its other work.
pub const CHUNK: usize = 100;
/// For one page or one hundred.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
const PAGED: &str = "application/jupyterhub-pagination+json";
/// A hub that gives pages without end is none.
const MOST: usize = 1_000_000;

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    _pagination: Pagination,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Active {
    name: String,
    #[serde(default)]
    servers: BTreeMap<String, Used>,
}

#[derive(Deserialize)]
struct Used {
    last_activity: Option<String>,
}

#[derive(Deserialize)]
struct Pagination {
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    offset: usize,
}

impl JupyterHub {
    /// The names of all users that the hub has.
    pub fn user_names(&self) -> Result<BTreeSet<String>, Fault> {
        let all: Vec<Name> = self.users(&self.patient, "")?;
        Ok(all.into_iter().map(|user| user.name).collect())
    }

    /// When each student with a server last used one of them, as servers tell the hub every few
    /// minutes. One whose server is only about to start has not used any.
    pub(super) fn activity(&self) -> Result<BTreeMap<Student, Time>, Fault> {
        let all: Vec<Active> = self.users(&self.agent, "state=active&")?;
        let last = |user: Active| {
            let servers = user.servers.into_values();
            let used = servers.filter_map(|server| Time::from_iso(&server.last_activity?));
            Some((Student::from_account(&user.name)?, used.max()?))
        };
        Ok(all.into_iter().filter_map(last).collect())
    }

    /// All users that fit the query, page by page.
    fn users<T: DeserializeOwned>(&self, agent: &Agent, query: &str) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        let mut offset = 0;
        while offset < MOST {
            let page: Page<T> = self.page(agent, query, offset)?;
            all.extend(page.items);
            match page._pagination.next {
                Some(next) if next.offset > offset => offset = next.offset,
                _ => break,
            }
        }
        Ok(all)
    }

    fn page<T: DeserializeOwned>(
        &self,
        agent: &Agent,
        query: &str,
        offset: usize,
    ) -> Result<Page<T>, Fault> {
        let path = format!("/users?{query}offset={offset}&limit={PAGE}");
        let answer = self.ask(agent, Method::GET, &path, PAGED, ())?;
        if answer.status != 200 {
            return Err(Fault::retry(format!(
                "the hub failed at listing its users: {}; see the hub's log",
                answer.message()
            )));
        }
        answer.read("its users")
    }

    /// Makes hub users, at most [`CHUNK`] at once; those that are there already count as made.
    pub fn add_users(&self, students: &[Student]) -> Result<(), Fault> {
        let names: Vec<String> = students.iter().map(|student| student.account()).collect();
        let body = serde_json::json!({ "usernames": names }).to_string();
        let answer = self.ask(
            &self.patient,
            Method::POST,
            "/users",
            "application/json",
            body,
        )?;
        match answer.status {
            // All of them are there: 409.
            201 | 409 => Ok(()),
            _ => Err(Fault::retry(format!(
                "the hub does not take all of {} to {} as users ({}); does getent passwd show them on the hub's host?",
                names.first().map_or("", |name| name),
                names.last().map_or("", |name| name),
                answer.message()
            ))),
        }
    }

    /// Takes a hub user away, with its server, tokens and logins; it may be missing.
    pub fn remove_user(&self, student: Student) -> Result<(), Fault> {
        let path = user_path(student);
        let answer = self.ask(&self.patient, Method::DELETE, &path, "application/json", ())?;
        match answer.status {
            204 | 404 => Ok(()),
            _ => Err(unexpected("removing the user", student, &answer)),
        }
    }
}
