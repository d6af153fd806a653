//! Moves bytes between us and one child until it ends, in one thread, without waiting on a
//! clock: stdin, its output and its end are all polled for.

use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A grandchild that keeps a pipe open must not hold us: so long after the child's end we go
/// on with what came.
const DRAIN: Duration = Duration::from_millis(300);

/// What a child printed, up to a limit.
pub struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    dropped: usize,
}

impl Kept {
    pub fn new(limit: usize) -> Kept {
        Kept {
            bytes: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.dropped > 0 {
            let note = format!("\n[{} more bytes were not kept]\n", self.dropped);
            self.bytes.extend_from_slice(note.as_bytes());
        }
        self.bytes
    }
}

/// How often somebody who waits for a process looks whether it is to be stopped.
const GLANCE: Duration = Duration::from_millis(100);

/// How it came that a child is waited for no longer.
pub enum Pumped {
    Ended(ExitStatus),
    TimedOut,
    Stopped,
}

type Sink<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// One pipe that a child writes to (None once it was closed), and where its bytes go.
pub struct Stream<'a> {
    pipe: Option<PipeReader>,
    sink: Sink<'a>,
}

impl<'a> Stream<'a> {
    pub fn new(pipe: PipeReader, sink: impl FnMut(&[u8]) + 'a) -> Stream<'a> {
        Stream {
            pipe: Some(pipe),
            sink: Box::new(sink),
        }
    }

    fn take_what_came(&mut self, chunk: &mut [u8]) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        match pipe.read(chunk) {
            Ok(0) => self.pipe = None,
            Ok(read) => (self.sink)(&chunk[..read]),
            Err(e) if may_be_tried_again(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn may_be_tried_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

pub struct Pump<'c, 's> {
    child: &'c mut Child,
    /// Readable when the child has ended.
    end: OwnedFd,
    stdin: Option<ChildStdin>,
    input: &'c [u8],
    streams: Vec<Stream<'s>>,
}

impl<'c, 's> Pump<'c, 's> {
    pub fn new(
        child: &'c mut Child,
        input: Option<&'c [u8]>,
        streams: Vec<Stream<'s>>,
    ) -> io::Result<Pump<'c, 's>> {
        let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let stdin = child.stdin.take();
        for pipe in streams.iter().filter_map(|stream| stream.pipe.as_ref()) {
            do_not_block(pipe.as_fd())?;
        }
        if let Some(stdin) = &stdin {
            do_not_block(stdin.as_fd())?;
        }
        Ok(Pump {
            child,
            end,
            stdin,
            input: input.unwrap_or_default(),
            streams,
        })
    }

    /// Until the child's end, the time limit, or `stop`.
    pub fn run(mut self, timeout: Duration, stop: Option<&AtomicBool>) -> io::Result<Pumped> {
        let deadline = Instant::now() + timeout;
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let now = Instant::now();
            let until = match ended {
                Some((status, drained)) if self.all_closed() || now >= drained => {
                    return Ok(Pumped::Ended(status));
                }
                Some((_, drained)) => drained,
                None if now >= deadline => return Ok(Pumped::TimedOut),
                None if stop.is_some_and(|stop| stop.load(Ordering::SeqCst)) => {
                    return Ok(Pumped::Stopped);
                }
                None => deadline,
            };
            let at_most = match stop {
                Some(_) => GLANCE.min(until - now),
                None => until - now,
            };
            self.wait(at_most, ended.is_none())?;
            self.feed();
            for stream in &mut self.streams {
                stream.take_what_came(&mut chunk)?;
            }
            if ended.is_none()
                && let Some(status) = self.child.try_wait()?
            {
                ended = Some((status, Instant::now() + DRAIN));
            }
        }
    }

    fn all_closed(&self) -> bool {
        self.streams.iter().all(|stream| stream.pipe.is_none())
    }

    fn wait(&self, at_most: Duration, for_the_end: bool) -> io::Result<()> {
        let mut fds = Vec::with_capacity(4);
        if for_the_end {
            fds.push(PollFd::new(self.end.as_fd(), PollFlags::POLLIN));
        }
        if let Some(stdin) = &self.stdin {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        }
        let pipes = self.streams.iter().filter_map(|s| s.pipe.as_ref());
        fds.extend(pipes.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        // Rounded up: a wait of 0 ms would spin.
        let millis = i32::try_from(at_most.as_millis() + 1).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// A process that does not read all of its input says so by its exit status.
    fn feed(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        match pipe.write(self.input) {
            Ok(written) => self.input = &self.input[written..],
            Err(e) if may_be_tried_again(&e) => return,
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }
}

fn do_not_block(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK)?)
}
