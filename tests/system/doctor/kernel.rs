//! Kernels that lack something: a filter answers its system call as they would.

use std::fs;
use std::process::Command;

use super::{doctor, only_new, told};
use crate::support::backend::{Backend, Options};
use crate::support::on_private_host;

/// Numbers of system calls, the same on all machines.
const OPENAT2: &str = "437";
const LANDLOCK_CREATE_RULESET: &str = "444";

/// old-kernel.py NUMBER PROGRAM ARGUMENT…: the program's system call of that number does not exist.
const OLD_KERNEL: &str = r#"
import ctypes, os, struct, sys

def word(code, if_true, if_false, value):
    return struct.pack("HBBI", code, if_true, if_false, value)

# Load the number; is it this one: ENOSYS, else go on.
program = ctypes.create_string_buffer(
    word(0x20, 0, 0, 0)
    + word(0x15, 0, 1, int(sys.argv[1]))
    + word(0x06, 0, 0, 0x00050000 | 38)
    + word(0x06, 0, 0, 0x7FFF0000)
)

class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]

libc = ctypes.CDLL(None, use_errno=True)
filter = Filter(4, ctypes.cast(program, ctypes.c_void_p))
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(filter), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn without(number: &str, words: &[&str]) -> (i32, Vec<(String, String)>) {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["/run/old-kernel.py", number, "/run/wod"]);
    told(command.args(words).args(["doctor", "--json"]))
}

#[test]
fn what_a_kernel_lacks_is_told() {
    on_private_host(|| {
        fs::write("/run/old-kernel.py", OLD_KERNEL).unwrap();
        let _backend = Backend::start(Options::default());
        let (at_first, usual) = doctor(&[]);
        // The filter itself changes nothing.
        const NO_SUCH: &str = "9999";
        assert_eq!(without(NO_SUCH, &[]), (at_first, usual.clone()));
        // This network is not the one that the kernel gives its process connector to.
        assert!(
            usual
                .iter()
                .any(|(check, line)| check == "kernel" && line.contains("no process connector")),
            "{usual:?}"
        );

        let no_landlock = "this kernel has no Landlock";
        let (status, found) = without(LANDLOCK_CREATE_RULESET, &[]);
        only_new(&usual, &found, &[("kernel", no_landlock)]);
        assert_eq!(status, at_first);
        let (status, found) = without(LANDLOCK_CREATE_RULESET, &["-e", "WODCONFINE=required"]);
        only_new(&usual, &found, &[("kernel", "WODCONFINE is required")]);
        assert_eq!(status, 1);

        let (status, found) = without(OPENAT2, &[]);
        assert_eq!(status, 1);
        assert!(
            found
                .iter()
                .any(|(check, line)| check == "kernel" && line.contains("no openat2")),
            "{found:?}"
        );
    });
}
