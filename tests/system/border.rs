//! A process takes the intake's place, same account and same confinement, and tries what an
//! intruder would: nothing but the spool is in its reach, and what it puts there does no harm.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};
use wod::intake::confine::{self, Account, Demand, Ground};
use wod::intake::spool::Spool;

use crate::support::backend::{Backend, Options, SENDER, SMTP, STATE, home};
use crate::support::{on_private_host, sh, wait_for};

const INTRUDER: &str = "WOD_TEST_INTRUDER";
const HUB: &str = "127.0.0.1:8000";
const ABSTRACT: &str = "wod-test";
/// Not taken by the engine, as if it was still being written.
const OTHERS: &str = ".tmp-of-root";

fn id(what: &str) -> u32 {
    sh(&format!("id {what} wodmail")).trim().parse().unwrap()
}

fn confined_backend() -> Backend {
    let backend = Backend::start(Options {
        inventory: "WODSIGNATURES: required\nWODCONFINE: required\n",
        ..Options::default()
    });
    // What `wod test-action` signs with.
    assert!(backend.wod(&["keys", "new"]).status.success());
    backend
}

/// The intake of this engine.
fn intake(backend: &Backend) -> PathBuf {
    let engine = format!("PPid:\t{}\n", backend.engine_id());
    wait_for(10, "intake", || {
        let mut all = fs::read_dir("/proc").unwrap().map(|e| e.unwrap().path());
        all.find(|path| {
            let words = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            words.contains("\0intake\0") && status.contains(&engine)
        })
    })
}

#[test]
fn the_intake_has_nothing_but_its_account() {
    on_private_host(|| {
        let backend = confined_backend();
        let intake = intake(&backend);
        let (uid, gid) = (id("-u"), id("-g"));
        wait_for(10, "confined intake", || {
            let line = format!(
                "intake is confined: uid {uid}, no capabilities, no new privileges, empty network, \
                 landlock abi "
            );
            backend.log().contains(&line).then_some(())
        });
        let four = |id: u32| format!("{id}\t{id}\t{id}\t{id}");
        let mut threads = 0;
        for thread in fs::read_dir(intake.join("task")).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let field = |name: &str| {
                let mut lines = status.lines();
                let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                found.unwrap().trim().to_owned()
            };
            assert_eq!(field("Uid"), four(uid), "{status}");
            assert_eq!(field("Gid"), four(gid), "{status}");
            assert_eq!(field("Groups"), "", "{status}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(field(set), "0".repeat(16), "{set}: {status}");
            }
            assert_eq!(field("NoNewPrivs"), "1", "{status}");
            threads += 1;
        }
        assert_eq!(threads, 17, "all that it will ever have");
        let limits = fs::read_to_string(intake.join("limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name));
            let mut words = line.unwrap().split_ascii_whitespace();
            words.next().unwrap().to_owned()
        };
        assert_eq!(limit("Max processes"), "0");
        assert_eq!(limit("Max core file size"), "0");
        assert_eq!(limit("Max open files"), "1024");
        let network = |of: &Path| fs::read_link(of.join("ns/net")).unwrap();
        assert_ne!(network(&intake), network(Path::new("/proc/self")));
        // Not dumpable: its files in /proc are root's.
        assert_eq!(intake.join("environ").metadata().unwrap().uid(), 0);
    });
}

#[test]
fn whoever_takes_its_place_reaches_nothing_but_the_spool() {
    on_private_host(|| {
        if let Ok(engine) = std::env::var(INTRUDER) {
            return intrude(Pid::from_raw(engine.parse().unwrap()));
        }
        let mut backend = confined_backend();
        let created = backend.act(&["CREATE", "WKSHP-API101", "12", "--participant", "825"]);
        assert_eq!(created["state"], "done", "{created}");
        let _hub = TcpListener::bind(HUB).unwrap();
        let name = SocketAddr::from_abstract_name(ABSTRACT).unwrap();
        let _socket = UnixListener::bind_addr(&name).unwrap();
        File::create(format!("{STATE}/spool/{OTHERS}")).unwrap();
        let output = intruder(&backend);
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(Path::new(&format!("{STATE}/spool/{OTHERS}")).exists());
        for told in [
            "000000001-1-0000000000000000.action has 2 names",
            "000000002-1-0000000000000000.action is larger than 16 KiB",
            "000000003-1-0000000000000000.action is not a record",
            "000000004-1-0000000000000000.action is not a record",
            "000000005-1-0000000000000000.action participant: expected",
            "refused: signature: expected an X-Wod-Signature header",
            "refused: signature: key `guess` is not known here",
        ] {
            wait_for(10, told, || backend.log().contains(told).then_some(()));
        }
        goes_on(&mut backend, 3);
    });
}

/// Nothing forged was carried out, and the next mail is.
fn goes_on(backend: &mut Backend, refused: usize) {
    let all = backend.settled(1 + refused);
    assert_eq!(all.len(), 1 + refused, "{all:?}");
    assert!(all[1..].iter().all(|action| action["state"] == "refused"));
    let seat = backend.seat(12).unwrap();
    assert_eq!(seat["participant"], 825, "{seat}");
    let created = backend.act(&["CREATE", "WKSHP-API101", "13"]);
    assert_eq!(created["state"], "done", "{created}");
    backend.stop_engine();
}

/// This test again, as the intruder; its output is a pipe, as the intake's log usually is.
fn intruder(backend: &Backend) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "border::whoever_takes_its_place_reaches_nothing_but_the_spool",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(INTRUDER, backend.engine_id().to_string())
        .output()
        .unwrap()
}

fn in_spool(number: u32) -> PathBuf {
    Path::new(STATE).join(format!("spool/{number:020}-1-0000000000000000.action"))
}

fn take_its_place() -> Spool {
    let account = Account {
        uid: id("-u"),
        gid: id("-g"),
    };
    confine::give_up_privileges(Some(account)).unwrap();
    let (spool, public) = (
        Path::new(STATE).join("spool"),
        Path::new(STATE).join("public"),
    );
    let open = Spool::open(&spool).unwrap();
    let ground = Ground {
        spool: &spool,
        public: &public,
    };
    confine::shut_in(ground, Demand::Required).unwrap();
    confine::limit().unwrap();
    confine::start_nothing_more().unwrap();
    open
}

fn intrude(engine: Pid) {
    let _spool = take_its_place();
    assert_eq!(getrlimit(Resource::Fsize).maximum, Some(64 << 10));
    // It can do its work, so that what fails below does not fail for another reason.
    fs::read(format!("{STATE}/public/gate.json")).unwrap();
    let mut done: Vec<String> = Vec::new();
    let mut attempt = |what: &str, outcome: io::Result<()>| match outcome {
        Ok(()) => done.push(what.to_owned()),
        Err(e) => println!("{what}: {e}"),
    };
    let ours = |name: &str| format!("{STATE}/{name}");
    for file in [
        ours("private/journal.db"),
        ours("private/keys.json"),
        "/etc/wod/inventory/group_vars/all.yml".to_owned(),
        "/etc/shadow".to_owned(),
        "/etc/passwd".to_owned(),
        "/proc/self/cmdline".to_owned(),
        format!("/proc/{engine}/mem"),
        format!("/proc/{engine}/environ"),
        format!("/proc/{engine}/cmdline"),
        format!("/proc/{engine}/root/etc/passwd"),
        home(12)
            .join("WKSHP-API101/0-ReadMeFirst.ipynb")
            .display()
            .to_string(),
        ours(&format!("spool/{OTHERS}")),
    ] {
        attempt(&format!("read {file}"), File::open(&file).map(drop));
    }
    for dir in [
        "/",
        "/home",
        "/tmp",
        STATE,
        &ours("spool"),
        &ours("spool/bad"),
    ] {
        attempt(&format!("list {dir}"), fs::read_dir(dir).map(drop));
    }
    for file in [
        "/tmp/x".to_owned(),
        "/var/tmp/x".to_owned(),
        "/dev/shm/x".to_owned(),
        "/dev/null".to_owned(),
        ours("public/gate.json"),
        ours("public/x"),
        ours("spool/bad/x"),
        ours("private/wake/now"),
        format!("/proc/{engine}/oom_score_adj"),
        "/proc/self/oom_score_adj".to_owned(),
    ] {
        let file = Path::new(&file);
        let opened = File::options().create(true).append(true).open(file);
        attempt(&format!("write {}", file.display()), opened.map(drop));
    }
    attempt(
        "cut the gate's policy",
        fs::write(ours("public/gate.json"), ""),
    );
    attempt("delete it", fs::remove_file(ours("public/gate.json")));
    attempt(
        "delete another's",
        fs::remove_file(ours(&format!("spool/{OTHERS}"))),
    );
    attempt(
        "move it",
        fs::rename(ours(&format!("spool/{OTHERS}")), in_spool(9)),
    );
    attempt(
        "open the spool",
        fs::set_permissions(ours("spool"), PermissionsExt::from_mode(0o777)),
    );
    attempt("a link", symlink("/etc/shadow", in_spool(9)));
    attempt("a directory", fs::create_dir(in_spool(9)));
    attempt("a socket", UnixListener::bind(in_spool(9)).map(drop));
    for kind in [FileType::Fifo, FileType::CharacterDevice] {
        let made = mknodat(CWD, in_spool(9), kind, Mode::RUSR, 0);
        attempt(&format!("a {kind:?}"), made.map_err(Into::into));
    }
    let link = fs::hard_link(ours("public/gate.json"), in_spool(9));
    attempt("another name for the policy", link);
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        for target in [engine, nix::unistd::getppid()] {
            let sent = kill(target, signal);
            attempt(&format!("signal {signal:?}"), sent.map_err(Into::into));
        }
    }
    attempt(
        "trace",
        nix::sys::ptrace::attach(engine).map_err(Into::into),
    );
    for port in [HUB, SMTP] {
        attempt(
            &format!("connect {port}"),
            TcpStream::connect(port).map(drop),
        );
    }
    attempt("listen", TcpListener::bind("127.0.0.1:0").map(drop));
    let datagram = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", HUB));
    attempt("send", datagram.map(drop));
    let name = SocketAddr::from_abstract_name(ABSTRACT).unwrap();
    attempt(
        "an abstract socket",
        UnixStream::connect_addr(&name).map(drop),
    );
    attempt(
        "start a thread",
        std::thread::Builder::new().spawn(|| ()).map(drop),
    );
    attempt(
        "start a process",
        Command::new("/bin/true").status().map(drop),
    );
    let root = nix::unistd::Uid::from_raw(0);
    attempt(
        "become root",
        nix::unistd::setresuid(root, root, root).map_err(Into::into),
    );
    let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
    let unshared = unshared.map_err(Into::into).and_then(|()| {
        // A user namespace of its own gives no rights over what is outside of it.
        File::open("/etc/shadow").map(drop)
    });
    attempt("a namespace of its own", unshared);
    assert!(done.is_empty(), "succeeded: {done:?}");
    leave_garbage();
}

/// All that it can leave: regular files of its own.
fn leave_garbage() {
    let put = |number: u32, text: &str| {
        // As the door does it: whole before it has its name.
        let temporary = Path::new(STATE).join(format!("spool/.tmp-{number}"));
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        drop(file);
        if number == 1 {
            fs::hard_link(&temporary, temporary.with_extension("twin")).unwrap();
        }
        fs::rename(&temporary, in_spool(number)).unwrap();
    };
    let good = record(12, &json!({}));
    put(1, &good);
    put(2, &(good.clone() + &" ".repeat(17 << 10)));
    put(3, &good[..good.len() / 2]);
    put(4, &record(12, &json!({"run": "/bin/sh"})));
    put(
        5,
        &record(
            12,
            &json!({"action": {"verb": "PURGE", "seat": "of_participant", "participant": 0}}),
        ),
    );
    put(6, &record(41, &json!({})));
    put(7, &good);
    let signed = json!({
        "signature": format!("v1 guess {} {}", now(), "ab".repeat(32)),
        "subject": "PURGE 12 825", "line": "",
    });
    put(8, &record(12, &json!({"signed": signed})));
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[test]
fn without_landlock_the_engine_still_takes_none_of_it() {
    on_private_host(|| {
        let mut backend = Backend::start(Options::default());
        let created = backend.act(&["CREATE", "WKSHP-API101", "12", "--participant", "825"]);
        assert_eq!(created["state"], "done", "{created}");
        fs::write("/run/outside", record(41, &json!({}))).unwrap();
        let name = |number: u32| format!("{number:020}-1-0000000000000000.action");
        sh(&format!(
            "cd {STATE}/spool; as='setpriv --reuid=wodmail --regid=wodmail --clear-groups'
             $as ln -s /etc/shadow {}; $as ln -s {STATE}/public/gate.json {}
             $as mkfifo {}; $as mkdir {}; $as touch 'a b'
             $as cp /run/outside .tmp-1; $as mv .tmp-1 {}
             for try in 'ls .' 'cat {STATE}/private/keys.json' 'kill {}'; do
               if $as $try; then echo it can $try; exit 1; fi
             done",
            name(1),
            name(2),
            name(3),
            name(4),
            name(5),
            backend.engine_id()
        ));
        for told in [
            "000000001-1-0000000000000000.action is a symbolic link",
            "000000002-1-0000000000000000.action is a symbolic link",
            "000000003-1-0000000000000000.action is not a regular file",
            "000000004-1-0000000000000000.action is not a regular file",
            "a b has a name that the door never gives",
            "refused: student `41`",
        ] {
            wait_for(10, told, || backend.log().contains(told).then_some(()));
        }
        goes_on(&mut backend, 1);
    });
}

#[test]
fn ingest_gives_up_what_its_caller_has() {
    on_private_host(|| {
        let _backend = Backend::start(Options::default());
        let mut ingest = Command::new("/run/wod")
            .args(["ingest", "--sender", SENDER])
            .env("WODLOG", "debug")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", ingest.id());
        let fields = |text: &str, names: &[&str], value: &str| {
            names
                .iter()
                .all(|name| text.contains(&format!("\n{name}:\t{value}\n")))
        };
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        wait_for(10, "process that gave up root's rights", || {
            let text = fs::read_to_string(&status).unwrap();
            let given =
                fields(&text, &sets, &"0".repeat(16)) && fields(&text, &["NoNewPrivs"], "1");
            given.then_some(())
        });
        let mut stdin = ingest.stdin.take().unwrap();
        stdin
            .write_all(b"Subject: CREATE 12 825\n\nWKSHP-API101\n")
            .unwrap();
        drop(stdin);
        let output = ingest.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("no new privileges, landlock abi "), "{said}");
    });
}

/// A forged record for a PURGE, with these fields changed or added.
fn record(student: u32, more: &Value) -> String {
    let mut record = json!({
        "version": 1, "received": 0, "route": "smtp", "peer": "x", "sender": "frontend@test",
        "message_id": format!("<{student}@forged>"),
        "action": {"verb": "PURGE", "seat": {"students": [student, student]}, "participant": 825},
    });
    for (key, value) in more.as_object().unwrap() {
        record[key] = value.clone();
    }
    record.to_string()
}
