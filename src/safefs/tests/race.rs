//! A student who is still at work while root is.

use super::*;

/// Exchanges `home/d` and `home/l` (a link to the directory outside) as fast as
/// it can while `work` runs, for about half a second.
fn while_swapping(work: impl Fn(&Dir, &Dir)) {
    let (temp, dir) = scratch();
    let outside = dir.make_dir(p("outside"), 0o755).unwrap();
    outside.write(p("canary"), b"sings", 0o644).unwrap();
    outside.make_dir(p("sub"), 0o755).unwrap();
    let before = outside.stat(p("canary")).unwrap();
    let home = dir.make_dir(p("home"), 0o755).unwrap();
    home.symlink(&temp.path().join("outside"), p("l")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (d, l) = (temp.path().join("home/d"), temp.path().join("home/l"));
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, &d, CWD, &l, RenameFlags::EXCHANGE);
            }
        });
        let until = Instant::now() + Duration::from_millis(500);
        while Instant::now() < until {
            let _ = home.make_dir(p("d"), 0o755);
            work(&home, &dir);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(outside.stat(p("canary")).unwrap(), before);
    let names: Vec<_> = outside
        .entries()
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["canary", "sub"]);
    assert_eq!(outside.stat(p(".")).unwrap().unwrap().mode, 0o755);
    assert_eq!(outside.stat(p("sub")).unwrap().unwrap().mode, 0o755);
    remove_tree(&dir, n("home")).unwrap();
}

#[test]
fn a_swap_during_writes_stays_inside() {
    while_swapping(|home, _| {
        let _ = home.write(p("d/canary"), b"cat", 0o600);
        let _ = home.symlink(p("x"), p("d/canary"));
        let _ = home.make_dir(p("d/new/deep"), 0o700);
        let _ = home.remove_file(p("d/canary"));
        let _ = home.set_mode(p("d"), 0o700);
        let _ = home.set_mode(p("d/sub"), 0o700);
    });
}

#[test]
fn a_swap_during_own_tree_stays_inside() {
    let to = match geteuid().is_root() {
        true => Ownership {
            uid: STUDENT,
            gid: STUDENT,
            also: Some(WOD),
        },
        false => me(),
    };
    while_swapping(|home, _| {
        let _ = home.write(p("d/canary"), b"cat", 0o600);
        let _ = own_tree(home, &to);
    });
}

#[test]
fn a_swap_during_removal_stays_inside() {
    while_swapping(|home, _| {
        let _ = home.make_dir(p("d/sub/a/b"), 0o700);
        let _ = home.write(p("d/canary"), b"cat", 0o600);
        let _ = remove_tree(home, n("d"));
        if home.stat(p("l")).unwrap().is_none() {
            let target = home.path().with_file_name("outside");
            let _ = home.symlink(&target, p("l"));
        }
    });
}

#[test]
fn a_swap_during_a_copy_stays_inside() {
    while_swapping(|home, dir| {
        let from = dir.make_dir(p("from"), 0o755).unwrap();
        from.make_dir(p("d/sub"), 0o700).unwrap();
        from.write(p("d/canary"), b"cat", 0o600).unwrap();
        let _ = copy_tree(&from, home, all());
        // And the other way: what is copied out of the home is never the canary.
        let out = dir.make_dir(p("out"), 0o700).unwrap();
        let _ = copy_tree(home, &out, all());
        if let Ok(bytes) = out.read(p("d/canary"), 9) {
            assert_eq!(bytes, b"cat");
        }
    });
}

#[test]
fn a_directory_moved_away_stops_the_walk() {
    let (temp, dir) = scratch();
    let top = dir.make_dir(p("t"), 0o755).unwrap();
    let mut at = top.try_clone().unwrap();
    for _ in 0..100 {
        at = at.make_dir(p("d"), 0o755).unwrap();
    }
    at.write(p("leaf"), b"", 0o600).unwrap();
    let mut walk = walk::Walk::new("walk", &top, walk::Locked::Fail).unwrap();
    while !walk.rel().ends_with("leaf") {
        walk.next().unwrap().unwrap();
    }
    let middle = temp.path().join("t").join("d/".repeat(30));
    fs::rename(middle, temp.path().join("away")).unwrap();
    let error = loop {
        match walk.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("walked on above a directory that was moved"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.cause(), Cause::Moved), "{error}");
    assert_eq!(sys::list_all(top.fd()).unwrap().len(), 1);
}
