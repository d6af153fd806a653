//! What a test adds to a site: workshops, scripts, variables, a private overlay.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::backend::SHARE;
use super::sh;

pub const PRIVATE: &str = "/var/private";

/// Where a site keeps things for all, or for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Public,
    Private,
}

impl Tree {
    fn notebooks(self) -> PathBuf {
        match self {
            Tree::Public => Path::new(SHARE).join("workshops"),
            Tree::Private => Path::new(PRIVATE).join("notebooks"),
        }
    }

    fn scripts(self) -> PathBuf {
        match self {
            Tree::Public => Path::new(SHARE).join("workshops/scripts"),
            Tree::Private => Path::new(PRIVATE).join("scripts"),
        }
    }
}

/// The private overlay's directories, as WODUSER has them.
pub fn private_tree() {
    sh(&format!(
        "for dir in notebooks scripts skel ansible/group_vars ansible/production/pass
         do mkdir -p {PRIVATE}/$dir; done
         chmod 700 {PRIVATE}; chown -R wodadmin {PRIVATE}"
    ));
}

pub fn workshop(tree: Tree, name: &str, metadata: &str, files: &[(&str, &str)]) {
    let dir = tree.notebooks().join(name);
    write(
        &dir.join("wod.yml"),
        &format!("name: {name}\nactive: true\n{metadata}\n"),
    );
    for (file, text) in files {
        write(&dir.join(file), text);
    }
}

pub fn script(tree: Tree, name: &str, text: &str) {
    let path = tree.scripts().join(name);
    write(&path, &format!("#!/bin/bash\nset -eu\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    sh(&format!(
        "chown wodadmin {0} {1}",
        path.parent().unwrap().display(),
        path.display()
    ));
}

/// A notebook of one markdown and two code cells.
pub fn notebook(text: &str) -> String {
    let code = |source: &str| {
        serde_json::json!({"cell_type": "code", "execution_count": null, "metadata": {},
            "outputs": [], "source": [source]})
    };
    serde_json::json!({
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": [text]}, code("1"), code("2")],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5
    })
    .to_string()
}
