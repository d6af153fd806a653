//! A workshop's files in a home: copied, and the templates among them rendered.
//!
//! The workshop is read with WODUSER's rights only, so that a link or a file of its author
//! cannot show a student what WODUSER may not see.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::domain::{AskedWorkshop, WorkshopName};
use crate::ports::Fault;
use crate::safefs::{self, CopyOptions, Decision, Dir, Kind};
use crate::templates::Include;

use super::Admin;

const README: &str = "0-ReadMeFirst.ipynb";
const CHECKPOINT: &str = "0-ReadMeFirst-checkpoint.ipynb";
const CHECKPOINTS: &str = ".ipynb_checkpoints";
const WORKSPACES: &str = ".jupyter/lab/workspaces";
const WORKSPACE: &str = "default-37a8.jupyterlab-workspace";
const PDF_HELPER: &str = "wod-generate-pdf.sh";

const WORKSPACE_TEMPLATE: &str = include_str!("../../templates/workspace.jupyterlab-workspace.j2");
const PDF_HELPER_TEXT: &str = include_str!("../../templates/wod-generate-pdf.sh");

pub const CONTENT_BYTES: u64 = 4 << 30;
pub const CONTENT_FILES: u64 = 100_000;
const TEMPLATE_BYTES: u64 = 64 << 20;
/// Directories below this one are copied, and nothing in them is rendered.
pub const DEEPEST: usize = 32;

#[derive(Debug, Clone)]
pub struct PublisherConfig {
    /// WODNOBO
    pub public: PathBuf,
    /// WODPRIVNOBO
    pub private: Option<PathBuf>,
    /// None in a sandbox, where we read as we are.
    pub admin: Option<Admin>,
}

pub struct Publisher {
    config: PublisherConfig,
}

/// One template of a workshop: its path below the workshop's directory, mode and text.
struct Template {
    path: PathBuf,
    mode: u32,
    text: Vec<u8>,
}

/// Renders a template; the name is for messages, the closure gives what it includes.
pub type Render<'a> = &'a dyn Fn(&str, &str, Option<Include>) -> Result<String, Fault>;

impl Publisher {
    pub fn new(config: PublisherConfig) -> Publisher {
        Publisher { config }
    }

    /// Everything of the workshop is in the home, with what JupyterLab needs to open it.
    pub fn publish(
        &self,
        asked: &AskedWorkshop,
        home: &Dir,
        render: Render<'_>,
    ) -> Result<(), Fault> {
        let source = self.source(&asked.name)?;
        let fault = |e: &safefs::Error| not_published(&asked.name, e);
        let place = home
            .make_dir(asked.name.as_str().as_ref(), 0o700)
            .map_err(|e| fault(&e))?;
        let options = CopyOptions {
            filter: &copied_as_it_is,
            limit_bytes: CONTENT_BYTES,
            limit_files: CONTENT_FILES,
            read_as: self.config.admin.as_ref(),
        };
        safefs::copy_tree(&source.dir, &place, options).map_err(|e| fault(&e))?;
        for template in self.templates(&source, &asked.name)? {
            let text = self.rendered(&source, &asked.name, &template, render)?;
            if let Some(above) = template.path.parent().filter(|p| !p.as_os_str().is_empty()) {
                place.make_dir(above, 0o700).map_err(|e| fault(&e))?;
            }
            place
                .write(&template.path, text.as_bytes(), template.mode)
                .map_err(|e| fault(&e))?;
        }
        add_helpers(asked, home, &place, render)
    }

    /// The private workshop only where there is no public one of that name.
    fn source(&self, name: &WorkshopName) -> Result<Source, Fault> {
        let places = [
            Some((&self.config.public, Tree::Public)),
            self.config.private.as_ref().map(|dir| (dir, Tree::Private)),
        ];
        for (root, tree) in places.into_iter().flatten() {
            let opened = self.reading(|| {
                Dir::open_root(root).and_then(|root| root.open_dir(name.as_str().as_ref()))
            })?;
            match opened {
                Ok(dir) => return Ok(Source { dir, tree }),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(not_published(name, &e)),
            }
        }
        Err(Fault::permanent(format!(
            "workshop {name} has no directory under WODNOBO (looked in {}); \
             run wod workshops list",
            self.config.public.display()
        )))
    }

    fn templates(&self, source: &Source, name: &WorkshopName) -> Result<Vec<Template>, Fault> {
        self.reading(|| {
            let mut found = Vec::new();
            collect(source, &source.dir, Path::new(""), &mut found).map(|()| found)
        })?
        .map_err(|e| not_published(name, &e))
    }

    /// All templates of a workshop as they come out: path below it, template and what it came to.
    pub fn preview(&self, name: &WorkshopName, render: Render<'_>) -> Result<Vec<Preview>, Fault> {
        let source = self.source(name)?;
        let templates = self.templates(&source, name)?;
        let made = templates.into_iter().map(|template| {
            let rendered = self.rendered(&source, name, &template, render)?;
            Ok(Preview {
                template: String::from_utf8_lossy(&template.text).into_owned(),
                path: template.path,
                mode: template.mode,
                rendered,
            })
        });
        made.collect()
    }

    fn rendered(
        &self,
        source: &Source,
        name: &WorkshopName,
        template: &Template,
        render: Render<'_>,
    ) -> Result<String, Fault> {
        let shown = format!("{name}/{}", safefs::shown(&template.path));
        let text = std::str::from_utf8(&template.text).map_err(|e| {
            Fault::permanent(format!("{shown} is not UTF-8 text; templates have to be")).because(&e)
        })?;
        let dir = source.dir.try_clone();
        let dir = dir.map_err(|e| not_published(name, &e))?;
        let include = include_below(dir, template.path.parent(), self.config.admin.clone());
        render(&shown, text, Some(include))
    }

    fn reading<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Fault> {
        match &self.config.admin {
            None => Ok(work()),
            Some(admin) => safefs::as_user(admin.uid, admin.gid, &admin.groups, work)
                .map_err(|e| Fault::of_files("a workshop cannot be read as WODUSER", &e)),
        }
    }
}

/// One template, and what it came to.
pub struct Preview {
    /// Below the workshop's directory.
    pub path: PathBuf,
    pub mode: u32,
    pub template: String,
    pub rendered: String,
}

/// What a template in `beside` may include: files next to it and in the directory `templates`
/// there, then the same of `root`. Read with WODUSER's rights, never outside `root`.
pub fn include_below(root: Dir, beside: Option<&Path>, admin: Option<Admin>) -> Include {
    let mut places = Vec::new();
    for place in [beside.unwrap_or(Path::new("")), Path::new("")] {
        places.extend([place.join("templates"), place.to_owned()]);
    }
    places.dedup();
    Arc::new(move |name| {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !Path::new(name).components().all(is_plain) {
            return Err(
                "a template includes files of its own directory or below, by a plain path"
                    .to_owned(),
            );
        }
        let read = || {
            for place in &places {
                match root.read(&place.join(name), TEMPLATE_BYTES) {
                    Err(e) if e.is_not_found() => {}
                    other => return other.map(Some),
                }
            }
            Ok(None)
        };
        let done = match &admin {
            None => read(),
            Some(admin) => {
                safefs::as_user(admin.uid, admin.gid, &admin.groups, read).and_then(|done| done)
            }
        };
        let Some(bytes) = done.map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "is not UTF-8 text; templates have to be".to_owned())
    })
}

struct Source {
    dir: Dir,
    tree: Tree,
}

/// Whose workshops a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Public,
    Private,
}

fn collect(
    source: &Source,
    dir: &Dir,
    below: &Path,
    found: &mut Vec<Template>,
) -> Result<(), safefs::Error> {
    for entry in dir.entries()? {
        let path = below.join(&entry.name);
        match entry.kind {
            Kind::Directory if path.components().count() < DEEPEST => {
                collect(source, &dir.open_dir(entry.name.as_ref())?, &path, found)?;
            }
            Kind::File if is_template(&path, source.tree) => {
                let mode = dir
                    .stat(entry.name.as_ref())?
                    .map_or(0o644, |stat| stat.mode);
                found.push(Template {
                    path,
                    mode: mode & 0o755 | 0o600,
                    text: dir.read(entry.name.as_ref(), TEMPLATE_BYTES)?,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// `*.ipynb *.yaml *.py *.sh *.src *.tf *.env Variables.ps1`; in the private tree without tf and
/// env. Checkpoints are nobody's.
pub fn is_template(path: &Path, tree: Tree) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let by_suffix = match tree {
        Tree::Public => ["ipynb", "yaml", "py", "sh", "src", "tf", "env"].contains(&suffix),
        Tree::Private => ["ipynb", "yaml", "py", "sh", "src"].contains(&suffix),
    };
    !is_checkpoint(path) && (by_suffix || named(path, "Variables.ps1"))
}

/// The rest is rendered over the copy, so that a template that fails leaves nothing raw behind.
fn copied_as_it_is(path: &Path, kind: Kind) -> Decision {
    let raw = |suffix| path.extension() == Some(OsStr::new(suffix));
    let rendered_only = raw("ipynb") || raw("py") || named(path, "Variables.ps1");
    match kind != Kind::Directory && rendered_only {
        true => Decision::Skip,
        false => Decision::Take,
    }
}

fn is_checkpoint(path: &Path) -> bool {
    path.file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| name.ends_with("-checkpoint.ipynb"))
}

fn named(path: &Path, name: &str) -> bool {
    path.file_name() == Some(OsStr::new(name))
}

/// JupyterLab opens the workshop's first notebook; a helper makes a PDF of it.
fn add_helpers(
    asked: &AskedWorkshop,
    home: &Dir,
    place: &Dir,
    render: Render<'_>,
) -> Result<(), Fault> {
    let fault = |e: &safefs::Error| not_published(&asked.name, e);
    let workspace = render(WORKSPACE, WORKSPACE_TEMPLATE, None)?;
    let workspaces = home
        .make_dir(WORKSPACES.as_ref(), 0o700)
        .map_err(|e| fault(&e))?;
    workspaces
        .write(WORKSPACE.as_ref(), workspace.as_bytes(), 0o600)
        .map_err(|e| fault(&e))?;
    place
        .write(PDF_HELPER.as_ref(), PDF_HELPER_TEXT.as_bytes(), 0o755)
        .map_err(|e| fault(&e))?;
    let readme = match place.read(README.as_ref(), TEMPLATE_BYTES) {
        Ok(readme) => readme,
        Err(e) if e.is_not_found() => return Ok(()),
        Err(e) => return Err(fault(&e)),
    };
    place
        .make_dir(CHECKPOINTS.as_ref(), 0o700)
        .and_then(|dir| dir.write(CHECKPOINT.as_ref(), &readme, 0o600))
        .map_err(|e| fault(&e))
}

fn not_published(name: &WorkshopName, e: &safefs::Error) -> Fault {
    Fault::of_files(format!("workshop {name} cannot be published"), e)
}
