//! A child of `wod serve` that is started again when it ends, and ended with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::exec::Service;

const RESTART_PAUSE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);

/// Ends its child when dropped.
pub struct Keeper {
    stopping: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Keeper {
    /// Fails when the first start does. `patience`: how long the child may take to end.
    pub fn start<F>(name: &'static str, patience: Duration, start: F) -> anyhow::Result<Keeper>
    where
        F: Fn() -> anyhow::Result<Service> + Send + 'static,
    {
        let mut child = start()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                if let Some(status) = child.ended() {
                    tracing::error!("the {name} ended ({status}); starting it again");
                    thread::sleep(RESTART_PAUSE);
                    match start() {
                        Ok(new) => child = new,
                        Err(e) => tracing::error!("the {name} cannot be started: {e:#}"),
                    }
                }
                thread::park_timeout(LOOK);
            }
            child.stop(patience);
        });
        Ok(Keeper {
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
