//! What is read from a process's own memory: its arguments, what stands in its environment. Whoever
//! reads there waits while somebody holds the map of that memory, and a student can have it held for
//! ever, by a thread that waits for a file system of the student's own. So it is read by a thread that
//! can be left waiting.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A reader that has not answered by then is left waiting.
const PATIENCE: Duration = Duration::from_millis(100);
/// For so long nothing more is read of the same uid, and no sooner than it has answered: nobody takes
/// more than a hundredth of our time.
const PENANCE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() -> Vec<u8> + Send>;

#[derive(Debug, Default)]
pub struct Memory(Mutex<Readers>);

#[derive(Debug, Default)]
struct Readers {
    ready: Option<Reader>,
    /// By whose memory it is.
    left_waiting: HashMap<u32, (Instant, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Reader {
    questions: SyncSender<Work>,
    answers: Receiver<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl Memory {
    /// What `work` reads of memory of that uid's; None where it cannot be waited for.
    pub fn read(
        &self,
        uid: u32,
        work: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Option<Vec<u8>> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.has_to_wait(uid) {
            return None;
        }
        let reader = match readers.ready.take() {
            Some(reader) => reader,
            None => Reader::new()?,
        };
        reader.questions.send(Box::new(work)).ok()?;
        match reader.answers.recv_timeout(PATIENCE) {
            Ok(answer) => {
                readers.ready = Some(reader);
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(
                    uid,
                    "the memory of a process is locked, as by a file system that does not answer: \
                     what its arguments are is not known"
                );
                let waiting = (Instant::now(), reader.thread);
                readers.left_waiting.insert(uid, waiting);
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The same of work that comes to something else than bytes.
    pub fn ask<T: Send + 'static>(
        &self,
        uid: u32,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = sync_channel(1);
        self.read(uid, move || {
            let _ = tell.send(work());
            Vec::new()
        })?;
        told.try_recv().ok()
    }
}

impl Readers {
    fn has_to_wait(&mut self, uid: u32) -> bool {
        let waits = self.left_waiting.get(&uid);
        let waits =
            waits.is_some_and(|(since, thread)| !thread.is_finished() || since.elapsed() < PENANCE);
        if !waits {
            self.left_waiting.remove(&uid);
        }
        waits
    }
}

impl Reader {
    fn new() -> Option<Reader> {
        let (questions, asked) = sync_channel::<Work>(1);
        let (answering, answers) = sync_channel(1);
        let work = move || {
            while let Ok(question) = asked.recv() {
                if answering.send(question()).is_err() {
                    // Nobody waited for it.
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("memory".to_owned()).spawn(work);
        let thread = thread
            .inspect_err(|e| tracing::error!("arguments of processes cannot be read: {e}"))
            .ok()?;
        Some(Reader {
            questions,
            answers,
            thread,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_read_keeps_only_its_own_waiting() {
        let memory = Memory::default();
        let read = |uid, what: &'static [u8]| memory.read(uid, move || what.to_vec());
        assert_eq!(read(1, b"a"), Some(b"a".to_vec()));
        let (release, held) = sync_channel::<()>(0);
        let locked = move || {
            let _ = held.recv();
            b"late".to_vec()
        };
        let began = Instant::now();
        assert_eq!(memory.read(2, locked), None);
        assert!(began.elapsed() < PATIENCE * 10);
        // What comes late is not taken for somebody else's.
        assert_eq!(read(1, b"b"), Some(b"b".to_vec()));
        assert_eq!(read(2, b"c"), None);
        release.send(()).unwrap();
        assert_eq!(read(2, b"d"), None, "no sooner than after a while");
        let mut readers = memory.0.lock().unwrap();
        let (since, _) = readers.left_waiting.get_mut(&2).unwrap();
        *since = Instant::now().checked_sub(PENANCE).unwrap();
        drop(readers);
        while read(2, b"e").is_none() {
            thread::yield_now();
        }
        assert!(memory.0.lock().unwrap().left_waiting.is_empty());
    }
}
