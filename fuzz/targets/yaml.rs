//! Any text as a variable file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::inventory::from_str;

fuzz_target!(|text: &str| {
    if let Err(error) = from_str("file.yml", text) {
        assert!(error.to_string().starts_with("file.yml"), "{error}");
    }
});
