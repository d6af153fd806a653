//! A dialogue in arbitrary pieces: no panic, and how the network cuts it changes nothing.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use wod::domain::Time;
use wod::intake::gate::{Peer, Policy, judge};
use wod::intake::session::{Event, Session};

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let text = include_bytes!("../../tests/cases/intake/gate.json");
    Arc::new(serde_json::from_slice(text).unwrap())
});

fn converse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Event> {
    let peer = Peer::Network([192, 0, 2, 7].into());
    let mut session = Session::new(peer, "backend.example", Ok(Arc::clone(&POLICY)));
    let mut events = Vec::new();
    for piece in pieces {
        session.feed(piece);
        while let Some(event) = session.next_event() {
            if let Event::Mail(mail) = &event {
                let verdict = judge(&POLICY, &mail.envelope, &mail.text, Time(0));
                session.answer(verdict.map(|request| wod::intake::one_line(&request.action)));
            }
            events.push(event);
        }
    }
    events
}

fuzz_target!(|data: &[u8]| {
    // The first byte says how the rest is cut.
    let Some((size, dialogue)) = data.split_first() else {
        return;
    };
    let whole = converse(std::iter::once(dialogue));
    let cut = converse(dialogue.chunks(usize::from(*size % 40) + 1));
    assert_eq!(whole, cut);
    for event in &whole {
        if let Event::Reply(reply) = event {
            assert!(reply.ends_with("\r\n"), "{reply:?}");
            let inside = reply.trim_end_matches("\r\n");
            let lines = inside.split("\r\n");
            assert!(
                lines.clone().all(|line| !line.contains(['\r', '\n'])),
                "{reply:?}"
            );
            assert!(lines.clone().all(|line| line.len() >= 4), "{reply:?}");
        }
    }
});
