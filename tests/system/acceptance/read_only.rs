//! The disk of the journal and of the spool turns read-only under the engine, as ext4 does it
//! after an error: files that are open for writing, too. (`mount -o remount,ro` is refused while
//! there are such files, and a block device that is set read-only goes on being written to.) What
//! was not on the disk by then is gone. Afterwards it is checked and mounted again.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Options, STATE};
use crate::support::{on_private_host, sh, wait_for};

use super::many;
use super::{idle_workshops, judge, worked_off};

const MAILS: usize = 3000;
const TIMES: usize = 4;

/// An ext4 in a file, mounted as the state directory.
struct Disk {
    device: String,
}

impl Disk {
    fn make() -> Disk {
        let device = sh("truncate -s 200M /run/disk && mkfs.ext4 -q -m 0 /run/disk
             losetup --find --show /run/disk");
        let disk = Disk {
            device: device.trim().to_owned(),
        };
        disk.mount();
        disk
    }

    fn mount(&self) {
        sh(&format!(
            "mkdir -p {STATE} && mount -o errors=remount-ro {} {STATE}",
            self.device
        ));
    }

    fn turn_read_only(&self) {
        let name = Path::new(&self.device).file_name().unwrap();
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", name.display());
        fs::write(trigger, "1").unwrap();
        let refused = fs::write(format!("{STATE}/.probe"), "").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }

    /// Of an engine that does not run; a `wod ingest` may still be at it.
    fn mend(&self) {
        wait_for(20, "end of all who use it", || {
            let done = format!("umount {STATE} 2>/dev/null && echo done || true");
            (sh(&done) == "done\n").then_some(())
        });
        sh(&format!("e2fsck -p {} || [ $? -le 1 ]", self.device));
        self.mount();
    }
}

impl Drop for Disk {
    /// A loop device outlives the private host.
    fn drop(&mut self) {
        let device = &self.device;
        sh(&format!(
            "umount --lazy {STATE} || true; losetup --detach {device} || true"
        ));
    }
}

#[test]
fn a_disk_that_turns_read_only_loses_nothing() {
    on_private_host(|| {
        // Declared first, so that the backend ends before its disk goes.
        let disk = Disk::make();
        idle_workshops();
        let mut backend = Backend::start(Options::default());
        let begun = Instant::now();
        let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut told = Vec::new();
        thread::scope(|scope| {
            let (next, over, disk, backend) = (&next, &over, &disk, &mut backend);
            let senders: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || many::send_all(next, MAILS)))
                .collect();
            let disturber = scope.spawn(move || {
                for nth in 0..TIMES {
                    let due = MAILS * (2 * nth + 1) / (2 * TIMES);
                    while next.load(Ordering::SeqCst) < due && !over.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(5));
                    }
                    let before = backend.log().len();
                    disk.turn_read_only();
                    // It tries again and says so, rather than to end.
                    wait_for(20, "word of an engine that cannot write", || {
                        let log = backend.log()[before..].to_lowercase();
                        let said = log.contains("has to wait") || log.contains("cannot take");
                        said.then_some(())
                    });
                    thread::sleep(Duration::from_millis(500));
                    assert!(backend.engine_runs(), "{}", &backend.log()[before..]);
                    backend.kill_engine();
                    disk.mend();
                    backend.start_engine();
                }
            });
            let ended: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
            over.store(true, Ordering::SeqCst);
            disturber.join().unwrap();
            told.extend(ended.into_iter().flat_map(Result::unwrap));
        });
        worked_off(120);
        backend.stop_engine();
        assert!(backend.wod(&["journal", "check"]).status.success());
        backend.start_engine();
        // Of a mail that was put off at that very moment nobody can say whether its file is on the
        // disk, from which nothing can be taken away any more. It comes again, and is done once.
        let later = many::send_again(&mut told);
        assert!(later > 0, "somebody was told to come again");
        println!("{later} mails came again");
        worked_off(60);
        judge(&told, begun.elapsed());
        drop(backend);
    });
}
