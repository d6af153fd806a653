//! A FUSE file system with one program in it that answers until it is told not to: from then on
//! whoever asks it anything waits. It may say that its files are root's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const ROOT: u64 = 1;

/// Who it says its files belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Owner,
    /// And lets root look in, as `user_allow_other` in /etc/fuse.conf has it.
    Root,
    /// Root is not let in.
    RootUnseen,
}

pub struct DeadMount {
    at: PathBuf,
    is_dead: Arc<AtomicBool>,
    mute: Arc<(AtomicBool, AtomicUsize)>,
    server: Option<JoinHandle<()>>,
    /// Its end is the end of every wait.
    _device: Arc<File>,
}

impl DeadMount {
    /// As that uid would have it mounted, with an `xmrig`. None where there is no FUSE.
    pub fn new(at: &Path, uid: u32, program: &[u8]) -> Option<DeadMount> {
        DeadMount::claiming(at, uid, "xmrig", program, Claim::Owner)
    }

    /// With one program of that name.
    pub fn claiming(
        at: &Path,
        uid: u32,
        name: &str,
        program: &[u8],
        claim: Claim,
    ) -> Option<DeadMount> {
        let device = File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .ok()?;
        let fd = device.as_raw_fd();
        let others = match claim {
            Claim::Root => ",allow_other",
            Claim::Owner | Claim::RootUnseen => "",
        };
        let data = format!("fd={fd},rootmode=40000,user_id={uid},group_id={uid}{others}");
        let options = Some(data.as_str());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("x"), at, Some("fuse.x"), flags, options).ok()?;
        let device = Arc::new(device);
        let is_dead = Arc::new(AtomicBool::new(false));
        let mute = Arc::new((AtomicBool::new(false), AtomicUsize::new(0)));
        let server = Server {
            device: Arc::clone(&device),
            is_dead: Arc::clone(&is_dead),
            mute: Arc::clone(&mute),
            owner: match claim {
                Claim::Owner => uid,
                Claim::Root | Claim::RootUnseen => 0,
            },
            name: [name.as_bytes(), b"\0"].concat(),
            program: program.to_owned(),
        };
        let server = Some(std::thread::spawn(move || server.serve()));
        Some(DeadMount {
            at: at.to_owned(),
            is_dead,
            mute,
            server,
            _device: device,
        })
    }

    /// From now on it reads what it is asked, and gives no answer: who waits then cannot be killed.
    pub fn swallow(&mut self) {
        self.mute.0.store(true, Ordering::SeqCst);
    }

    /// How often it was asked since.
    pub fn swallowed(&self) -> usize {
        self.mute.1.load(Ordering::SeqCst)
    }

    /// Comes back when nothing is read any more.
    pub fn die(&mut self) {
        self.is_dead.store(true, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
    }
}

struct Server {
    device: Arc<File>,
    is_dead: Arc<AtomicBool>,
    mute: Arc<(AtomicBool, AtomicUsize)>,
    owner: u32,
    name: Vec<u8>,
    program: Vec<u8>,
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn small(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Server {
    fn serve(self) {
        let mut bytes = vec![0; 1 << 20];
        loop {
            let mut ready = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            let is_ready = poll(&mut ready, PollTimeout::from(20u8));
            // What was read and never answered could not even be killed.
            if self.is_dead.load(Ordering::SeqCst) {
                return;
            }
            if is_ready == Ok(0) {
                continue;
            }
            match (&*self.device).read(&mut bytes) {
                Ok(_) if self.mute.0.load(Ordering::SeqCst) => {
                    self.mute.1.fetch_add(1, Ordering::SeqCst);
                }
                Ok(length) => self.answer(&bytes[..length]),
                // Its end; else somebody did not wait for the answer.
                Err(e) if e.raw_os_error() == Some(nix::libc::ENODEV) => return,
                Err(_) => {}
            }
        }
    }

    /// `struct fuse_in_header`: length, what, number, node, …
    fn answer(&self, request: &[u8]) {
        const ENOENT: i32 = 2;
        const ENOSYS: i32 = 38;
        let (what, node, body) = (small(request, 4), number(request, 16), &request[40..]);
        let answer = match what {
            // LOOKUP, GETATTR, OPEN and OPENDIR, READ, STATFS, INIT
            1 if body == self.name => Ok(self.entry()),
            1 => Err(ENOENT),
            3 => Ok([vec![0; 16], self.attributes(node)].concat()),
            14 | 27 => Ok(vec![0; 16]),
            15 => Ok(self.part(number(body, 8), small(body, 16))),
            17 => Ok(room()),
            26 => Ok(greeting()),
            // FORGET, INTERRUPT, BATCH_FORGET want none.
            2 | 36 | 42 => return,
            _ => Err(ENOSYS),
        };
        let (error, bytes) = match answer {
            Ok(bytes) => (0, bytes),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + bytes.len()).unwrap();
        let mut reply = [&length.to_ne_bytes()[..], &error.to_ne_bytes()].concat();
        reply.extend_from_slice(&request[8..16]);
        reply.extend(bytes);
        let _ = (&*self.device).write(&reply);
    }

    /// `struct fuse_entry_out`; to be asked again every time.
    fn entry(&self) -> Vec<u8> {
        let mut entry = 2u64.to_ne_bytes().to_vec();
        entry.extend([0; 32]);
        entry.extend(self.attributes(2));
        entry
    }

    /// `struct fuse_attr`
    fn attributes(&self, node: u64) -> Vec<u8> {
        let (size, mode) = match node {
            ROOT => (0, 0o040_755_u32),
            _ => (self.program.len() as u64, 0o100_755),
        };
        let mut bytes: Vec<u8> = [node, size, size.div_ceil(512), 0, 0, 0]
            .iter()
            .flat_map(|field| field.to_ne_bytes())
            .collect();
        let fields = [0, 0, 0, mode, 1, self.owner, self.owner, 0, 4096, 0];
        bytes.extend(fields.iter().flat_map(|field| field.to_ne_bytes()));
        bytes
    }

    fn part(&self, from: u64, length: u32) -> Vec<u8> {
        let from = usize::try_from(from).unwrap().min(self.program.len());
        let end = (from + length as usize).min(self.program.len());
        self.program[from..end].to_vec()
    }
}

/// `struct fuse_kstatfs`: nothing of anything, names of 255 bytes.
fn room() -> Vec<u8> {
    let mut bytes = vec![0; 40];
    bytes.extend(
        [4096u32, 255, 4096]
            .iter()
            .flat_map(|field| field.to_ne_bytes()),
    );
    bytes.resize(80, 0);
    bytes
}

/// `struct fuse_init_out` of version 7.31.
fn greeting() -> Vec<u8> {
    let fields = [7u32, 31, 1 << 16, 0, 12 | 9 << 16, 1 << 16, 1];
    let mut bytes: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    bytes.resize(64, 0);
    bytes
}
