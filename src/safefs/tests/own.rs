//! Owners, modes and ACLs of trees.

use super::*;
use std::io::Write as _;

#[test]
fn ownership_is_mended_once() {
    let (temp, dir) = scratch();
    let root = temp.path();
    fs::create_dir(root.join("d")).unwrap();
    for (name, mode) in [
        ("plain", 0o004),
        ("tool", 0o4711),
        ("open", 0o666),
        ("d/in", 0o000),
    ] {
        fs::write(root.join(name), "").unwrap();
        chmod(&root.join(name), mode);
    }
    symlink("/nowhere", root.join("link")).unwrap();
    chmod(&root.join("d"), 0o2077);
    chmod(root, 0o1777);
    let to = Ownership { also: None, ..me() };
    assert_eq!(
        own_tree(&dir, &to).unwrap(),
        Owned {
            entries: 7,
            changed: 6
        }
    );
    let mode = |name: &str| root.join(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!(
        [mode("plain"), mode("tool"), mode("open")],
        [0o604, 0o711, 0o644]
    );
    assert_eq!([mode("d/in"), mode("d"), mode(".")], [0o600, 0o755, 0o1750]);
    let ctime = root.join("tool").metadata().unwrap().ctime_nsec();
    assert_eq!(own_tree(&dir, &to).unwrap().changed, 0);
    assert_eq!(root.join("tool").metadata().unwrap().ctime_nsec(), ctime);
    // And with an ACL, and back again.
    assert_eq!(own_tree(&dir, &me()).unwrap().changed, 6);
    assert_eq!(own_tree(&dir, &me()).unwrap().changed, 0);
    assert_eq!(
        [mode("plain"), mode("tool"), mode("d")],
        [0o664, 0o771, 0o775]
    );
    assert_eq!(own_tree(&dir, &to).unwrap().changed, 6);
    assert_eq!(
        [mode("plain"), mode("tool"), mode("d")],
        [0o604, 0o711, 0o755]
    );
}

#[test]
fn getfacl_reads_our_acls() {
    let (temp, dir) = scratch();
    if Command::new("getfacl").arg("--version").output().is_err() {
        writeln!(
            std::io::stderr(),
            "skipped getfacl_reads_our_acls: getfacl is not installed (package acl)"
        )
        .unwrap();
        return;
    }
    dir.write(p("f"), b"", 0o640).unwrap();
    dir.write(p("x"), b"", 0o750).unwrap();
    dir.set_mode(p("."), 0o700).unwrap();
    own_tree(&dir, &me()).unwrap();
    let getfacl = |name: &str| {
        let path = temp.path().join(name);
        let out = Command::new("getfacl")
            .args(["-cnp"])
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(out.stdout)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        getfacl("f"),
        "user::rw- user:61003:rw- group::r-- mask::rw- other::---"
    );
    assert_eq!(
        getfacl("x"),
        "user::rwx user:61003:rwx group::r-x mask::rwx other::---"
    );
    let both = "user::rwx user:61003:rwx group::--- mask::rwx other::---";
    let default = both
        .split(' ')
        .map(|e| format!("default:{e}"))
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(getfacl("."), format!("{both} {default}"));
    // A mask that takes the named account's rights away is mended.
    let mask = ["-m", "m::---,u:61002:rwx"];
    assert!(
        Command::new("setfacl")
            .args(mask)
            .arg(temp.path().join("f"))
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(own_tree(&dir, &me()).unwrap().changed, 1);
    assert_eq!(
        getfacl("f"),
        "user::rw- user:61003:rw- group::r-- mask::rw- other::---"
    );
}

#[test]
fn acls_survive_their_encoding() {
    let acl = Acl {
        owner: 7,
        users: vec![(61003, 6), (u32::MAX - 1, 0)],
        group: 5,
        groups: vec![(4, 1)],
        mask: Some(7),
        other: 0,
    };
    let bytes = acl.encode();
    assert_eq!(bytes.len(), 4 + 7 * 8);
    assert_eq!(bytes[..12], [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255]);
    assert_eq!(bytes[12..20], [2, 0, 6, 0, 0x4b, 0xee, 0, 0]);
    assert_eq!(Acl::decode(&bytes), Some(acl));
    for cut in 0..bytes.len() {
        assert_eq!(Acl::decode(&bytes[..cut]), None, "{cut}");
    }
    assert_eq!(Acl::decode(&[1, 0, 0, 0]), None);
    assert_eq!(Acl::decode(&[2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0]), None);
}

#[test]
fn an_acl_on_a_file_system_without_them_is_a_clear_error() {
    let acl = Acl {
        owner: 7,
        users: vec![],
        group: 0,
        groups: vec![],
        mask: None,
        other: 0,
    };
    if !needs_root("an_acl_on_a_file_system_without_them_is_a_clear_error") {
        return;
    }
    let Ok(sysfs) = fs::File::open("/sys/kernel") else {
        writeln!(
            std::io::stderr(),
            "skipped an_acl_on_a_file_system_without_them_is_a_clear_error: no sysfs"
        )
        .unwrap();
        return;
    };
    let set = acl::set(&sysfs, Which::Access, Some(&acl));
    assert!(matches!(set, Err(Cause::NoAcl)), "{set:?}");
    assert!(acl::get(&sysfs, Which::Access).unwrap().is_none());
}

#[test]
fn a_planted_hard_link_is_not_given_away() {
    if !needs_root("a_planted_hard_link_is_not_given_away") {
        return;
    }
    let (temp, dir) = scratch();
    fs::write(temp.path().join("shadow"), "").unwrap();
    let home = dir.make_dir(p("home"), 0o700).unwrap();
    fs::hard_link(temp.path().join("shadow"), temp.path().join("home/a")).unwrap();
    fs::write(temp.path().join("home/b"), "").unwrap();
    let to = Ownership {
        uid: STUDENT,
        gid: STUDENT,
        also: Some(WOD),
    };
    let error = own_tree(&home, &to).unwrap_err();
    assert!(
        matches!(error.cause(), Cause::HardLink { uid: 0 }) && error.is_violation(),
        "{error}"
    );
    assert_eq!(temp.path().join("shadow").metadata().unwrap().uid(), 0);
    assert_eq!(home.stat(p("b")).unwrap().unwrap().uid, STUDENT);
    let owner = Owner {
        uid: STUDENT,
        gid: STUDENT,
    };
    assert!(home.set_owner(p("a"), owner).unwrap_err().is_violation());
    home.set_owner(p("."), owner).unwrap();
    home.write_owned(p("c"), b"key", 0o600, owner).unwrap();
    let stat = home.stat(p("c")).unwrap().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (STUDENT, STUDENT, 0o600));
}

#[test]
fn a_flag_is_lifted_but_not_from_a_file_that_has_another_name() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    if !needs_root("a_flag_is_lifted_but_not_from_a_file_that_has_another_name") {
        return;
    }
    let (temp, dir) = scratch();
    let home = dir.make_dir(p("home"), 0o700).unwrap();
    fs::write(temp.path().join("theirs"), "").unwrap();
    for name in ["a", "b"] {
        fs::hard_link(
            temp.path().join("theirs"),
            temp.path().join("home").join(name),
        )
        .unwrap();
    }
    home.write(p("mine"), b"", 0o600).unwrap();
    let theirs = fs::File::open(temp.path().join("theirs")).unwrap();
    let mine = fs::File::open(temp.path().join("home/mine")).unwrap();
    let flags = ioctl_getflags(&theirs).unwrap();
    if ioctl_setflags(&theirs, flags | IFlags::IMMUTABLE).is_err() {
        writeln!(std::io::stderr(), "skipped: no immutable flag here").unwrap();
        return;
    }
    ioctl_setflags(&mine, ioctl_getflags(&mine).unwrap() | IFlags::APPEND).unwrap();
    let written = home.write(p("mine"), b"new", 0o600);
    let replaced = home.write(p("a"), b"new", 0o600);
    let removed = home.remove_file(p("b"));
    let kept = ioctl_getflags(&theirs).unwrap().contains(IFlags::IMMUTABLE);
    ioctl_setflags(&theirs, flags).unwrap();
    written.unwrap();
    replaced.unwrap();
    removed.unwrap();
    assert!(kept, "the flag of the other name is gone");
    assert!(!ioctl_getflags(&mine).unwrap().contains(IFlags::APPEND));
    assert_eq!(theirs.metadata().unwrap().nlink(), 1);
}
