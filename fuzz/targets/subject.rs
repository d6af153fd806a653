//! Any text as a subject, on an otherwise good mail: an action, or one line that says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::intake::message;

fuzz_target!(|subject: &[u8]| {
    let mail = [b"Subject: ", subject, b"\n\nWKSHP-API101\n"].concat();
    if let Err(malformed) = message::read(&mail) {
        let line = malformed.to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
});
