//! The overlay's own part of deliver, and the parts that runs of deliver leave behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::adapters::scripts::Functions;
use crate::deliver::private::{self, Given, Private, Runner, ThisHost, Variables};
use crate::deliver::{History, Item, Post, post};
use crate::ports::Fault;

use super::{Site, text};

const PLAYBOOK: &str = "check_backend.yml";

impl Site {
    /// What the overlay adds to a run; none of it is started once `stop` is set.
    pub fn private_items(&self, stop: &Arc<AtomicBool>) -> Vec<Item> {
        let settings = &self.settings;
        let playbook_dir = settings.private_variables.as_deref();
        let secret = playbook_dir.map(|dir| dir.join("vault_secret"));
        private::items(Private {
            programs: settings.overlay.as_ref().map(|dir| dir.join("deliver.d")),
            playbook: playbook_dir.map(|dir| dir.join(PLAYBOOK)),
            runner: Runner {
                user: settings.user.clone(),
                functions: Functions {
                    dir: self.state.lib(),
                    program: std::env::current_exe().unwrap_or_else(|_| "wod".into()),
                },
                given: self.given(),
                timeout: settings.private_time,
                stop: Arc::clone(stop),
            },
            this_host: ThisHost {
                name: text(&self.scope, "inventory_hostname")
                    .unwrap_or_else(|| "localhost".to_owned()),
                groups: self.groups(),
                group: settings.group.clone().unwrap_or_default(),
                // Of an earlier item, or the site's own.
                vault_secret: secret.filter(|path| path.is_file()),
            },
        })
    }

    fn given(&self) -> Given {
        let scope = self.scope.clone();
        let secrets = self.secrets();
        Box::new(move || {
            let exports = scope.all_resolved().values;
            let value = |name: &str| scope.get(name).ok().flatten();
            let names = scope.names();
            Variables {
                values: names
                    .into_iter()
                    .filter_map(|name| Some((value(&name)?, name)))
                    .map(|(value, name)| (name, value))
                    .collect(),
                texts: exports
                    .into_iter()
                    .map(|export| (export.name, export.text))
                    .collect(),
                secrets: secrets.clone(),
            }
        })
    }

    fn groups(&self) -> Vec<String> {
        let value = self.scope.get("group_names").ok().flatten();
        let names = value.as_ref().and_then(|value| value.as_array());
        let names = names.into_iter().flatten();
        names
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect()
    }

    /// Past runs of deliver.
    pub fn history(&self) -> History {
        History::new(self.state.deliver())
    }

    pub fn post(&self) -> Post {
        Post::new(self.state.deliver())
    }

    /// Sends what waits for WODMONITOR; how many letters that were. Without one, or while another
    /// process sends them, nothing.
    pub fn send_letters(&self) -> Result<usize, Fault> {
        let post = self.post();
        if post.is_empty() {
            return Ok(0);
        }
        let (Some(notify), Some(_lock)) = (self.notify()?, self.state.lock_letters()?) else {
            return Ok(0);
        };
        post.send(notify.as_ref())
    }

    /// A letter about a run. Where there is no room to keep one, it is sent at once or never.
    pub fn tell_monitor(&self, run: &str, body: String) -> Result<(), Fault> {
        let Err(fault) = self.post().put(run, body.clone()) else {
            return Ok(());
        };
        match self.notify()? {
            Some(notify) => notify.send(post::SUBJECT, &body),
            None => Err(fault),
        }
    }

    /// Whether anybody is told of what fails.
    pub fn has_monitor(&self) -> bool {
        self.settings.monitor.is_some()
    }

    /// As programs and mails call this host.
    pub fn host_name(&self) -> String {
        let names = self.host_names();
        names.into_iter().nth(1).unwrap_or_default()
    }
}

/// Who started this process: the account that used sudo, or our own.
pub fn who_runs_this() -> String {
    let by_sudo = std::env::var("SUDO_USER").ok();
    let by_sudo = by_sudo.filter(|name| !name.is_empty() && name.len() <= 64);
    by_sudo.unwrap_or_else(super::our_name)
}

/// An inventory may be named relative to where we are.
pub fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
