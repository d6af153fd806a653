//! What a benchmark measured: a table for people, and target/bench.json for whoever compares.

use std::fs;

use serde_json::{Value, json};

use crate::support::root;

/// Figures by the names under which target/bench.json has them, in the order of their coming.
#[derive(Default)]
pub struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    pub fn note(&mut self, name: &'static str, value: f64) {
        self.0.push((name, (value * 1000.0).round() / 1000.0));
    }

    /// Others have their own keys in the same object.
    pub fn tell(&self) {
        println!("{:<32} {:>10}", "figure", "value");
        for (name, value) in &self.0 {
            println!("{name:<32} {value:>10}");
        }
        let path = root().join("target/bench.json");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut all: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
        for (name, value) in &self.0 {
            all[*name] = json!(value);
        }
        fs::write(&path, format!("{all:#}\n")).unwrap();
        println!("written to {}", path.display());
    }
}
