//! What tests measured, in files below `target`, for people who keep the tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;

use super::root;

/// How long an evasion lasted: `target/evasions.json` has seconds by name, of each the last.
pub fn note_evasion(name: &str, took: Duration) {
    let path = root().join("target/evasions.json");
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let mut file = file.unwrap();
    // Tests run beside each other.
    file.lock().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let mut all: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap_or_default();
    all.insert(
        name.to_owned(),
        (took.as_secs_f64() * 100.0).round() / 100.0,
    );
    file.rewind().unwrap();
    file.set_len(0).unwrap();
    file.write_all(&serde_json::to_vec_pretty(&all).unwrap())
        .unwrap();
}
