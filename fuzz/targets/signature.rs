//! Any text as the header of a signed mail: what is understood is written the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::domain::signature::Signature;

fuzz_target!(|header: &str| {
    if let Ok(signature) = header.parse::<Signature>() {
        let text = signature.to_string();
        assert_eq!(text.parse::<Signature>().unwrap(), signature);
        let arrived = wod::domain::Time(signature.at.saturating_mul(1000));
        signature
            .check_time(arrived, std::time::Duration::ZERO)
            .unwrap();
    }
});
