//! What is read from a process's own memory: its arguments, what stands in its environment. Whoever
//! reads there waits while somebody holds the map of that memory, and a student can have it held for
//! ever, by a thread that waits for a file system of the student's own. So it is read by a thread that
//! can be left waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A reader that has not answered by then is left waiting.
const PATIENCE: Duration = Duration::from_millis(100);
/// For so long nothing more is read of the same uid, and no sooner than it has answered: nobody takes
/// more than a hundredth of our time.
const PENANCE: Duration = Duration::from_secs(10);

pub type Work = Box<dyn FnOnce() -> Vec<u8> + Send>;

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
    questions: SyncSender<Arc<Mutex<Round>>>,
    /// That all of a round is done.
    answers: Receiver<()>,
    thread: JoinHandle<()>,
}

/// What a reader is given at once: to wake it costs more than to read.
#[derive(Default)]
struct Round {
    left: VecDeque<Asked>,
    /// By whose memory it is, and since when.
    doing: Option<(u32, Instant)>,
    done: Vec<(usize, Vec<u8>)>,
    /// What was left when it was not waited for any longer.
    given_up: VecDeque<Asked>,
}

enum Done {
    All,
    /// In memory of that uid's.
    UntilStuck(u32),
    Gone,
}

struct Asked {
    place: usize,
    uid: u32,
    work: Work,
}

impl Memory {
    /// What `work` reads of memory of that uid's; None where it cannot be waited for.
    pub fn read(
        &self,
        uid: u32,
        work: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Option<Vec<u8>> {
        self.read_all(vec![(uid, Box::new(work))]).pop()?
    }

    /// The same of several, in their order.
    pub fn read_all(&self, works: Vec<(u32, Work)>) -> Vec<Option<Vec<u8>>> {
        let mut answers = vec![None; works.len()];
        let works = works.into_iter().enumerate();
        let mut left: VecDeque<Asked> = works
            .map(|(place, (uid, work))| Asked { place, uid, work })
            .collect();
        let mut readers = lock(&self.0);
        loop {
            left.retain(|asked| !readers.has_to_wait(asked.uid));
            if left.is_empty() {
                return answers;
            }
            let Some(reader) = readers.ready.take().or_else(Reader::new) else {
                return answers;
            };
            let round = Arc::new(Mutex::new(Round {
                left,
                ..Round::default()
            }));
            match reader.does(&round) {
                Done::All => readers.ready = Some(reader),
                Done::UntilStuck(uid) => readers.leave(uid, reader),
                Done::Gone => {}
            }
            let mut round = lock(&round);
            for (place, answer) in round.done.drain(..) {
                answers[place] = Some(answer);
            }
            left = std::mem::take(&mut round.given_up);
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn leave(&mut self, uid: u32, reader: Reader) {
        tracing::warn!(
            uid,
            "the memory of a process is locked, as by a file system that does not answer: \
             what its arguments are is not known"
        );
        let waiting = (Instant::now(), reader.thread);
        self.left_waiting.insert(uid, waiting);
    }
}

impl Reader {
    fn new() -> Option<Reader> {
        let (questions, asked) = sync_channel::<Arc<Mutex<Round>>>(1);
        let (answering, answers) = sync_channel(1);
        let work = move || {
            while let Ok(round) = asked.recv() {
                Round::go(&round);
                if answering.send(()).is_err() {
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

    fn does(&self, round: &Arc<Mutex<Round>>) -> Done {
        if self.questions.send(Arc::clone(round)).is_err() {
            return lock(round).give_up(Done::Gone);
        }
        loop {
            match self.answers.recv_timeout(PATIENCE) {
                Ok(()) => return Done::All,
                Err(RecvTimeoutError::Disconnected) => return lock(round).give_up(Done::Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut now = lock(round);
            // One that has not begun got no time from the kernel: nobody is to blame for that.
            match now.doing {
                Some((uid, since)) if since.elapsed() >= PATIENCE => {
                    return now.give_up(Done::UntilStuck(uid));
                }
                _ => {}
            }
        }
    }
}

impl Round {
    /// What is left is not for a reader that comes back late.
    fn give_up(&mut self, done: Done) -> Done {
        self.given_up = std::mem::take(&mut self.left);
        done
    }

    fn go(round: &Mutex<Round>) {
        loop {
            let mut now = lock(round);
            let Some(Asked { place, uid, work }) = now.left.pop_front() else {
                now.doing = None;
                return;
            };
            now.doing = Some((uid, Instant::now()));
            drop(now);
            let answer = work();
            lock(round).done.push((place, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_only_the_one_that_cannot_be_read_has_no_answer() {
        let memory = Memory::default();
        let (release, held) = sync_channel::<()>(0);
        let locked = move || {
            let _ = held.recv();
            b"late".to_vec()
        };
        let works: Vec<(u32, Work)> = vec![
            (1, Box::new(|| b"a".to_vec())),
            (2, Box::new(locked)),
            (3, Box::new(|| b"c".to_vec())),
            (2, Box::new(|| b"d".to_vec())),
            (1, Box::new(|| b"e".to_vec())),
        ];
        let answers = memory.read_all(works);
        let answers: Vec<Option<&[u8]>> = answers.iter().map(Option::as_deref).collect();
        let (a, c, e) = (Some(&b"a"[..]), Some(&b"c"[..]), Some(&b"e"[..]));
        assert_eq!(answers, [a, None, c, None, e]);
        release.send(()).unwrap();
        assert_eq!(memory.read_all(Vec::new()), []);
    }

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
