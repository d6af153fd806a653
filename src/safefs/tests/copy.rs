//! Copies, and work with the rights of another account.

use super::*;

#[test]
fn a_copy_has_what_can_be_copied() {
    let (temp, dir) = scratch();
    let from = dir.make_dir(p("from"), 0o755).unwrap();
    from.write(p("a"), b"alpha", 0o640).unwrap();
    from.make_dir(p("d/locked"), 0o1555).unwrap();
    from.write(p("d/run"), b"#!", 0o4755).unwrap();
    from.make_dir(p(".git/objects"), 0o755).unwrap();
    from.symlink(p("../../etc/passwd"), p("d/link")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(temp.path().join("from/d/fifo"))
            .status()
            .unwrap()
            .success()
    );
    let filter = |path: &Path, _| match path.file_name() == Some(n(".git")) {
        true => Decision::Skip,
        false => Decision::Take,
    };
    let options = CopyOptions {
        filter: &filter,
        ..all()
    };
    let to = dir.make_dir(p("to"), 0o755).unwrap();
    to.symlink(p("/etc/shadow"), p("a")).unwrap();
    for _ in 0..2 {
        let copied = copy_tree(&from, &to, options).unwrap();
        assert_eq!(
            (copied.files, copied.dirs, copied.links, copied.bytes),
            (2, 2, 1, 7)
        );
        assert_eq!(copied.skipped, [p("d/fifo")]);
    }
    assert_eq!(to.read(p("a"), 9).unwrap(), b"alpha");
    assert_eq!(to.read_link(p("d/link")).unwrap(), p("../../etc/passwd"));
    let mode = |path| to.stat(p(path)).unwrap().unwrap().mode;
    assert_eq!(
        [mode("a"), mode("d/run"), mode("d/locked")],
        [0o640, 0o755, 0o755]
    );
    assert!(to.stat(p(".git")).unwrap().is_none());
    let few = copy_tree(
        &from,
        &to,
        CopyOptions {
            limit_files: 3,
            ..options
        },
    )
    .unwrap_err();
    assert!(matches!(few.cause(), Cause::TooLarge { limit: 3 }), "{few}");
    let small = copy_tree(
        &from,
        &to,
        CopyOptions {
            limit_bytes: 6,
            ..options
        },
    )
    .unwrap_err();
    assert!(
        matches!(small.cause(), Cause::TooLarge { limit: 6 }),
        "{small}"
    );
    to.remove_file(p("d/link")).unwrap();
    remove_tree(&to, n("d")).unwrap();
    to.symlink(p("/tmp"), p("d")).unwrap();
    assert!(copy_tree(&from, &to, options).unwrap_err().is_violation());
}

#[test]
fn a_copy_reads_with_the_rights_of_its_account() {
    if !needs_root("a_copy_reads_with_the_rights_of_its_account") {
        return;
    }
    let (temp, dir) = scratch();
    chmod(temp.path(), 0o755);
    let from = dir.make_dir(p("from"), 0o755).unwrap();
    let to = dir.make_dir(p("to"), 0o700).unwrap();
    from.write(p("a"), b"public", 0o644).unwrap();
    let account = Account {
        uid: WOD,
        gid: WOD,
        groups: vec![],
    };
    let options = CopyOptions {
        read_as: Some(&account),
        ..all()
    };
    assert_eq!(copy_tree(&from, &to, options).unwrap().files, 1);
    assert_eq!(to.stat(p("a")).unwrap().unwrap().uid, 0);
    from.write(p("b"), b"root's", 0o600).unwrap();
    let error = copy_tree(&from, &to, options).unwrap_err().to_string();
    assert!(error.contains("/b: Permission denied"), "{error}");
    assert!(to.stat(p("b")).unwrap().is_none());
}

#[test]
fn file_access_is_checked_as_the_account() {
    let ours = geteuid().as_raw();
    if !geteuid().is_root() {
        assert_eq!(as_user(ours, getegid().as_raw(), &[], || 7).unwrap(), 7);
        assert!(as_user(ours + 1, 0, &[], || 7).is_err());
        return;
    }
    let (temp, dir) = scratch();
    chmod(temp.path(), 0o755);
    dir.write(p("root"), b"", 0o600).unwrap();
    dir.write(p("group"), b"g", 0o640).unwrap();
    std::os::unix::fs::chown(temp.path().join("group"), None, Some(OTHER)).unwrap();
    as_user(STUDENT, STUDENT, &[OTHER], || {
        assert!(fs::read(temp.path().join("root")).is_err());
        assert!(fs::read("/etc/shadow").is_err());
        assert!(dir.read(p("root"), 9).is_err());
        assert_eq!(dir.read(p("group"), 9).unwrap(), b"g");
        assert!(dir.write(p("new"), b"", 0o600).is_err());
        assert!(dir.set_mode(p("root"), 0o777).is_err());
        // There is no way back, and a thread of this one has none either.
        rustix::thread::capabilities(None)
            .unwrap()
            .effective
            .is_empty()
            .then_some(())
            .unwrap();
        assert!(as_user(0, 0, &[], || fs::read("/etc/shadow").is_ok()).is_err());
        std::thread::scope(|s| {
            s.spawn(|| assert!(dir.read(p("root"), 9).is_err()))
                .join()
                .unwrap()
        });
    })
    .unwrap();
    assert!(dir.read(p("root"), 9).is_ok());
    let panicked =
        std::panic::catch_unwind(|| as_user(STUDENT, STUDENT, &[], || panic!("on purpose")));
    assert!(panicked.is_err());
}
