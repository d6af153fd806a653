//! What is left of a run when it is over: its place in the history, and a mail when something failed.

use crate::deliver::{Begun, Recap, Recorder, Tag, post};
use crate::domain::Time;
use crate::site::{Site, who_runs_this};

/// Who starts a run that nobody types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Scheduler,
    Timer,
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            By::Scheduler => "scheduler",
            By::Timer => "timer",
        }
    }
}

/// To be called with deliver's lock held. A history that cannot be written does not stop a run.
pub fn begin(site: &Site, by: Option<By>, tags: &[Tag]) -> Recorder {
    let begun = Begun {
        at: Time::now(),
        by: by.map_or_else(who_runs_this, |by| by.as_str().to_owned()),
        tags: tags.iter().map(ToString::to_string).collect(),
    };
    site.history().begin(begun.clone()).unwrap_or_else(|fault| {
        tracing::warn!("this run is not kept: {}", fault.chain());
        Recorder::unkept(begun)
    })
}

/// A letter is there before the run has its end: who is killed in between has told it all the same.
pub fn end(site: &Site, recorder: Recorder, recap: &Recap) {
    let now = Time::now();
    if recap.total().failed > 0 && site.has_monitor() {
        let past = recorder.so_far(now, recap);
        let body = post::body(&site.host_name(), &past);
        if let Err(fault) = site.tell_monitor(&past.run.to_string(), body) {
            tracing::warn!("nobody is told that items failed: {}", fault.chain());
        }
    }
    recorder.end(now, recap);
    if let Err(fault) = site.send_letters() {
        tracing::warn!("mail to WODMONITOR is sent later: {}", fault.chain());
    }
}
