//! Puts what `wod install` brings to a host into the program: `sys/`, `workshops/` and the inventory
//! that explains every variable, as a list of path, mode and text.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Directories that a host has; what is not for it stays out.
const SHIPPED: [&str; 2] = ["sys", "workshops"];
const NOT_SHIPPED: [&str; 2] = ["prepare.sh", "__pycache__"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let mut list = String::from("&[\n");
    for dir in SHIPPED {
        println!("cargo::rerun-if-changed={dir}");
        add(&root, Path::new(dir), &mut list)?;
    }
    list.push(']');
    fs::write(out.join("shipped.rs"), list)
}

fn add(root: &Path, rel: &Path, list: &mut String) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(rel))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let path = rel.join(&name);
        if NOT_SHIPPED.iter().any(|left| name == *left) {
            continue;
        }
        let meta = entry.metadata()?;
        if meta.is_dir() {
            add(root, &path, list)?;
            continue;
        }
        let mode = match meta.permissions().mode() & 0o100 {
            0 => 0o644,
            _ => 0o755,
        };
        let full = root.join(&path);
        let line = writeln!(
            list,
            "(\"{}\", 0o{mode:o}, include_str!(\"{}\")),",
            path.display(),
            full.display()
        );
        line.map_err(io::Error::other)?;
    }
    Ok(())
}
