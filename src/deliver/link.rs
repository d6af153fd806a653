//! A symbolic link of the host's own.

use std::path::PathBuf;

use crate::ports::Fault;
use crate::safefs::Kind;

use super::item::{Change, Resource};
use super::place::Place;

#[derive(Clone)]
pub struct Link {
    pub path: PathBuf,
    pub to: PathBuf,
}

impl Resource for Link {
    fn name(&self) -> String {
        format!("link {}", self.path.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let place = Place::open(&self.path)?;
        let before = match place.stat()? {
            None => "nothing".to_owned(),
            Some(stat) if stat.kind == Kind::Link => {
                let there = place.read_link()?;
                if there == self.to {
                    return Ok(Vec::new());
                }
                there.display().to_string()
            }
            Some(stat) => {
                return Err(Fault::permanent(format!(
                    "{} is no link but a {:?}; move it away",
                    self.path.display(),
                    stat.kind
                )));
            }
        };
        Ok(vec![Box::new(Point {
            before,
            link: self.clone(),
        })])
    }
}

struct Point {
    before: String,
    link: Link,
}

impl Change for Point {
    fn line(&self) -> String {
        format!("{} -> {}", self.before, self.link.to.display())
    }

    fn apply(&self) -> Result<(), Fault> {
        Place::open(&self.link.path)?.symlink(&self.link.to)
    }
}
