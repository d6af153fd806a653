//! Any bytes as a mail: no panic, and what is read crosses the border unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::domain::Action;
use wod::intake::message;

fuzz_target!(|mail: &[u8]| {
    let _ = message::recorded_sender(mail);
    if let Ok(request) = message::read(mail) {
        let text = serde_json::to_vec(&request.action).unwrap();
        let back: Action = serde_json::from_slice(&text).unwrap();
        assert_eq!(back, request.action);
        let line = wod::intake::one_line(&back);
        assert!(!line.contains('\n'), "{line:?}");
    }
});
