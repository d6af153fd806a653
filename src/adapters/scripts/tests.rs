//! Real scripts, from well behaved to hostile.

#![allow(clippy::disallowed_methods, reason = "tests start what they like")]

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

const TOKEN: &str = "dG9rZW4";
const PASSWORD: &str = "tr0ub4dor&'3";

/// A site with a script directory, a private one and a log directory.
struct Site {
    root: TempDir,
    scripts: WorkshopScripts,
}

impl Site {
    fn new() -> Site {
        Site::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Site {
        let root = tempfile::tempdir().unwrap();
        open_up(root.path());
        for dir in ["public", "private", "log"] {
            fs::create_dir(root.path().join(dir)).unwrap();
            open_up(&root.path().join(dir));
        }
        let name = match users::get_effective_uid() {
            0 => "nobody".to_owned(),
            _ => users::get_current_username()
                .unwrap()
                .into_string()
                .unwrap(),
        };
        let mut config = Config {
            public_dir: root.path().join("public"),
            private_dir: Some(root.path().join("private")),
            user: ScriptUser::find(&name).unwrap(),
            timeout: Duration::from_secs(20),
            functions: Some(Functions {
                dir: root.path().join("lib"),
                program: "/usr/bin/wod".into(),
            }),
            log_dir: root.path().join("log"),
            base_env: vec![("WODBEPORT".to_owned(), "8000".to_owned())],
            secrets: vec![Secret::new("vault-passphrase".to_owned())],
        };
        change(&mut config);
        Site {
            root,
            scripts: WorkshopScripts::new(config),
        }
    }

    fn put(&self, dir: &str, phase: Phase, text: &[u8], mode: u32) -> PathBuf {
        let path = self.path(dir, phase);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn path(&self, dir: &str, phase: Phase) -> PathBuf {
        self.root.path().join(dir).join(name_of(phase, &workshop()))
    }

    fn run_public(&self) -> Result<(), Fault> {
        self.run(Overlay::Public, Vec::new())
    }

    fn run(&self, overlay: Overlay, environment: Vec<(String, String)>) -> Result<(), Fault> {
        self.scripts.run(&ScriptCall {
            action: "17".to_owned(),
            phase: Phase::Create,
            overlay,
            workshop: &workshop(),
            environment,
            password: Some(&Secret::new(PASSWORD.to_owned())),
            token: Some(&Secret::new(TOKEN.to_owned())),
        })
    }

    /// Runs this as the public create script, and gives its result and the log.
    fn result_of(&self, script: &str) -> (Result<(), Fault>, String) {
        self.put("public", Phase::Create, script.as_bytes(), 0o755);
        let result = self.run_public();
        (result, self.log())
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.root.path().join("log/action-17.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn open_up(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

fn workshop() -> WorkshopName {
    "WKSHP-Test".parse().unwrap()
}

fn line_of(result: Result<(), Fault>) -> String {
    result.unwrap_err().line()
}

#[test]
fn scripts_are_found_public_before_private() {
    let site = Site::new();
    let find = |phase| site.scripts.find(phase, &workshop());
    assert!(find(Phase::Create).is_empty());
    site.put("private", Phase::Create, b"", 0o755);
    assert_eq!(find(Phase::Create), [Overlay::Private]);
    site.put("public", Phase::Create, b"", 0o644);
    assert_eq!(find(Phase::Create), [Overlay::Public, Overlay::Private]);
    assert!(find(Phase::Reset).is_empty());
    let alone = Site::with(|config| config.private_dir = None);
    assert!(alone.scripts.find(Phase::Create, &workshop()).is_empty());
}

#[test]
fn the_environment_is_that_of_the_contract_and_nothing_else() {
    let site = Site::new();
    let user = site.scripts.config.user.clone();
    site.put("private", Phase::Create, b"#!/bin/sh\nexec env\n", 0o755);
    let stdid = ("stdid".to_owned(), "7".to_owned());
    site.run(Overlay::Private, vec![stdid]).unwrap();
    let log = site.log();
    let mut seen: Vec<_> = log.lines().filter(|l| !l.starts_with("== ")).collect();
    seen.retain(|line| !line.starts_with("PWD=") && !line.starts_with("_="));
    seen.sort_unstable();
    let mut expected = vec![
        format!("HOME={}", user.home.display()),
        "LANG=C.UTF-8".to_owned(),
        format!("LOGNAME={}", user.name),
        format!("PATH={}/lib:{}", site.root.path().display(), exec::PATH),
        format!("SHELL={}", user.shell.display()),
        format!("USER={}", user.name),
        "WODBEPORT=8000".to_owned(),
        "WODPROGRAM=/usr/bin/wod".to_owned(),
        "accessToken=***".to_owned(),
        "randompw=***".to_owned(),
        "stdid=7".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn a_script_gets_the_password_runs_as_woduser_in_its_directory() {
    let site = Site::new();
    let (result, log) = site.result_of(&format!(
        "#!/bin/bash\n[ \"$randompw\" = \"{PASSWORD}\" ] || exit 9\nid -u\npwd -P\nid -G >&2\n"
    ));
    result.unwrap();
    let id = |option| {
        let name = &site.scripts.config.user.name;
        let output = Cmd::new("id").arg(option).arg(name).run().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = site.root.path().join("public").canonicalize().unwrap();
    let printed = format!("{}{}\n{}", id("-u"), dir.display(), id("-G"));
    let (header, rest) = log.split_once('\n').unwrap();
    assert!(
        header.ends_with("create-WKSHP-Test.sh (public)"),
        "{header}"
    );
    assert!(rest.starts_with(&printed), "{rest}");
    assert!(
        rest[printed.len()..].starts_with("== exit 0 after "),
        "{rest}"
    );
}

#[test]
fn a_failure_names_the_exit_the_last_line_and_the_log() {
    let site = Site::new();
    let (result, log) =
        site.result_of("#!/bin/sh\necho one\necho 'no disk: '$randompw >&2\nexit 3\n");
    let expected = format!(
        "create-WKSHP-Test.sh failed (exit 3): no disk: ***; log {}/log/action-17.log",
        site.root.path().display()
    );
    assert_eq!(line_of(result), expected);
    assert!(log.contains("one\nno disk: ***\n== exit 3 after "));
    let mode = fs::metadata(site.root.path().join("log/action-17.log")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
    let (result, _) = site.result_of("#!/bin/sh\nkill -9 $$\n");
    assert!(line_of(result).contains("failed (signal 9); log"));
}

#[test]
fn runs_of_one_action_share_its_log() {
    let site = Site::new();
    site.result_of("#!/bin/sh\necho first\n").0.unwrap();
    site.result_of("#!/bin/sh\nprintf second\n").0.unwrap();
    let log = site.log();
    assert!(
        log.contains("first\n") && log.contains("second\n== exit 0"),
        "{log}"
    );
    assert_eq!(log.matches("create-WKSHP-Test.sh (public)").count(), 2);
}

#[test]
fn no_secret_reaches_the_log_in_any_usual_form() {
    let site = Site::new();
    let (result, log) = site.result_of(
        "#!/bin/bash\nset -x\ncurl_args=\"user:$randompw\"\n\
         echo \"$randompw\" | base64\nprintf 'admin:%s' \"$randompw\" | base64\n\
         printf '%q\\n' \"$randompw\"\n\
         for c in \"${randompw:0:5}\" \"${randompw:5}\"; do printf %s \"$c\"; sleep 0.1; done\n\
         echo vault-passphrase $WODTOKEN\n",
    );
    result.unwrap();
    // The loop's trace shows the halves, as any tool that takes a secret apart would.
    for form in [
        PASSWORD,
        "dHIwdWI0ZG9yJicz",
        "OnRyMHViNGRvci",
        "dor\\&\\'3",
        "vault-passphrase",
    ] {
        assert!(!log.contains(form), "{form}: {log}");
    }
    site.put(
        "public",
        Phase::Create,
        b"#!/bin/sh\necho $WODBETOKEN\n",
        0o755,
    );
    let token = ("WODBETOKEN".to_owned(), "c0ffee".to_owned());
    site.run(Overlay::Public, vec![token]).unwrap();
    assert!(!site.log().contains("c0ffee"));
}

#[test]
fn a_hanging_script_is_stopped_with_all_that_it_started() {
    let site = Site::with(|config| config.timeout = Duration::from_millis(500));
    let (result, log) = site.result_of(
        "#!/bin/bash\ntrap '' TERM\nset -m\nsleep 987 &\necho pid $!\nsleep 986\nsleep 985\n",
    );
    let line = line_of(result);
    assert!(
        line.starts_with("create-WKSHP-Test.sh failed (stopped after 0 s): pid "),
        "{line}"
    );
    let pid = log.lines().find_map(|l| l.strip_prefix("pid ")).unwrap();
    // A killed process is gone when the kernel comes to it, which on a busy machine is later.
    let is_gone = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_err() || stat.unwrap().contains(") Z ")
    };
    let until = Instant::now() + Duration::from_secs(10);
    while !is_gone() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(is_gone(), "{pid} lives");
}

#[test]
fn a_background_child_does_not_hold_the_run() {
    let site = Site::new();
    let started = Instant::now();
    let (result, log) = site.result_of("#!/bin/bash\nsleep 20 &\ndisown\necho $!\n");
    result.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let lines: Vec<_> = log.lines().collect();
    assert!(lines[2].starts_with("== exit 0"), "{log}");
    Cmd::new("kill").arg(lines[1]).run().unwrap();
}

#[test]
fn binary_and_endless_output_are_borne() {
    let site = Site::new();
    let (result, _) = site
        .result_of("#!/bin/sh\nhead -c 5000000 /dev/zero\nprintf '\\033[2J\\377bad\\n'\nexit 1\n");
    let line = line_of(result);
    assert!(line.contains("(exit 1): "), "{line}");
    assert!(
        line.contains("?[2J\u{fffd}bad") || line.contains('…'),
        "{line}"
    );
    assert!(!line.contains('\u{1b}') && !line.contains('\0'));
    let log = fs::read(site.root.path().join("log/action-17.log")).unwrap();
    assert!(log.len() < 1024 * 1024 + 500);
    assert!(String::from_utf8_lossy(&log).contains("more bytes were not kept"));
}

#[test]
fn what_cannot_be_run_is_told_and_not_run() {
    let site = Site::new();
    let path = site.put("public", Phase::Create, b"#!/bin/sh\n", 0o644);
    let line = line_of(site.run_public());
    assert!(
        line.ends_with("create-WKSHP-Test.sh is not executable; chmod +x"),
        "{line}"
    );
    fs::remove_file(&path).unwrap();
    assert!(line_of(site.run_public()).contains("is gone from"));
    for target in [
        "/etc/passwd",
        "../private/create-WKSHP-Test.sh",
        "/bin/true",
    ] {
        symlink(target, &path).unwrap();
        assert!(
            line_of(site.run_public()).contains("a link that leads out"),
            "{target}"
        );
        fs::remove_file(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    assert_eq!(
        site.scripts.find(Phase::Create, &workshop()),
        [Overlay::Public]
    );
    assert!(line_of(site.run_public()).contains("is not a regular file"));
    fs::remove_dir(&path).unwrap();
    Cmd::new("mkfifo")
        .args(["-m", "755"])
        .arg(&path)
        .run()
        .unwrap();
    assert!(line_of(site.run_public()).contains("is not a regular file"));
    assert_eq!(site.log(), "");
}

#[test]
fn a_link_inside_the_directory_and_a_file_without_interpreter_are_run() {
    let site = Site::new();
    let (result, log) = site.result_of("[[ -n $BASH_VERSION ]] && echo bash it is\n");
    result.unwrap();
    assert!(log.contains("bash it is"));
    let path = site.path("public", Phase::Create);
    fs::rename(&path, path.with_file_name("common.sh")).unwrap();
    symlink("common.sh", &path).unwrap();
    site.run_public().unwrap();
}

#[test]
fn odd_actions_and_variables_are_refused() {
    let site = Site::new();
    site.put("public", Phase::Create, b"#!/bin/sh\n", 0o755);
    for bad in ["", "../x", "a/b", "1\n"] {
        let call = ScriptCall {
            action: bad.to_owned(),
            phase: Phase::Create,
            overlay: Overlay::Public,
            workshop: &workshop(),
            environment: Vec::new(),
            password: None,
            token: None,
        };
        assert!(site.scripts.run(&call).is_err(), "{bad:?}");
    }
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(line_of(site.run(Overlay::Public, vec![pair])).contains("cannot be passed"));
    }
    // Such names are in every inventory.
    let pair = ("IP-WKSHP-Test".to_owned(), "10.0.0.1".to_owned());
    site.run(Overlay::Public, vec![pair]).unwrap();
}

#[test]
fn root_runs_nothing_as_root() {
    if users::get_effective_uid() != 0 {
        writeln!(std::io::stderr(), "skipped: needs root").unwrap();
        return;
    }
    let site = Site::with(|config| config.user.run_as = None);
    let (result, _) = site.result_of("#!/bin/sh\n");
    assert!(line_of(result).contains("is not run as root"));
}
