//! A file with content, owner and mode.

use crate::ports::Fault;

use super::item::{Change, Resource, Texts};
use super::target::Target;

#[derive(Clone)]
pub struct File {
    pub target: Target,
    /// Or why there is none: a template beside the manifest that cannot be rendered.
    pub content: Result<String, String>,
    /// Its content is not shown.
    pub secret: bool,
}

impl Resource for File {
    fn name(&self) -> String {
        format!("file {}", self.target.path.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let target = &self.target;
        let content = self.content.clone().map_err(Fault::permanent)?;
        let seen = target.look()?;
        let line = match &seen {
            None => format!("made, mode {:04o}{}", target.mode, target.untried()),
            Some(seen) if seen.bytes != content.as_bytes() => {
                format!("content{}", target.untried())
            }
            Some(seen) if target.is_ours(&seen.stat) => return Ok(Vec::new()),
            Some(seen) => format!(
                "owner and mode {}:{} {:04o} -> {}:{} {:04o}",
                seen.stat.uid,
                seen.stat.gid,
                seen.stat.mode,
                target.owners.user,
                target.owners.group,
                target.mode
            ),
        };
        Ok(vec![Box::new(Write {
            line,
            before: seen.map(|seen| seen.bytes),
            after: content,
            secret: self.secret,
            target: target.clone(),
        })])
    }
}

struct Write {
    line: String,
    before: Option<Vec<u8>>,
    after: String,
    secret: bool,
    target: Target,
}

impl Change for Write {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn texts(&self) -> Option<Texts> {
        let before = self.before.as_deref().unwrap_or_default();
        let differs = before != self.after.as_bytes();
        (differs && !self.secret).then(|| Texts {
            before: String::from_utf8_lossy(before).into_owned(),
            after: self.after.clone(),
        })
    }

    fn apply(&self) -> Result<(), Fault> {
        self.target
            .replace(self.before.as_deref(), &self.after, None)
    }
}
