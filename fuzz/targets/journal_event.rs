//! Any lines as the events of an action: read or refused, and every legal history is told again
//! from its own records.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wod::journal::{Event, State};

fuzz_target!(|text: &[u8]| {
    let mut state = State::default();
    let mut events: Vec<Event> = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            continue;
        };
        let again = serde_json::from_slice(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!(event, again);
        let before = state.clone();
        match state.apply(&event) {
            Ok(_) => events.push(event),
            Err(_) => assert_eq!(state, before, "what is refused changes nothing"),
        }
        if let Some(plan) = &state.plan {
            assert!(state.next <= plan.steps.len());
        }
    }
    assert_eq!(State::fold(&events).unwrap(), state);
});
