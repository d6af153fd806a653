//! One entry at a time: paths, reading, writing, making, renaming.

use super::*;

#[test]
fn a_path_that_leaves_the_directory_is_refused() {
    let (temp, dir) = scratch();
    fs::create_dir(temp.path().join("in")).unwrap();
    let inner = dir.open_dir(p("in")).unwrap();
    for bad in ["/etc/passwd", "..", "../x", "a/../../x"] {
        assert!(
            matches!(inner.read(p(bad), 9).unwrap_err().cause(), Cause::Escapes),
            "{bad}"
        );
        assert!(matches!(
            inner.write(p(bad), b"", 0o600).unwrap_err().cause(),
            Cause::Escapes
        ));
        assert!(matches!(
            inner.make_dir(p(bad), 0o700).unwrap_err().cause(),
            Cause::Escapes
        ));
        assert!(matches!(
            remove_tree(&inner, n(bad)).unwrap_err().cause(),
            Cause::Escapes
        ));
    }
    for bad in ["", ".", "a/", "a/b", "./a"] {
        assert!(
            inner
                .rename_to(n(bad), &dir, n("x"), Replace::Over)
                .is_err(),
            "{bad:?}"
        );
        assert!(remove_tree(&inner, n(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_link_is_neither_read_nor_written_through() {
    let (temp, dir) = scratch();
    fs::create_dir(temp.path().join("etc")).unwrap();
    fs::write(temp.path().join("etc/shadow"), "secret").unwrap();
    fs::create_dir(temp.path().join("home")).unwrap();
    symlink(temp.path().join("etc"), temp.path().join("home/.ssh")).unwrap();
    symlink("../etc/shadow", temp.path().join("home/file")).unwrap();
    let home = dir.open_dir(p("home")).unwrap();
    for path in [".ssh/shadow", "file"] {
        let error = home.read(p(path), 99).unwrap_err();
        assert!(
            matches!(error.cause(), Cause::Link | Cause::NotDirectory),
            "{error}"
        );
        assert!(error.is_violation());
    }
    assert!(home.write(p(".ssh/shadow"), b"x", 0o600).is_err());
    assert!(home.make_dir(p(".ssh"), 0o700).is_err());
    assert!(home.make_dir(p(".ssh/new"), 0o700).is_err());
    assert!(home.remove_file(p(".ssh/shadow")).is_err());
    assert!(home.set_mode(p("file"), 0o777).is_err());
    assert!(home.private_dir(n(".ssh")).is_err());
    home.write(p("file"), b"mine", 0o640).unwrap();
    assert_eq!(fs::read(temp.path().join("etc/shadow")).unwrap(), b"secret");
    assert!(!temp.path().join("etc/new").exists());
    let stat = home.stat(p("file")).unwrap().unwrap();
    assert_eq!((stat.kind, stat.mode, stat.size), (Kind::File, 0o640, 4));
    assert_eq!(home.stat(p(".ssh")).unwrap().unwrap().kind, Kind::Link);
    assert_eq!(home.read_link(p(".ssh")).unwrap(), temp.path().join("etc"));
    assert!(home.read_link(p("file")).is_err());
}

#[test]
fn a_mount_point_is_not_crossed() {
    let root = Dir::open_root(p("/")).unwrap();
    for error in [
        root.read(p("proc/version"), 999).unwrap_err(),
        root.stat(p("proc")).unwrap_err(),
        root.open_dir(p("proc")).unwrap_err(),
    ] {
        assert!(matches!(error.cause(), Cause::Mount), "{error}");
    }
}

#[test]
fn reading_is_for_regular_files_within_the_limit() {
    let (temp, dir) = scratch();
    fs::write(temp.path().join("f"), "12345").unwrap();
    assert_eq!(dir.read(p("f"), 5).unwrap(), b"12345");
    assert!(matches!(
        dir.read(p("f"), 4).unwrap_err().cause(),
        Cause::TooLarge { limit: 4 }
    ));
    assert!(dir.read(p("none"), 4).unwrap_err().is_not_found());
    assert!(dir.read(p("none/f"), 4).unwrap_err().is_not_found());
    assert!(
        Command::new("mkfifo")
            .arg(temp.path().join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    // Would wait for a writer if it were opened.
    assert!(matches!(
        dir.read(p("fifo"), 4).unwrap_err().cause(),
        Cause::NotRegular
    ));
    assert!(matches!(
        dir.read(p("."), 4).unwrap_err().cause(),
        Cause::NotRegular
    ));
    let sparse = fs::File::create(temp.path().join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(matches!(
        dir.read(p("sparse"), 1 << 20).unwrap_err().cause(),
        Cause::TooLarge { .. }
    ));
}

#[test]
fn writing_is_exact_atomic_and_leaves_no_temporary_file() {
    let (temp, dir) = scratch();
    dir.write(p("f"), b"one", 0o666).unwrap();
    assert_eq!(dir.stat(p("f")).unwrap().unwrap().mode, 0o666);
    let before = dir.stat(p("f")).unwrap().unwrap().ino;
    fs::hard_link(temp.path().join("f"), temp.path().join("other")).unwrap();
    dir.write_durable(p("f"), b"two", 0o600).unwrap();
    assert_ne!(dir.stat(p("f")).unwrap().unwrap().ino, before);
    assert_eq!(fs::read(temp.path().join("other")).unwrap(), b"one");
    dir.make_dir(p("d/e"), 0o750).unwrap();
    dir.write_durable(p("d/e/g"), b"three", 0o400).unwrap();
    assert!(dir.write(p("d"), b"x", 0o600).is_err());
    assert!(dir.write(p("f/x"), b"x", 0o600).is_err());
    assert!(dir.symlink(p("/t"), p("d")).is_err());
    dir.symlink(p("/t"), p("f")).unwrap();
    assert_eq!(dir.read_link(p("f")).unwrap(), p("/t"));
    let names: Vec<_> = dir
        .entries()
        .unwrap()
        .into_iter()
        .map(|e| (e.name, e.kind))
        .collect();
    let expected = [
        ("d", Kind::Directory),
        ("f", Kind::Link),
        ("other", Kind::File),
    ];
    assert_eq!(
        names,
        expected.map(|(name, kind)| (n(name).to_owned(), kind))
    );
    assert_eq!(dir.open_dir(p("d/e")).unwrap().entries().unwrap().len(), 1);
}

#[test]
fn directories_converge() {
    let (temp, dir) = scratch();
    dir.make_dir(p("a/b/c"), 0o2770).unwrap();
    dir.make_dir(p("a/b/c"), 0o700).unwrap();
    assert_eq!(dir.stat(p("a/b/c")).unwrap().unwrap().mode, 0o700);
    assert_eq!(dir.stat(p("a/b")).unwrap().unwrap().mode, 0o755);
    fs::write(temp.path().join("file"), "").unwrap();
    let error = dir.make_dir(p("file"), 0o700).unwrap_err();
    assert!(matches!(error.cause(), Cause::NotDirectory), "{error}");
    chmod(&temp.path().join("a"), 0o777);
    dir.private_dir(n("a")).unwrap();
    dir.private_dir(n("trash")).unwrap();
    assert_eq!(dir.stat(p("a")).unwrap().unwrap().mode, 0o700);
    assert_eq!(dir.stat(p("trash")).unwrap().unwrap().mode, 0o700);
    if needs_root("a private directory of someone else") {
        chown(&temp.path().join("trash"), STUDENT);
        let error = dir.private_dir(n("trash")).unwrap_err();
        assert!(
            matches!(error.cause(), Cause::Foreign { uid: STUDENT }),
            "{error}"
        );
    }
}

#[test]
fn renaming_refuses_or_replaces() {
    let (temp, dir) = scratch();
    fs::write(temp.path().join("a"), "a").unwrap();
    fs::write(temp.path().join("b"), "b").unwrap();
    assert!(
        dir.rename_to(n("a"), &dir, n("b"), Replace::Refuse)
            .is_err()
    );
    dir.rename_to(n("a"), &dir, n("b"), Replace::Over).unwrap();
    assert_eq!(dir.read(p("b"), 9).unwrap(), b"a");
    assert!(
        dir.rename_to(n("a"), &dir, n("c"), Replace::Over)
            .unwrap_err()
            .is_not_found()
    );
    dir.remove_file(p("b")).unwrap();
    dir.remove_file(p("b")).unwrap();
    assert!(dir.stat(p("b")).unwrap().is_none());
    assert!(dir.stat(p("b/c")).unwrap().is_none());
}

#[test]
fn a_message_cannot_break_a_log() {
    let name = OsStr::from_bytes(b"a\n\x1b[31m\xff\xe2\x80\xaetxt");
    assert_eq!(shown(Path::new(name)), "a\\n\\u{1b}[31m\\xff\\u{202e}txt");
    assert!(shown(&Path::new("/").join("x".repeat(5000))).len() < 300);
    let (_temp, dir) = scratch();
    let error = dir.read(Path::new(name), 1).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read /") && !error.contains('\n'),
        "{error}"
    );
}

/// The umask of whoever made them, and a kill before the next call.
#[test]
fn directories_on_the_way_that_were_half_made() {
    let (temp, dir) = scratch();
    let mode = |path: &str| dir.stat(p(path)).unwrap().unwrap().mode;
    for half_made in ["a", "a/b"] {
        let path = temp.path().join(half_made);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        dir.make_dir(p("a/b/c"), 0o700).unwrap();
        assert_eq!(
            (mode("a"), mode("a/b"), mode("a/b/c")),
            (0o755, 0o755, 0o700)
        );
        fs::remove_dir_all(temp.path().join("a/b")).unwrap();
    }
    // Somebody's own are theirs: there is something in them, or they are open to more.
    for (name, own) in [("full", 0o700), ("wide", 0o775)] {
        let path = temp.path().join(name);
        fs::create_dir(&path).unwrap();
        if name == "full" {
            fs::write(path.join("f"), "").unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(own)).unwrap();
        dir.make_dir(&p(name).join("x"), 0o700).unwrap();
        assert_eq!(mode(name), own, "{name}");
    }
}
