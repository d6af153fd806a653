//! Every `tests/cases/hostile/*.sh` builds one hostile home, twice. The first is given to its
//! student (`own_tree`), moved into a private trash and removed. Into the second a workshop is
//! published, and then the next guest's home takes its place (`next_guest`). Each time nothing
//! outside may change, and nothing of it may be left.
//!
//! A script has `$HOME_DIR` (the home, made, and its working directory),
//! `$OUTSIDE` (files of others that must stay as they are), `$STUDENT_UID`,
//! `$OTHER_UID` and `$WOD_UID`. Its first line says what the home is. Lines it
//! may have: `# needs: root`, `# where: <dir>` for another place than the usual
//! temporary directory (a tmpfs makes 20,000 files sooner), and `# expect: <text>`
//! when `own_tree` must refuse something with a violation whose message has that
//! text; `# publish: <text>` when publishing must be refused with such a fault.
//! Exit status 77 skips the case, with the reason on stdout.

mod next_guest;
mod races;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wod::safefs::{Dir, Ownership, Replace, look_through, own_tree, remove_tree};

const SKIP: i32 = 77;

/// The three accounts of a case; all are ourselves when we are not root.
#[derive(Clone, Copy)]
struct Accounts {
    student: u32,
    gid: u32,
    other: u32,
    wod: u32,
    root: bool,
}

impl Accounts {
    fn of_this_run() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        match uid {
            0 => Self {
                student: 61001,
                gid: 61001,
                other: 61002,
                wod: 61003,
                root: true,
            },
            _ => Self {
                student: uid,
                gid,
                other: uid,
                wod: 61003,
                root: false,
            },
        }
    }
}

enum Verdict {
    Passed,
    Skipped(String),
}

#[test]
fn every_hostile_home_is_owned_and_removed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/hostile");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/cases/hostile")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension() == Some(OsStr::new("sh")))
        .collect();
    cases.sort();
    assert!(
        cases.len() >= 60,
        "only {} cases in {}",
        cases.len(),
        folder.display()
    );
    let failed = Mutex::new(Vec::new());
    let (next, erased, published) = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(count(&next)) {
                    for (way, done) in [(WAYS[0], &erased), (WAYS[1], &published)] {
                        match run(case, way) {
                            Ok(Verdict::Passed) => drop(count(done)),
                            Ok(Verdict::Skipped(why)) => skipped(case, &why),
                            Err(why) => failed.lock().unwrap().push(why),
                        }
                    }
                }
            });
        }
    });
    println!(
        "{} cases, {} erased, {} published",
        cases.len(),
        erased.into_inner(),
        published.into_inner()
    );
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Its value before.
fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::SeqCst)
}

fn skipped(case: &Path, why: &str) {
    writeln!(std::io::stderr(), "skipped {}: {why}", case.display()).unwrap();
}

/// What is done with a hostile home in `homes/student`, and which line of the case says that it
/// is refused.
type Way = (
    &'static str,
    &'static str,
    fn(&Path, Accounts, Option<&str>) -> Result<(), String>,
);

const WAYS: [Way; 2] = [
    ("erased", "# expect: ", exercise),
    ("published", "# publish: ", next_guest::exercise),
];

/// The directory of one case. Also after a failure it must not stay behind, and
/// then it may be full of what `tempfile` cannot remove.
struct Scratch(tempfile::TempDir);

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = self.0.path();
        if fs::remove_dir_all(path).is_err() {
            let _ = Command::new("chattr")
                .args(["-R", "-f", "-i", "-a"])
                .arg(path)
                .output();
            let _ = Command::new("chmod")
                .args(["-R", "-f", "u+rwx"])
                .arg(path)
                .output();
            let _ = Command::new("rm").arg("-rf").arg(path).output();
        }
    }
}

fn run(case: &Path, way: Way) -> Result<Verdict, String> {
    let begun = std::time::Instant::now();
    let (what, expectation, _) = way;
    let name = case.file_stem().expect("stem").to_string_lossy();
    let done = run_one(case, way).map_err(|why| format!("{name}, {what} ({expectation}): {why}"));
    if let Ok(Verdict::Passed) = done {
        println!(
            "ok      {name}, {what} ({} ms)",
            begun.elapsed().as_millis()
        );
    }
    done
}

fn run_one(case: &Path, (_, expectation, exercise): Way) -> Result<Verdict, String> {
    let accounts = Accounts::of_this_run();
    let script = fs::read_to_string(case).map_err(|e| e.to_string())?;
    if script.lines().any(|line| line == "# needs: root") && !accounts.root {
        return Ok(Verdict::Skipped("needs root".into()));
    }
    let expected = script
        .lines()
        .find_map(|line| line.strip_prefix(expectation));
    let place = script
        .lines()
        .find_map(|line| line.strip_prefix("# where: "))
        .map(PathBuf::from)
        .filter(|place| place.is_dir())
        .unwrap_or_else(std::env::temp_dir);
    let temp = tempfile::Builder::new()
        .prefix("hostile-")
        .tempdir_in(place)
        .map_err(|e| e.to_string())?;
    let scratch = Scratch(temp);
    let path = scratch.0.path();
    let (homes, outside) = (path.join("homes"), path.join("outside"));
    fs::create_dir_all(homes.join("student")).map_err(|e| e.to_string())?;
    populate(&outside, accounts);
    let before = snapshot(&outside);
    let built = build(case, &homes.join("student"), &outside, accounts)?;
    if let Verdict::Skipped(_) = built {
        return Ok(built);
    }
    let checked = exercise(&homes, accounts, expected);
    let after = snapshot(&outside);
    if before != after {
        return Err(format!("the outside changed:\n  {before:?}\n  {after:?}"));
    }
    checked.map(|()| Verdict::Passed)
}

fn build(case: &Path, home: &Path, outside: &Path, who: Accounts) -> Result<Verdict, String> {
    let out = Command::new("sh")
        .arg("-eu")
        .arg(case)
        .current_dir(home)
        .env("HOME_DIR", home)
        .env("OUTSIDE", outside)
        .env("STUDENT_UID", who.student.to_string())
        .env("OTHER_UID", who.other.to_string())
        .env("WOD_UID", who.wod.to_string())
        .env("LC_ALL", "C")
        .output()
        .map_err(|e| e.to_string())?;
    match out.status.code() {
        Some(0) => Ok(Verdict::Passed),
        Some(SKIP) => Ok(Verdict::Skipped(
            String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        )),
        _ => Err(format!(
            "the script failed: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        )),
    }
}

fn exercise(homes: &Path, who: Accounts, expected: Option<&str>) -> Result<(), String> {
    let said = |what: &str, e: wod::safefs::Error| format!("{what}: {e}");
    let root = Dir::open_root(homes).map_err(|e| said("open", e))?;
    let trash = root
        .private_dir(OsStr::new("trash"))
        .map_err(|e| said("trash", e))?;
    let to = Ownership {
        uid: who.student,
        gid: who.gid,
        also: Some(who.wod),
    };
    // A home that is no directory any more, or one that nobody can list.
    let owned = root.open_dir(Path::new("student")).and_then(|home| {
        let look = look_through(&home, &to).map(|look| look.changed > 0);
        let changed = own_tree(&home, &to)?.changed > 0;
        // What is locked can only be told by opening it.
        let told = look.is_err() || look.is_ok_and(|look| look == changed);
        let again = look_through(&home, &to)?;
        Ok((own_tree(&home, &to)?, told, again))
    });
    let owned = match owned {
        Ok((_, false, _)) => return Err("a look told something else than what was done".into()),
        Ok((_, _, again)) if again.changed > 0 => {
            return Err(format!(
                "a look finds {} entries to change afterwards",
                again.changed
            ));
        }
        Ok((owned, ..)) => Ok(owned),
        Err(e) => Err(e),
    };
    match (owned, expected) {
        (Ok(again), None) if again.changed > 0 => {
            return Err(format!(
                "the second own_tree changed {} entries",
                again.changed
            ));
        }
        (Ok(_), None) => proper(homes, who)?,
        (Ok(_), Some(text)) => return Err(format!("own_tree did not refuse: {text}")),
        (Err(e), Some(text)) if e.to_string().contains(text) && e.is_violation() => {}
        (Err(e), _) => return Err(said("own_tree", e)),
    }
    root.rename_to(
        OsStr::new("student"),
        &trash,
        OsStr::new("old"),
        Replace::Refuse,
    )
    .map_err(|e| said("rename", e))?;
    remove_tree(&trash, OsStr::new("old")).map_err(|e| said("remove_tree", e))?;
    match (
        homes.join("student").symlink_metadata().is_ok(),
        trash.entries(),
    ) {
        (true, _) => Err("the home is still there".into()),
        (_, Ok(left)) if !left.is_empty() => Err(format!("the trash has {left:?}")),
        (_, Err(e)) => Err(said("trash", e)),
        _ => Ok(()),
    }
}

/// After `own_tree`: all is the student's, nothing is setuid or setgid, and the
/// home is closed to others.
fn proper(homes: &Path, who: Accounts) -> Result<(), String> {
    let home = homes.join("student");
    if home.metadata().map_err(|e| e.to_string())?.mode() & 0o7 != 0 {
        return Err("others can enter the home".into());
    }
    let wrong = format!(
        "( ! -uid {} -o -type f -perm /6000 -o -type d -perm /6000 )",
        who.student
    );
    let found = Command::new("find")
        .arg(&home)
        .args(wrong.split(' '))
        .args(["-print", "-quit"])
        .output()
        .map_err(|e| e.to_string())?;
    match found.stdout.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "left as it was: {}",
            String::from_utf8_lossy(&found.stdout).trim()
        )),
    }
}

/// What others have: an /etc, another student's home, and a workshop.
fn populate(outside: &Path, who: Accounts) {
    let file = |path: &str, mode: u32, uid: u32| {
        let path = outside.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(&path, format!("canary {}\n", path.display())).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        if who.root {
            lchown(&path, Some(uid), Some(uid)).expect("chown");
        }
    };
    file("etc/shadow", 0o600, 0);
    file("etc/passwd", 0o644, 0);
    file("etc/cron.d/job", 0o644, 0);
    file("home/.ssh/authorized_keys", 0o600, who.other);
    file("home/notes", 0o666, who.other);
    file("bin/tool", 0o4755, 0);
    file("workshop/README", 0o664, who.wod);
    symlink("README", outside.join("workshop/link")).expect("link");
    fs::create_dir(outside.join("empty")).expect("mkdir");
    if who.root {
        lchown(outside.join("home"), Some(who.other), Some(who.other)).expect("chown");
    }
}

/// Everything about a tree that a case could change and must not.
fn snapshot(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let m = path.symlink_metadata().expect("canary");
        let content = match () {
            () if m.is_dir() => {
                todo.extend(
                    fs::read_dir(&path)
                        .expect("list")
                        .map(|e| e.expect("entry").path()),
                );
                Vec::new()
            }
            () if m.is_symlink() => fs::read_link(&path)
                .expect("link")
                .as_os_str()
                .as_bytes()
                .to_vec(),
            () => fs::read(&path).expect("read"),
        };
        let line = format!(
            "{:o} {}:{} {} links, {}.{} {:?}",
            m.mode(),
            m.uid(),
            m.gid(),
            m.nlink(),
            m.mtime(),
            m.mtime_nsec(),
            String::from_utf8_lossy(&content)
        );
        found.insert(path, line);
    }
    found
}
