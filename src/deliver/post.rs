//! Mail about runs that failed, kept below WODSTATEDIR/private/deliver/letters until a mail server has
//! taken it: the run itself tries, then the next one, and a `wod serve` that runs here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::Time;
use crate::ports::{Disposition, Fault, Notify};
use crate::safefs::Dir;

use super::history::Past;
use super::item::Outcome;
use super::place::of_files;

pub const SUBJECT: &str = "ERROR in wod-deliver";
/// Letters that wait; of more, the oldest go.
const MOST: usize = 20;
const LARGEST: usize = 128 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    subject: String,
    body: String,
}

#[derive(Debug, Clone)]
pub struct Post {
    root: PathBuf,
}

impl Post {
    /// `root` is deliver's directory.
    pub fn new(root: PathBuf) -> Post {
        Post { root }
    }

    /// On the disk when this is done. A run has one letter, whoever writes it how often.
    pub fn put(&self, run: &str, body: String) -> Result<(), Fault> {
        let parent = self.root.parent().unwrap_or(&self.root);
        let own = Path::new(self.root.file_name().unwrap_or_default());
        let dir = Dir::open_root(parent)
            .and_then(|dir| dir.make_dir(own, 0o700))
            .and_then(|dir| dir.make_dir(Path::new("letters"), 0o700))
            .map_err(|e| of_files(&self.root, &e))?;
        let mut waiting = names(&dir)?;
        waiting.retain(|name| name != run);
        for old in waiting.iter().take(waiting.len().saturating_sub(MOST - 1)) {
            let _ = dir.remove_file(&file(old));
        }
        let letter = Letter {
            subject: SUBJECT.to_owned(),
            body,
        };
        let text = serde_json::to_vec(&letter)
            .map_err(|e| Fault::permanent("a letter cannot be written").because(&e))?;
        dir.write_durable(&file(run), &text, 0o600)
            .map_err(|e| of_files(dir.path(), &e))
    }

    pub fn is_empty(&self) -> bool {
        let dir = self.dir().ok().flatten();
        dir.is_none_or(|dir| names(&dir).is_ok_and(|all| all.is_empty()))
    }

    /// Oldest first; how many were sent. What cannot be sent stays.
    pub fn send(&self, notify: &dyn Notify) -> Result<usize, Fault> {
        let Some(dir) = self.dir()? else { return Ok(0) };
        let (mut sent, mut refused) = (0, None);
        for name in names(&dir)? {
            let name = file(&name);
            let bytes = dir
                .read(&name, 2 * LARGEST as u64)
                .map_err(|e| of_files(&name, &e))?;
            let Ok(letter) = serde_json::from_slice::<Letter>(&bytes) else {
                // Nobody could ever send it.
                let _ = dir.remove_file(&name);
                continue;
            };
            match notify.send(&letter.subject, &letter.body) {
                Ok(()) => {
                    dir.remove_file(&name).map_err(|e| of_files(&name, &e))?;
                    sent += 1;
                }
                // The others would wait for the same server.
                Err(fault) if fault.disposition == Disposition::Retry => return Err(fault),
                Err(fault) => refused = Some(fault),
            }
        }
        refused.map_or(Ok(sent), Err)
    }

    fn dir(&self) -> Result<Option<Dir>, Fault> {
        let path = self.root.join("letters");
        match Dir::open_root(&path) {
            Err(e) if e.is_not_found() => Ok(None),
            opened => opened.map(Some).map_err(|e| of_files(&path, &e)),
        }
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("{name}.json"))
}

/// Oldest first: runs are numbered.
fn names(dir: &Dir) -> Result<Vec<String>, Fault> {
    let entries = dir.entries().map_err(|e| of_files(dir.path(), &e))?;
    let mut names: Vec<String> = entries
        .iter()
        .filter_map(|entry| Some(entry.name.to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort_by_key(|name| (name.parse().unwrap_or(u64::MAX), name.clone()));
    Ok(names)
}

/// What the admin is told of a run in which something failed. Of masked events only.
pub fn body(host: &str, past: &Past) -> String {
    let Past { run, begun, .. } = past;
    let ended = past.end.as_ref().map_or(begun.at, |end| end.at);
    let tags = match begun.tags.is_empty() {
        true => "all".to_owned(),
        false => begun.tags.join(", "),
    };
    let mut text = format!(
        "wod deliver on {host}: run {run} has failed items; all others were done.\n\
         begun     {} by {}\n\
         took      {:.1} s\n\
         tags      {tags}\n\
         look      wod deliver history show {run}\n\
         go on     wod deliver\n",
        begun.at,
        begun.by,
        ended.since(begun.at).as_secs_f64(),
    );
    text += "\nFailed\n";
    past.all(Outcome::Failed)
        .for_each(|event| text += &entry(event));
    text += "\nRecap\n";
    if let Some(end) = &past.end {
        text += &recap(&end.recap);
    }
    text += "\nLog\n";
    past.events.iter().for_each(|event| text += &line(event));
    bounded(text)
}

/// A run that never began, or did not come to its end.
pub fn not_begun(host: &str, why: &str) -> String {
    let now = Time::now();
    format!(
        "wod deliver on {host} did not run to its end ({why}); it was seen at {now}.\n\
         what it said is in the log of wod serve\n\
         look      wod deliver --check\n"
    )
}

fn bounded(mut text: String) -> String {
    if text.len() > LARGEST {
        let at = (0..=LARGEST).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(at.unwrap_or(0));
        text += "\n[the rest is in the history]\n";
    }
    text
}

fn word<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_default()
}

/// `failed   system    file /etc/x: why`
pub fn line(event: &Value) -> String {
    format!(
        "{:8} {:9} {}: {}\n",
        word(event, "outcome"),
        word(event, "tag"),
        word(event, "item"),
        word(event, "line")
    )
}

/// The line, and below it what a program printed.
pub fn entry(event: &Value) -> String {
    let printed = word(event, "output").lines();
    let printed = printed.map(|line| format!("    | {line}\n"));
    line(event) + &printed.collect::<String>()
}

/// A line per tag.
pub fn recap(recap: &Value) -> String {
    let tags = recap["recap"].as_object().into_iter().flatten();
    let lines = tags.map(|(tag, count)| {
        let counts = Outcome::ALL
            .map(|outcome| format!("{}={}", outcome.as_str(), count[outcome.as_str()]))
            .join(" ");
        format!("{tag:9} {counts}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes mails until it has so many.
    struct Server(usize, Mutex<Vec<String>>);

    impl Notify for Server {
        fn send(&self, subject: &str, body: &str) -> Result<(), Fault> {
            let mut taken = self.1.lock().unwrap();
            if taken.len() >= self.0 {
                return Err(Fault::retry("not now"));
            }
            assert_eq!(subject, SUBJECT);
            taken.push(body.to_owned());
            Ok(())
        }
    }

    #[test]
    fn letters_wait_for_a_server_and_are_sent_once() {
        let dir = tempfile::tempdir().unwrap();
        let post = Post::new(dir.path().join("deliver"));
        assert!(post.is_empty());
        for run in ["9", "10", "11"] {
            post.put(run, format!("of run {run}")).unwrap();
        }
        post.put("10", "again".to_owned()).unwrap();
        assert!(!post.is_empty());
        let down = Server(2, Mutex::default());
        assert_eq!(post.send(&down).unwrap_err().line(), "not now");
        let up = Server(9, Mutex::default());
        assert_eq!(post.send(&up).unwrap(), 1);
        assert_eq!(*down.1.lock().unwrap(), ["of run 9", "again"]);
        assert_eq!(*up.1.lock().unwrap(), ["of run 11"]);
        assert!(post.is_empty());
        for run in 1..=50 {
            post.put(&run.to_string(), String::new()).unwrap();
        }
        let all = names(&post.dir().unwrap().unwrap()).unwrap();
        assert_eq!((all.len(), all[0].as_str()), (MOST, "31"));
    }
}
