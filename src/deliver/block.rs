//! Lines of ours in a file that is somebody else's: between two marks, all others stay as they are.

use std::path::PathBuf;

use crate::ports::Fault;
use crate::safefs::{Kind, Owner};

use super::item::{Change, Resource, Texts};
use super::ledger::Ledger;
use super::place::{Owners, Place, of_files};

#[derive(Clone)]
pub struct Block {
    pub path: PathBuf,
    /// Lines, each with its newline.
    pub text: String,
    /// In front of the marks, `#` in most files.
    pub comment: String,
    /// Who gets a file that has to be made; one that is there keeps its owner and mode.
    pub owners: Owners,
    pub mode: u32,
    pub ledger: Ledger,
}

impl Resource for Block {
    fn name(&self) -> String {
        format!("block in {}", self.path.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let place = Place::open(&self.path)?;
        let seen = match place.stat()? {
            None => None,
            Some(stat) if stat.kind == Kind::File => Some((place.read()?, stat)),
            Some(stat) => {
                return Err(Fault::permanent(format!(
                    "{} is no file but a {:?}; move it away",
                    self.path.display(),
                    stat.kind
                )));
            }
        };
        let before = seen
            .as_ref()
            .map(|(bytes, _)| &bytes[..])
            .unwrap_or_default();
        let before = String::from_utf8(before.to_vec()).map_err(|e| {
            let shown = self.path.display();
            Fault::permanent(format!("{shown} is not UTF-8, so no line is changed in it"))
                .because(&e)
        })?;
        let after = with_block(&before, &self.comment, &self.text);
        if after == before {
            return Ok(Vec::new());
        }
        let own = seen.map(|(_, stat)| {
            let owner = Owner {
                uid: stat.uid,
                gid: stat.gid,
            };
            (owner, stat.mode)
        });
        Ok(vec![Box::new(Put {
            block: self.clone(),
            texts: Texts { before, after },
            own,
        })])
    }
}

struct Put {
    block: Block,
    texts: Texts,
    /// Owner and mode that the file has.
    own: Option<(Owner, u32)>,
}

impl Change for Put {
    fn line(&self) -> String {
        match self.own {
            None => "file made with our lines".to_owned(),
            Some(_) => "our lines".to_owned(),
        }
    }

    fn texts(&self) -> Option<Texts> {
        Some(self.texts.clone())
    }

    fn apply(&self) -> Result<(), Fault> {
        let block = &self.block;
        let (owner, mode) = match self.own {
            Some(own) => {
                let before = self.texts.before.as_bytes();
                block.ledger.keep_first(&block.path, before)?;
                own
            }
            None => (block.owners.resolve()?, block.mode),
        };
        let place = Place::open(&block.path)?;
        place
            .dir()?
            .write_owned(&place.name, self.texts.after.as_bytes(), mode, owner)
            .map_err(|e| of_files(&block.path, &e))
    }
}

/// The text with our lines: where they were, else at the end. A begin without an end is ours up to
/// the last line that it has of the wanted ones.
fn with_block(before: &str, comment: &str, text: &str) -> String {
    let begin = format!("{comment} begin of what wod deliver keeps here");
    let end = format!("{comment} end of what wod deliver keeps here");
    let ours = format!("{begin}\n{text}{end}\n");
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let at = |mark: &str| lines.iter().position(|line| line.trim_end() == mark);
    let Some(first) = at(&begin) else {
        let newline = match before.is_empty() || before.ends_with('\n') {
            true => "",
            false => "\n",
        };
        return format!("{before}{newline}{ours}");
    };
    let last = match at(&end).filter(|&last| last > first) {
        Some(last) => last,
        None => {
            let rest = lines[first + 1..].iter();
            first + rest.take_while(|line| text.contains(**line)).count()
        }
    };
    let kept = |lines: &[&str]| lines.concat();
    format!(
        "{}{ours}{}",
        kept(&lines[..first]),
        kept(&lines[last + 1..])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays() {
        let once = with_block("a\nb", "#", "x\ny\n");
        assert!(once.starts_with("a\nb\n# begin"), "{once}");
        assert_eq!(with_block(&once, "#", "x\ny\n"), once);
        let more = format!("{once}c\n");
        let other = with_block(&more, "#", "z\n");
        assert!(
            other.ends_with("z\n# end of what wod deliver keeps here\nc\n"),
            "{other}"
        );
        assert!(!other.contains("x\n"), "{other}");
    }

    #[test]
    fn a_lost_end_takes_nobody_elses_lines() {
        let whole = with_block("a\n", "#", "x\ny\n");
        let cut = whole.replace("# end of what wod deliver keeps here\n", "") + "theirs\n";
        let mended = with_block(&cut, "#", "x\ny\n");
        assert_eq!(mended, whole + "theirs\n");
    }
}
