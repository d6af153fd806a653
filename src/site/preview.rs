//! What templates come to for one student, without a journal, and without root as far as files allow.

use std::path::{Path, PathBuf};

use crate::content::{PassFiles, Publisher, PublisherConfig, Variables};
use crate::domain::{AskedWorkshop, Secret, Student};
use crate::inventory::Value;
use crate::ports::Fault;
use crate::safefs::Dir;
use crate::templates::Scope;

use super::Site;

impl Site {
    pub fn preview_publisher(&self) -> Publisher {
        Publisher::new(PublisherConfig {
            public: self.settings.notebooks.clone(),
            private: self.settings.private_notebooks.clone(),
            admin: self.reader(&self.settings.notebooks),
        })
    }

    /// The same for workshops in a directory that is none of the site's.
    pub fn preview_publisher_of(&self, dir: &Path) -> Publisher {
        Publisher::new(PublisherConfig {
            public: dir.to_owned(),
            private: None,
            admin: self.reader(dir),
        })
    }

    /// The variables of a seat, with its pass file where we may read it; of no workshop, the site's.
    pub fn preview_scope(
        &self,
        asked: Option<&AskedWorkshop>,
        student: Student,
    ) -> Result<Scope, Fault> {
        let Some(asked) = asked else {
            let number = Value::Int(student.number().into());
            return Ok(self.scope.with([("STDID".to_owned(), number)]));
        };
        let settings = &self.settings;
        let passes = PassFiles::new(
            settings.pass_dir.clone(),
            self.scope.passwords().clone(),
            None,
        );
        let mut pass_files = passes.paths(&asked.name, student);
        pass_files.retain(|path| is_readable(path));
        Variables::new(self.scope.clone(), settings.variables_dirs.clone())
            .seat(asked, student, pass_files)
    }

    /// Values that came out of a vault.
    pub fn secrets_of(&self, scope: &Scope) -> Vec<Secret> {
        let exports = scope.all_resolved().values.into_iter();
        exports
            .filter(|export| export.is_secret)
            .map(|export| Secret::new(export.text))
            .collect()
    }
}

fn is_readable(path: &Path) -> bool {
    let split = |path: &Path| -> Option<(PathBuf, PathBuf)> {
        Some((path.parent()?.to_owned(), path.file_name()?.into()))
    };
    split(path).is_some_and(|(dir, name)| {
        Dir::open_root(&dir).is_ok_and(|dir| dir.read(&name, 1 << 20).is_ok())
    })
}
