//! Removal of trees, and of what an account left among others' files.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;

#[test]
fn a_tree_goes_whatever_its_shape() {
    let (temp, dir) = scratch();
    let top = dir.make_dir(p("t"), 0o700).unwrap();
    // Deeper than PATH_MAX, than the handles a process has and than a stack bears.
    let mut at = top.try_clone().unwrap();
    for _ in 0..5000 {
        at = at.make_dir(p("d"), 0o700).unwrap();
    }
    at.write(p("leaf"), b"", 0o600).unwrap();
    // Without root, a closed directory cannot be built beneath: see mode-000-nested.sh.
    let closed = if geteuid().is_root() { 0o000 } else { 0o700 };
    for i in 0..200 {
        top.make_dir(p(&format!("w{i}/x/y")), closed).unwrap();
        top.write(p(&format!("w{i}/x/f")), b"", 0o400).unwrap();
    }
    assert_eq!(
        find_owned(&dir, geteuid().as_raw(), usize::MAX, &|_| false)
            .unwrap()
            .len(),
        5802
    );
    let owned = own_tree(&top, &me()).unwrap();
    assert_eq!(owned.entries, 5802);
    assert_eq!(own_tree(&top, &me()).unwrap().changed, 0);
    let removed = remove_tree(&dir, n("t")).unwrap();
    assert_eq!((removed.files, removed.dirs), (201, 5601));
    assert_eq!(remove_tree(&dir, n("t")).unwrap(), Removed::default());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_single_file_or_link_is_a_tree_too() {
    let (temp, dir) = scratch();
    fs::create_dir(temp.path().join("kept")).unwrap();
    fs::write(temp.path().join("f"), "").unwrap();
    symlink("kept", temp.path().join("l")).unwrap();
    assert_eq!(remove_tree(&dir, n("f")).unwrap().files, 1);
    assert_eq!(remove_tree(&dir, n("l")).unwrap().files, 1);
    assert!(temp.path().join("kept").exists());
}

#[test]
fn removal_gives_up_on_a_tree_that_is_refilled() {
    let (temp, dir) = scratch();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (stop, path) = (&stop, temp.path().join("t/sub"));
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let _ = fs::create_dir_all(&path);
                    let _ = fs::write(path.join(format!("{thread}-{i}")), "");
                }
            });
        }
        // It may win at times; what counts is that it ends, and how it fails.
        let until = Instant::now() + Duration::from_millis(400);
        while Instant::now() < until {
            if let Err(error) = remove_tree(&dir, n("t")) {
                assert!(
                    matches!(error.cause(), Cause::KeepsFilling | Cause::Moved),
                    "{error}"
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    remove_tree(&dir, n("t")).unwrap();
}

#[test]
fn residue_goes_and_what_others_have_stays() {
    if !needs_root("residue_goes_and_what_others_have_stays") {
        return;
    }
    let (temp, dir) = scratch();
    let at = |path: &str| temp.path().join(path);
    let make = |path: &str, uid| {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), "").unwrap();
        chown(&at(path), uid);
    };
    for (path, uid) in [
        ("mine", STUDENT),
        ("theirs", OTHER),
        ("d/e/mine", STUDENT),
        ("o/mine", STUDENT),
    ] {
        make(path, uid);
    }
    for (path, uid) in [
        ("s/mine", STUDENT),
        ("s/sub/theirs", OTHER),
        ("s/t/mine", STUDENT),
    ] {
        make(path, uid);
    }
    symlink(at("theirs"), at("link")).unwrap();
    symlink(at("theirs"), at("s/link")).unwrap();
    for (path, uid) in [
        ("d", STUDENT),
        ("d/e", STUDENT),
        ("o", OTHER),
        ("s", STUDENT),
        ("link", STUDENT),
    ] {
        chown(&at(path), uid);
    }
    for (path, uid) in [("s/sub", OTHER), ("s/t", STUDENT), ("s/link", STUDENT)] {
        chown(&at(path), uid);
    }
    chmod(&at("s"), 0o2777);
    assert_eq!(find_owned(&dir, STUDENT, 99, &|_| false).unwrap().len(), 11);
    assert_eq!(find_owned(&dir, STUDENT, 2, &|_| false).unwrap().len(), 2);
    assert_eq!(
        remove_owned(&dir, &uids(&[STUDENT])).unwrap(),
        Removed {
            files: 7,
            dirs: 3,
            kept: 1
        }
    );
    assert!(
        find_owned(&dir, STUDENT, 99, &|_| false)
            .unwrap()
            .is_empty()
    );
    assert!(at("theirs").exists() && at("s/sub/theirs").exists() && at("o").exists());
    let stat = dir.stat(p("s")).unwrap().unwrap();
    assert_eq!((stat.uid, stat.mode), (0, 0o755));
    assert_eq!(
        remove_owned(&dir, &uids(&[STUDENT])).unwrap(),
        Removed::default()
    );
    assert!(matches!(
        remove_owned(&dir, &uids(&[STUDENT, 0]))
            .unwrap_err()
            .cause(),
        Cause::Protected
    ));
}

#[test]
fn residue_of_several_goes_wherever_they_put_it() {
    if !needs_root("residue_of_several_goes_wherever_they_put_it") {
        return;
    }
    let (temp, dir) = scratch();
    let at = |path: &str| temp.path().join(path);
    // In the order of their making; what is a directory comes before what is in it.
    for (path, uid) in [
        ("a", STUDENT),
        ("a/b", OTHER),
        ("a/b/c", STUDENT),
        ("a/b/c/d", OTHER),
        ("e", OTHER),
        ("e/f", WOD),
        ("e/g", STUDENT),
        ("h", WOD),
        ("h/i", STUDENT),
        ("h/j", OTHER),
    ] {
        fs::create_dir(at(path)).unwrap();
        chown(&at(path), uid);
    }
    let removed = remove_owned(&dir, &uids(&[STUDENT, OTHER])).unwrap();
    assert_eq!((removed.dirs, removed.kept), (7, 1));
    let left: Vec<_> = ["e", "e/f", "h"]
        .iter()
        .map(|path| fs::metadata(at(path)).unwrap().uid())
        .collect();
    assert_eq!(left, [0, WOD, WOD]);
    assert!(!at("a").exists() && !at("h/i").exists() && !at("h/j").exists());
}

fn uids(all: &[u32]) -> Arc<BTreeSet<u32>> {
    Arc::new(all.iter().copied().collect())
}
