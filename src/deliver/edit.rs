//! Lines of ours in a file that is somebody else's: between two marks, or settings by their names.
//! All other lines stay as they are.

use crate::ports::Fault;
use crate::safefs::Owner;

use super::item::{Change, Resource, Texts};
use super::target::Target;

#[derive(Clone)]
pub struct Edit {
    /// Its owner and mode are for a file that has to be made; one that is there keeps its own.
    pub target: Target,
    pub ours: Ours,
}

#[derive(Clone)]
pub enum Ours {
    Block {
        /// Lines, each with its newline.
        text: String,
        /// In front of the marks, `#` in most files.
        comment: String,
    },
    /// `name = value`, as in Postfix' main.cf: a line that begins with a blank goes on with the
    /// one before.
    Settings(Vec<(String, String)>),
}

impl Resource for Edit {
    fn name(&self) -> String {
        let path = self.target.path.display();
        match self.ours {
            Ours::Block { .. } => format!("block in {path}"),
            Ours::Settings(_) => format!("settings in {path}"),
        }
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let seen = self.target.look()?;
        let bytes = seen.as_ref().map(|seen| seen.bytes.clone());
        let before = String::from_utf8(bytes.unwrap_or_default()).map_err(|e| {
            let shown = self.target.path.display();
            Fault::permanent(format!("{shown} is not UTF-8, so no line is changed in it"))
                .because(&e)
        })?;
        let after = match &self.ours {
            Ours::Block { text, comment } => with_block(&before, comment, text),
            Ours::Settings(settings) => {
                settings.iter().fold(before.clone(), |text, (name, value)| {
                    with_setting(&text, name, value)
                })
            }
        };
        if after == before && seen.is_some() {
            return Ok(Vec::new());
        }
        let kept = seen.map(|seen| {
            let owner = Owner {
                uid: seen.stat.uid,
                gid: seen.stat.gid,
            };
            (owner, seen.stat.mode)
        });
        Ok(vec![Box::new(Put {
            target: self.target.clone(),
            texts: Texts { before, after },
            kept,
        })])
    }
}

struct Put {
    target: Target,
    texts: Texts,
    /// Owner and mode that the file has.
    kept: Option<(Owner, u32)>,
}

impl Change for Put {
    fn line(&self) -> String {
        let what = match self.kept {
            None => "file made with our lines",
            Some(_) => "our lines",
        };
        format!("{what}{}", self.target.untried())
    }

    fn texts(&self) -> Option<Texts> {
        Some(self.texts.clone())
    }

    fn apply(&self) -> Result<(), Fault> {
        let before = self.kept.map(|_| self.texts.before.as_bytes());
        self.target.replace(before, &self.texts.after, self.kept)
    }
}

/// The text with one setting: in the place of its last line, as that is the one that counts, else
/// at the end.
fn with_setting(before: &str, name: &str, value: &str) -> String {
    let wanted = format!("{name} = {value}\n");
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let is_it = |line: &&str| {
        let (left, _) = line.split_once('=').unwrap_or_default();
        !line.starts_with([' ', '\t', '#']) && left.trim_end() == name
    };
    let Some(first) = lines.iter().rposition(is_it) else {
        let newline = match before.is_empty() || before.ends_with('\n') {
            true => "",
            false => "\n",
        };
        return format!("{before}{newline}{wanted}");
    };
    let rest = &lines[first + 1..];
    let goes_on = |line: &&&str| line.starts_with([' ', '\t']) && !line.trim().is_empty();
    let more = rest.iter().take_while(goes_on).count();
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let now = lines[first..=first + more].concat();
    let said = now.split_once('=').map_or("", |(_, said)| said);
    if words(said) == words(value) {
        return before.to_owned();
    }
    let (above, below) = (lines[..first].concat(), rest[more..].concat());
    format!("{above}{wanted}{below}")
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
    fn a_setting_is_replaced_where_it_counts() {
        let text = "# a = 0\na = 1\nb = x,\n  y\n\na = 2\n";
        assert_eq!(
            with_setting(text, "a", "3"),
            "# a = 0\na = 1\nb = x,\n  y\n\na = 3\n"
        );
        assert_eq!(with_setting(text, "b", "x, y"), text);
        assert_eq!(
            with_setting(text, "b", "z"),
            "# a = 0\na = 1\nb = z\n\na = 2\n"
        );
        assert_eq!(with_setting("a = 1", "c", "d"), "a = 1\nc = d\n");
    }

    #[test]
    fn a_lost_end_takes_nobody_elses_lines() {
        let whole = with_block("a\n", "#", "x\ny\n");
        let cut = whole.replace("# end of what wod deliver keeps here\n", "") + "theirs\n";
        let mended = with_block(&cut, "#", "x\ny\n");
        assert_eq!(mended, whole + "theirs\n");
    }
}
