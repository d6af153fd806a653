//! `wod render`: what a student would get of a file or a workshop. Touches nothing but `--out`.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use similar::TextDiff;

use crate::cli::{Exit, print_table};
use crate::content::{Preview, Publisher, include_below};
use crate::domain::{AskedWorkshop, Secret, Student, Variant};
use crate::ports::Fault;
use crate::safefs::{Cause, Dir};
use crate::site::{Site, Source};
use crate::templates::{Include, Renderer, Scope, TemplateError};

const ABOUT: &str = "\
Renders with the variables that the seat would have: the inventory, the workshop's, the seat's pass
file where you may read it, STDID, WORKSHOP, CHALLENGE and MODEWS. Neither a journal nor root is
needed, and nothing on this host changes.

A FILE goes to stdout. Of a WORKSHOP all templates are rendered and listed; --out writes them below
a new directory. What came out of a vault is masked on a terminal and in a --diff; in --out and in a
pipe it stands as the student would get it.

Examples:
  wod render WKSHP-API101 --student 12                   all of it, as a list
  wod render WKSHP-API101 --student 12 --out /tmp/seat12 look at the files
  wod render WKSHP-API101 --student 12 --challenge --diff
  wod render workshops/WKSHP-API101 --student 12         a directory, as in a checkout
  wod render workshops/WKSHP-API101/0-ReadMeFirst.ipynb --student 12
  wod render skel.sh.j2 --student 12 -e WODPOSTPORT=25";

const LARGEST: u64 = 64 << 20;
const MASK: &str = "******";

#[derive(clap::Args)]
#[command(after_help = ABOUT)]
pub struct Args {
    /// A template, the name of a workshop, or its directory
    #[arg(value_name = "FILE|WORKSHOP")]
    what: String,
    /// Local number of the student
    #[arg(long, value_name = "N")]
    student: Student,
    /// As the challenge variant (MODEWS is CHLG)
    #[arg(long)]
    challenge: bool,
    /// Workshop whose variables a FILE gets [default: the one whose directory it is in]
    #[arg(long, value_name = "WORKSHOP")]
    workshop: Option<AskedWorkshop>,
    /// Write the rendered files below this new directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show what rendering changes, as a unified diff
    #[arg(long, conflicts_with = "out")]
    diff: bool,
}

/// The last template that failed, with its text.
type Failed = RefCell<Option<(TemplateError, String)>>;

pub fn run(args: &Args, source: &Source) -> anyhow::Result<Exit> {
    let site = Site::load_as_author(source)?;
    let failed = Failed::default();
    let path = Path::new(&args.what);
    let rendered = match path.is_file() {
        true => file(args, &site, path, &failed),
        false => workshop(args, &site, &failed),
    };
    match (rendered, failed.take()) {
        (Ok((files, scope)), _) => {
            let secrets = || site.secrets_of(&scope);
            show(args, path.is_file(), &files, secrets)
        }
        (Err(_), Some((error, text))) => {
            errln!("wod: {error}");
            super::out::complain(format_args!("{}", excerpt(&error, &text)));
            Ok(Exit::Failed)
        }
        (Err(error), None) => Err(error),
    }
}

type Rendered = (Vec<Preview>, Scope);

fn file(args: &Args, site: &Site, path: &Path, failed: &Failed) -> anyhow::Result<Rendered> {
    let path = std::path::absolute(path)?;
    let in_workshop = path.ancestors().skip(1).find_map(|dir| {
        let name = dir.file_name()?.to_str()?;
        Some((dir, name.parse::<AskedWorkshop>().ok()?))
    });
    let asked = args
        .workshop
        .clone()
        .or(in_workshop.as_ref().map(|found| found.1.clone()));
    let asked = asked.map(|asked| variant(args, asked));
    let dir = path.parent().context("a file stands in a directory")?;
    let root = in_workshop.as_ref().map_or(dir, |(root, _)| root);
    let below = path.strip_prefix(root)?;
    let tree = Dir::open_root(root)?;
    let text = String::from_utf8(tree.read(below, LARGEST)?)
        .with_context(|| format!("{} is not UTF-8 text; templates have to be", args.what))?;
    let include = include_below(tree, below.parent(), site.reader(dir));
    let scope = site.preview_scope(asked.as_ref(), args.student)?;
    let renderer = Renderer::new(scope.clone());
    let rendered = render(&renderer, &args.what, &text, Some(include), failed)?;
    let preview = Preview {
        path: path.file_name().unwrap_or_default().into(),
        mode: 0o644,
        template: text,
        rendered,
    };
    Ok((vec![preview], scope))
}

fn workshop(args: &Args, site: &Site, failed: &Failed) -> anyhow::Result<Rendered> {
    let (asked, publisher) = match Path::new(&args.what).is_dir() {
        true => of_directory(args, site)?,
        false => (args.what.parse().ok(), site.preview_publisher()),
    };
    let asked = asked.with_context(|| {
        format!(
            "{} is neither a file nor a workshop (WKSHP-…, its name or its directory); \
             run wod workshops list",
            args.what
        )
    })?;
    let asked = variant(args, asked);
    let scope = site.preview_scope(Some(&asked), args.student)?;
    let renderer = Renderer::new(scope.clone());
    let render = |name: &str, text: &str, include: Option<Include>| {
        render(&renderer, name, text, include, failed)
    };
    let files = publisher.preview(&asked.name, &render)?;
    Ok((files, scope))
}

/// The workshop whose directory somebody named, as an author has it in a checkout.
fn of_directory(args: &Args, site: &Site) -> anyhow::Result<(Option<AskedWorkshop>, Publisher)> {
    // `.` has no name of its own.
    let dir = Path::new(&args.what).canonicalize();
    let dir = dir.with_context(|| format!("{} cannot be looked at", args.what))?;
    let name = dir.file_name().and_then(|name| name.to_str());
    let above = dir.parent().unwrap_or(&dir);
    Ok((
        name.and_then(|name| name.parse().ok()),
        site.preview_publisher_of(above),
    ))
}

fn variant(args: &Args, mut asked: AskedWorkshop) -> AskedWorkshop {
    if args.challenge {
        asked.variant = Variant::Challenge;
    }
    asked
}

fn render(
    renderer: &Renderer,
    name: &str,
    text: &str,
    include: Option<Include>,
    failed: &Failed,
) -> Result<String, Fault> {
    let renderer = match include {
        Some(include) => renderer.including(include),
        None => renderer.clone(),
    };
    renderer.render(name, text).map_err(|error| {
        let fault = Fault::permanent(format!("template {name} cannot be rendered")).because(&error);
        // What is wrong in another file has no line here.
        let text = if error.name == name { text } else { "" };
        failed.replace(Some((error, text.to_owned())));
        fault
    })
}

/// The line of the template, with a sign below the place.
fn excerpt(error: &TemplateError, text: &str) -> String {
    let Some(line) = error
        .line
        .checked_sub(1)
        .and_then(|at| text.lines().nth(at))
    else {
        return String::new();
    };
    const WIDTH: usize = 120;
    let place = error.column.map_or(0, |column| column - 1);
    // A notebook's line may hold a whole picture.
    let from = place.saturating_sub(WIDTH / 2);
    let shown: String = line.chars().skip(from).take(WIDTH).collect();
    let number = error.line.to_string();
    let gap = " ".repeat(number.len());
    let mut made = format!("{gap} |\n{number} | {shown}\n");
    if error.column.is_some() {
        let blanks: String = shown
            .chars()
            .take(place - from)
            .map(|char| if char == '\t' { '\t' } else { ' ' })
            .collect();
        made.push_str(&format!("{gap} | {blanks}^\n"));
    }
    made
}

fn show(
    args: &Args,
    is_file: bool,
    files: &[Preview],
    secrets: impl Fn() -> Vec<Secret>,
) -> anyhow::Result<Exit> {
    if let Some(out) = &args.out {
        write(out, files)?;
        outln!("{} file(s) written to {}", files.len(), out.display());
        return Ok(Exit::Done);
    }
    let to_terminal = std::io::stdout().is_terminal();
    if args.diff {
        let secrets = secrets();
        for file in files {
            let path = file.path.display();
            let diff = TextDiff::from_lines(&file.template, &file.rendered)
                .unified_diff()
                .header(&format!("template/{path}"), &format!("rendered/{path}"))
                .to_string();
            out!("{}", masked(&diff, &secrets));
        }
    } else if is_file {
        for file in files {
            let text = match to_terminal {
                true => masked(&file.rendered, &secrets()),
                false => file.rendered.clone(),
            };
            out!("{text}");
        }
    } else {
        list(files);
    }
    Ok(Exit::Done)
}

fn list(files: &[Preview]) {
    let mut rows = vec![
        ["file", "bytes", "changed lines"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(files.iter().map(|file| {
        let changed = TextDiff::from_lines(&file.template, &file.rendered);
        let changed = changed
            .iter_all_changes()
            .filter(|change| change.tag() == similar::ChangeTag::Insert)
            .count();
        vec![
            file.path.display().to_string(),
            file.rendered.len().to_string(),
            changed.to_string(),
        ]
    }));
    print_table(&rows);
}

fn masked(text: &str, secrets: &[Secret]) -> String {
    const SHORTEST: usize = 4;
    let mut texts: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    texts.retain(|secret| secret.len() >= SHORTEST);
    // A long one may hold a short one.
    texts.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    texts
        .into_iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

fn write(out: &Path, files: &[Preview]) -> anyhow::Result<()> {
    let out = std::path::absolute(out)?;
    let (Some(above), Some(name)) = (out.parent(), out.file_name()) else {
        bail!("--out takes a new directory, not {}", out.display());
    };
    let above = Dir::open_root(above)?;
    let there = match above.stat(name.as_ref()) {
        Err(e) if matches!(e.cause(), Cause::Mount) => true,
        stat => stat?.is_some(),
    };
    if there {
        bail!(
            "{} is there already; --out takes a new directory",
            out.display()
        );
    }
    let place = above.make_dir(name.as_ref(), 0o700)?;
    for file in files {
        if let Some(dir) = file.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            place.make_dir(dir, 0o700)?;
        }
        place.write(&file.path, file.rendered.as_bytes(), file.mode)?;
    }
    Ok(())
}
