//! The files that may call the file system by name.

/// Who else than `safefs` may call the file system by name, and why that is safe. None of them
/// may be given a path that a student can change.
pub const RAW_FILES: &[(&str, &str)] = &[
    ("src/adapters/accounts_linux/ipc.rs", "reads /proc/sysvipc"),
    (
        "src/adapters/accounts_linux/files/write.rs",
        "reads and replaces the account files in /etc",
    ),
    (
        "src/adapters/accounts_linux/fuse.rs",
        "reads and writes the kernel's list of connections below /sys",
    ),
    (
        "src/adapters/accounts_linux/leftovers.rs",
        "asks whether /var/spool/mail is a link",
    ),
    (
        "src/adapters/accounts_linux/machine.rs",
        "reads /proc/self, asks whether a mount point is a file",
    ),
    (
        "src/adapters/accounts_linux/mountinfo.rs",
        "reads /proc/self",
    ),
    ("src/adapters/accounts_linux/mounts.rs", "reads /proc/self"),
    (
        "src/adapters/accounts_linux/passwords.rs",
        "reads /etc/passwd and /etc/shadow",
    ),
    (
        "src/adapters/accounts_linux/processes.rs",
        "reads /proc and /etc/subuid",
    ),
    (
        "src/adapters/accounts_sandbox.rs",
        "reads its own file and /proc, never as root",
    ),
    (
        "src/adapters/scripts.rs",
        "asks whether the site has a script",
    ),
    (
        "src/adapters/scripts/log.rs",
        "writes below WODSTATEDIR/private",
    ),
    ("src/adapters/strays.rs", "reads /proc"),
    ("src/cli.rs", "asks whether there is a journal"),
    (
        "src/cli/demo.rs",
        "checks a home of its own demo, of which it is the only student",
    ),
    (
        "src/cli/demo/place.rs",
        "makes the demo's own directories before there are students",
    ),
    (
        "src/cli/lint.rs",
        "asks what the author names; as whoever runs it",
    ),
    (
        "src/cli/render.rs",
        "asks whether the author names a file; as whoever runs it",
    ),
    ("src/cli/status.rs", "counts the spool"),
    (
        "src/cli/vault/edit.rs",
        "a directory of its own, and what the admin edits",
    ),
    (
        "src/cli/vault/files.rs",
        "the site's secrets, named by its admin; as whoever runs it",
    ),
    ("src/cli/vault/prompt.rs", "opens /dev/tty"),
    (
        "src/cli/watchdog/record.rs",
        "makes a file that the admin names and that is not there yet",
    ),
    (
        "src/cli/watchdog/replay.rs",
        "a recording and a policy, named by the admin; as whoever runs it",
    ),
    (
        "src/content/variables.rs",
        "asks for files of the site's configuration",
    ),
    (
        "src/deliver/history.rs",
        "makes and lengthens its own files below WODSTATEDIR/private",
    ),
    (
        "src/deliver/students/seats.rs",
        "asks whether there is a journal",
    ),
    (
        "src/exec.rs",
        "looks for programs along a PATH of root's own",
    ),
    ("src/exec/end.rs", "reads /proc"),
    ("src/exec/memory.rs", "a file without a name"),
    ("src/exec/pump.rs", "sets a pipe's flags"),
    ("src/exec/service.rs", "is handed open files only"),
    (
        "src/intake/confine.rs",
        "asks whether stdout and stderr are plain files",
    ),
    (
        "src/intake/gatefile.rs",
        "its directory is written by the engine only",
    ),
    (
        "src/intake/spool.rs",
        "a directory handle, no links, checks owner and kind itself",
    ),
    ("src/inventory/files.rs", "reads the site's configuration"),
    ("src/inventory/hosts.rs", "reads the site's configuration"),
    (
        "src/inventory/settings.rs",
        "asks for directories of the site's configuration",
    ),
    ("src/journal/check.rs", "asks whether there is a journal"),
    (
        "src/journal/head.rs",
        "writes beside the journal, below WODSTATEDIR/private",
    ),
    (
        "src/journal/seat_locks.rs",
        "its file is beside the journal",
    ),
    (
        "src/journal/salvage.rs",
        "reads and moves the journal, below WODSTATEDIR/private",
    ),
    (
        "src/site.rs",
        "asks for directories of the site's configuration",
    ),
    (
        "src/site/deliver.rs",
        "asks where WODSTUDDIR is, not what is in it",
    ),
    ("src/site/doctor.rs", "the inventory that the admin named"),
    (
        "src/site/doctor/backend.rs",
        "asks whether there is a journal",
    ),
    (
        "src/site/doctor/content.rs",
        "reads /proc, and asks the kernel whose a process is",
    ),
    (
        "src/site/doctor/host.rs",
        "reads /proc, asks how full file systems are",
    ),
    (
        "src/site/doctor/programs.rs",
        "asks where the hub's proxy is installed",
    ),
    (
        "src/site/ground.rs",
        "asks whose WODSTUDDIR and WODSTATEDIR are, not what is in them",
    ),
    ("src/site/host.rs", "reads /etc/os-release"),
    ("src/site/keys.rs", "writes below WODSTATEDIR/private"),
    (
        "src/site/lint.rs",
        "asks for directories that the author names; as whoever runs it",
    ),
    (
        "src/site/private.rs",
        "asks for a file of the site's configuration",
    ),
    ("src/site/scope.rs", "asks for the site's configuration"),
    (
        "src/site/state.rs",
        "makes WODSTATEDIR, which is the engine's own",
    ),
    ("src/site/students.rs", "asks for directories of workshops"),
    ("src/site/vault.rs", "reads the site's password files"),
    (
        "src/watchdog/cage.rs",
        "reads and writes the kernel's control groups",
    ),
    ("src/watchdog/connector.rs", "reads /proc/net/netlink"),
    (
        "src/watchdog/loader.rs",
        "reads what is open; a stat is a type",
    ),
    ("src/watchdog/glimpse.rs", "reads /proc"),
    (
        "src/watchdog/mounts.rs",
        "reads /proc, and asks what a handle on a program is",
    ),
    ("src/watchdog/procfs.rs", "reads /proc"),
    (
        "src/watchdog/program.rs",
        "reads /proc, and programs through the kernel's handle on them",
    ),
    ("src/site/watchdog.rs", "reads the site's configuration"),
    ("src/watchdog/evidence.rs", "reads /proc"),
    ("src/watchdog/hashes.rs", "asks an open file what it is"),
    ("src/watchdog/sockets.rs", "reads /proc"),
];
