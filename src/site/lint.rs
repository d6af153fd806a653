//! What `wod workshops lint` is told of a site; and of none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::content::{Admin, Tree};
use crate::lint::{self, Extent, Scripts, Shelf};

use super::{Misconfigured, Site, Source, why};

/// Every variable that sites have, explained.
const EXPLAINED: &str = include_str!("../../inventory/group_vars/all.yml");

/// Of an appliance that is not configured.
const NO_ADDRESS: &str = "x.y.z.t";

impl Site {
    /// A site as an author has it: without its secrets, and with no need of the hub.
    pub fn load_as_author(source: &Source) -> Result<Site, Misconfigured> {
        Site::load_with(source, &|scope, name| {
            let text = |text: &str| Some(serde_json::Value::from(text));
            match name {
                "WODHUB" => Ok(text("none")),
                "WODLDAPPWD" => Ok(text("not looked at")),
                // Closed in a vault, whose password an author does not have.
                "VAULTPWD" => Ok(scope.get(name).unwrap_or_else(|_| text("not looked at"))),
                _ => scope.get(name).map_err(|e| why(scope, name, &e.message)),
            }
        })
    }

    /// What templates and descriptors are held against.
    pub fn lint_facts(&self) -> lint::Site {
        let settings = &self.settings;
        // One that is closed in a vault counts as set.
        let is_unset = match self.scope.get("VAULTPWD") {
            Ok(value) => value.is_none_or(|value| value == "" || value.is_null()),
            Err(_) => false,
        };
        let missing = [
            ("WODGROUP", settings.group.is_none()),
            ("WODANSIBLEPRIVDIR", settings.pass_dir.is_none()),
            ("VAULTPWD", is_unset && self.scope.passwords().is_empty()),
        ];
        let variables = self.scope.names();
        let appliances = variables.iter().filter(|name| {
            let value = self.scope.get(name).ok().flatten();
            name.starts_with("IP-")
                && value
                    .is_some_and(|v| v.as_str().is_some_and(|v| v != NO_ADDRESS && !v.is_empty()))
        });
        let appliances = appliances.cloned().collect();
        lint::Site {
            variables,
            variables_dirs: settings.variables_dirs.clone(),
            inventory: Some(lint::Inventory {
                window: settings.window.0,
                has_ldap: settings.ldap.is_some(),
                missing_for_pass: missing
                    .into_iter()
                    .filter(|(_, is_missing)| *is_missing)
                    .map(|(name, _)| name)
                    .collect(),
                appliances,
                shelves: [
                    Some(&settings.notebooks),
                    settings.private_notebooks.as_ref(),
                ]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
                admin: self.reader(&settings.notebooks),
            }),
        }
    }

    /// The site's own shelves: WODNOBO, and WODPRIVNOBO where there is one.
    pub fn lint_shelves(&self) -> Vec<Shelf> {
        let settings = &self.settings;
        let public = (&settings.notebooks, Some(&settings.scripts), Tree::Public);
        let private = settings
            .private_notebooks
            .as_ref()
            .map(|dir| (dir, settings.private_scripts.as_ref(), Tree::Private));
        let shelves = [Some(public), private].into_iter().flatten();
        shelves
            .map(|(dir, own, tree)| {
                // The other tree's scripts go with a workshop as well.
                let others = [Some(&settings.scripts), settings.private_scripts.as_ref()];
                let others = others.into_iter().flatten().filter(|dir| Some(*dir) != own);
                let own = own.map(|dir| scripts(dir, dir, Extent::All));
                let others = others.map(|dir| scripts(dir, dir, Extent::OfShelf));
                Shelf {
                    dir: dir.clone(),
                    shown: dir.clone(),
                    tree,
                    admin: self.reader(dir),
                    only: None,
                    scripts: own.into_iter().chain(others).collect(),
                }
            })
            .collect()
    }

    /// A directory somebody named, with its own scripts or else the site's.
    pub fn lint_shelf_of(&self, dir: &Path, shown: &Path) -> Shelf {
        let mine = self.lint_shelves();
        let same = |shelf: &&Shelf| real(&shelf.dir) == real(dir);
        if let Some(shelf) = mine.iter().find(same) {
            return Shelf {
                shown: shown.to_owned(),
                ..shelf.clone()
            };
        }
        let mut shelf = shelf_of(dir, shown);
        if shelf.scripts.is_empty() {
            let all = mine.into_iter().flat_map(|shelf| shelf.scripts);
            shelf.scripts = all
                .filter(|scripts| scripts.extent == Extent::All)
                .map(|found| scripts(&found.dir, &found.shown, Extent::OfShelf))
                .collect();
        }
        shelf.admin = self.reader(&shelf.dir);
        shelf
    }

    /// With whose rights what authors wrote is read, None for our own. As the publisher: WODUSER,
    /// when we are root; where there is no such account, the owner of the directory.
    pub fn reader(&self, dir: &Path) -> Option<Admin> {
        match self.admin() {
            Ok(Some(admin)) if rustix::process::geteuid().is_root() => Some(admin),
            _ => owner_of(dir),
        }
    }
}

/// Without an inventory: what every site has.
pub fn lint_defaults() -> lint::Site {
    let names = EXPLAINED
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(':'));
    let names = names.map(|(name, _)| name.to_owned());
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase());
    lint::Site {
        variables: names.filter(is_name).collect(),
        variables_dirs: Vec::new(),
        inventory: None,
    }
}

/// A directory of workshops, or of one, anywhere; scripts are in it or beside it.
pub fn shelf_of(dir: &Path, shown: &Path) -> Shelf {
    let is_one =
        dir.join("wod.yml").symlink_metadata().is_ok() || name_of(dir).starts_with("WKSHP-");
    let (dir, shown, only) = match (dir.parent(), is_one) {
        (Some(above), true) => (
            above.to_owned(),
            shown.parent().unwrap_or(Path::new("")).to_owned(),
            Some(name_of(dir)),
        ),
        _ => (dir.to_owned(), shown.to_owned(), None),
    };
    let beside = match (shown.parent(), shown.file_name()) {
        (Some(above), Some(_)) => above.join("scripts"),
        _ => shown.join("../scripts"),
    };
    let places = [
        (shown.join("scripts"), dir.join("scripts")),
        (beside, dir.join("../scripts")),
    ];
    let found = places.into_iter().find(|(_, place)| place.is_dir());
    Shelf {
        scripts: found
            .map(|(name, place)| scripts(&place, &name, Extent::All))
            .into_iter()
            .collect(),
        admin: owner_of(&dir),
        tree: Tree::Public,
        dir,
        shown,
        only,
    }
}

fn scripts(dir: &Path, shown: &Path, extent: Extent) -> Scripts {
    Scripts {
        dir: dir.to_owned(),
        shown: shown.to_owned(),
        extent,
    }
}

fn name_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Root reads what an author wrote with the author's rights only.
fn owner_of(dir: &Path) -> Option<Admin> {
    let there = dir
        .metadata()
        .ok()
        .filter(|_| rustix::process::geteuid().is_root())?;
    Some(Admin {
        uid: there.uid(),
        gid: there.gid(),
        groups: Vec::new(),
    })
}
