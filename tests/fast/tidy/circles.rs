//! A room can be read from the bottom up: of the modules in one directory, none leads back to itself.
//!
//! A module is its file and all below it. What a room's own file hands on with `use` counts as the
//! module it comes from; what is defined in that file is common to the room.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, read_all};

/// A module's name with those around it: `deliver`, `students`, `seats`.
type Path = Vec<String>;

/// What a module names of its neighbours, and the first place where it does.
type Neighbours<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// A room, and of the modules in it the one that names the other.
type Arrow<'a> = (&'a [String], &'a str, &'a str);

/// More often nothing is handed on.
const HANDED_ON: usize = 8;

/// One line for each circle, with all that ties it.
pub fn find(sources: &[Source]) -> Vec<String> {
    let house = House::of(sources);
    let mut rooms: BTreeMap<&[String], Neighbours> = BTreeMap::new();
    for (own, source) in &house.files {
        for (place, path) in named(source, own) {
            let Some((room, from, to)) = house.arrow(own, path) else {
                continue;
            };
            let arrows = rooms.entry(room).or_default().entry(from).or_default();
            arrows.entry(to).or_insert_with(|| source.at(place));
        }
    }
    let found = rooms.iter().flat_map(|(room, neighbours)| {
        let circles = circles(neighbours).into_iter();
        circles.map(move |circle| told(room, &circle, neighbours))
    });
    found.collect()
}

fn told(room: &[String], circle: &BTreeSet<&str>, neighbours: &Neighbours) -> String {
    let arrows = circle.iter().flat_map(|from| {
        let inside = neighbours[from]
            .iter()
            .filter(|(to, _)| circle.contains(*to));
        inside.map(move |(to, place)| format!("{from} -> {to} ({place})"))
    });
    format!(
        "{} has a circle: {}; move what both need into the lower one, or join what is one thing",
        room.join("::"),
        arrows.collect::<Vec<_>>().join(", ")
    )
}

/// The sets of modules each of which leads to every other.
fn circles<'a>(neighbours: &Neighbours<'a>) -> BTreeSet<BTreeSet<&'a str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = neighbours
        .keys()
        .map(|from| (*from, reached(from, neighbours)))
        .collect();
    let around = reach.iter().filter(|(own, there)| there.contains(*own));
    let circle = |(own, there): (&&'a str, &BTreeSet<&'a str>)| {
        let back = |other: &&&str| reach.get(*other).is_some_and(|back| back.contains(own));
        there.iter().filter(back).copied().collect()
    };
    around.map(circle).collect()
}

fn reached<'a>(from: &'a str, neighbours: &Neighbours<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(one) = open.pop() {
        let next = neighbours.get(one).into_iter().flat_map(BTreeMap::keys);
        open.extend(next.filter(|next| found.insert(**next)).copied());
    }
    found
}

struct House<'a> {
    files: BTreeMap<Path, &'a Source>,
    /// What each file's `use` lines bring in, by the name that it has there.
    brought: BTreeMap<Path, BTreeMap<String, Path>>,
}

impl<'a> House<'a> {
    fn of(sources: &'a [Source]) -> House<'a> {
        let files = sources.iter().filter_map(|source| {
            let path = source.path.strip_prefix("src/")?.strip_suffix(".rs")?;
            let own: Path = path.split('/').map(str::to_owned).collect();
            (path != "lib" && path != "main").then_some((own, source))
        });
        let mut house = House {
            files: files.collect(),
            brought: BTreeMap::new(),
        };
        let brought = house.files.iter().map(|(own, source)| {
            let uses = source.words("use").into_iter();
            let trees = uses.flat_map(|at| tree(&source.code[at + "use".len()..]));
            let here = trees.map(|(path, name)| (name, house.whole(own, path)));
            (own.clone(), here.collect())
        });
        house.brought = brought.collect();
        house
    }

    /// From the crate's root, where the path begins with one of ours.
    fn whole(&self, own: &[String], path: Path) -> Path {
        let first = path.first().map_or("", String::as_str);
        let child = [own, &[first.to_owned()]].concat();
        match first {
            "crate" | "super" | "self" => from_root(own, path),
            _ if self.files.contains_key(&child) => [own, &path].concat(),
            _ => path,
        }
    }

    /// The room in which both modules are, which one names, and which is named.
    fn arrow<'h>(&'h self, own: &'h [String], path: Path) -> Option<Arrow<'h>> {
        let path = self.at_home(path);
        let same = own.iter().zip(&path).take_while(|(a, b)| a == b).count();
        let (to, _) = self.files.get_key_value(path.get(..=same)?)?;
        let (room, from, to) = (&own[..same], own.get(same)?, to.last()?);
        (same > 0).then_some((room, from, to))
    }

    /// Where it comes from, when a module on the way only hands it on.
    fn at_home(&self, mut path: Path) -> Path {
        for _ in 0..HANDED_ON {
            match (1..path.len()).find_map(|at| self.handed_on(&path, at)) {
                Some(from) => path = from,
                None => break,
            }
        }
        path
    }

    fn handed_on(&self, path: &[String], at: usize) -> Option<Path> {
        if self.files.contains_key(&path[..=at]) {
            return None;
        }
        let from = self.brought.get(&path[..at])?.get(&path[at])?;
        Some([from, &path[at + 1..]].concat())
    }
}

/// All paths of a file that begin with one of the words for where it is itself.
fn named(source: &Source, own: &[String]) -> Vec<(usize, Path)> {
    let mut found = Vec::new();
    for word in ["crate::", "super::", "self::"] {
        for place in source.words(word) {
            // A longer climb is found at its first step.
            if !source.code[..place].ends_with("::") {
                let paths = tree(&source.code[place..]).into_iter();
                found.extend(paths.map(|(path, _)| (place, from_root(own, path))));
            }
        }
    }
    found.sort_unstable();
    found
}

fn from_root(own: &[String], path: Path) -> Path {
    let mut around = own.to_vec();
    let mut rest = path.into_iter().peekable();
    while let Some(word) = rest.next_if(|word| matches!(word.as_str(), "crate" | "super" | "self"))
    {
        match word.as_str() {
            "crate" => around.clear(),
            "super" => drop(around.pop()),
            _ => {}
        }
    }
    around.extend(rest);
    around
}

/// The paths of a `use`, or the one of an expression, each with the name that it gets.
fn tree(code: &str) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    branch(code.trim_start(), &[], &mut found);
    found
}

/// Returns what comes after it.
fn branch<'a>(code: &'a str, before: &[String], found: &mut Vec<(Path, String)>) -> &'a str {
    let mut path = before.to_vec();
    let mut rest = code;
    loop {
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.starts_with('}') && !rest.is_empty() {
                rest = branch(rest, &path, found).trim_start();
                match rest.strip_prefix(',') {
                    Some(next) => rest = next.trim_start(),
                    None => break,
                }
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        match rest.strip_prefix("::") {
            Some(more) if end > 0 => rest = more,
            _ => break,
        }
    }
    // `a::{self}` is a.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let alias = rest.trim_start().strip_prefix("as ").map(str::trim_start);
    let name = match alias {
        Some(alias) => {
            let end = alias.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, after) = alias.split_at(end.unwrap_or(alias.len()));
            rest = after;
            name.to_owned()
        }
        None => path.last().cloned().unwrap_or_default(),
    };
    found.push((path, name));
    rest
}

#[test]
fn no_room_has_a_circle() {
    let sources = read_all(&["src"], &["rs"]);
    assert!(sources.len() > 50, "where are the files?");
    let wrong = find(&sources);
    assert!(
        wrong.is_empty(),
        "{} circles:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

fn of(files: &[(&str, &str)]) -> Vec<String> {
    let source = |(path, code): &(&str, &str)| Source::new(&format!("src/{path}.rs"), code);
    find(&files.iter().map(source).collect::<Vec<_>>())
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let room = (
        "a",
        "mod b; mod c; mod d; pub use c::{C, x as y}; use d::*;",
    );
    for (name, files, told) in [
        (
            "by names",
            vec![
                ("a/b", "\nuse super::c::C;"),
                ("a/c", "fn c() { super::b::b() }"),
            ],
            "a has a circle: b -> c (src/a/b.rs:2), c -> b (src/a/c.rs:1); move",
        ),
        (
            "from the root, in a group",
            vec![
                ("a/b", "use crate::{x::{self, Y}, a::{D, c}};"),
                ("a/c", "use crate::a::b;"),
            ],
            "b -> c (src/a/b.rs:1), c -> b",
        ),
        (
            "by what the room hands on",
            vec![("a/b", "use super::C;"), ("a/c", "use self::super::b::B;")],
            "b -> c (src/a/b.rs:1), c -> b",
        ),
        (
            "under another name",
            vec![
                ("a/b", "fn b() { super::y() }"),
                ("a/c", "use super::b::B;"),
            ],
            "b -> c (src/a/b.rs:1), c -> b",
        ),
        (
            "over three",
            vec![
                ("a/b", "use super::c;"),
                ("a/c", "use super::d;"),
                ("a/d", "use super::b;"),
            ],
            "b -> c (src/a/b.rs:1), c -> d (src/a/c.rs:1), d -> b",
        ),
        (
            "from further in",
            vec![
                ("a/b/e", "use super::super::c;"),
                ("a/b", "mod e;"),
                ("a/c", "use super::b::e::E;"),
            ],
            "b -> c (src/a/b/e.rs:1), c -> b",
        ),
    ] {
        let found = of(&[&[room, ("x", "")], files.as_slice()].concat());
        assert!(
            found.len() == 1 && found[0].contains(told),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn what_is_no_circle_is_none() {
    for (name, files) in [
        (
            "a room and what is in it",
            vec![
                ("a", "mod b; use b::B; pub struct A;"),
                ("a/b", "use super::A; use crate::a::A;"),
            ],
        ),
        (
            "down only",
            vec![
                ("a", "mod b; mod c;"),
                ("a/b", "use super::c;"),
                ("a/c", "use std::b;"),
            ],
        ),
        (
            "in words and tests",
            vec![
                ("a/b", "use super::c;"),
                (
                    "a/c",
                    "// super::b\n#[cfg(test)]\nmod tests { use crate::a::b; }",
                ),
            ],
        ),
        (
            "the same names in two rooms",
            vec![
                ("a/b", "use super::c;"),
                ("x/c", "use super::b;"),
                ("x/b", ""),
                ("a/c", ""),
            ],
        ),
    ] {
        assert_eq!(of(&files), [""; 0], "{name}");
    }
}
