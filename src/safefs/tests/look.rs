//! A look over more than one thread looks at alone: everything is found, once.

use super::*;

/// Enough that others help: directories of three files each.
fn wide(temp: &Path, dirs: usize) {
    for i in 0..dirs {
        let dir = temp.join(format!("{}/{}/{i}", i % 7, i % 11));
        fs::create_dir_all(&dir).unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.join(name), "").unwrap();
        }
    }
}

fn all_below(temp: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![temp.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(temp).unwrap().to_owned());
            todo.extend(Some(path).filter(|path| path.is_dir()));
        }
    }
    found.sort();
    found
}

#[test]
fn many_threads_find_what_one_finds() {
    let (temp, dir) = scratch();
    wide(temp.path(), 3000);
    let uid = geteuid().as_raw();
    let found = find_owned(&dir, uid, usize::MAX, &|_| false).unwrap();
    assert_eq!(found, all_below(temp.path()));
    let of_nobody = find_owned(&dir, uid + 1, usize::MAX, &|_| false).unwrap();
    assert_eq!(of_nobody, Vec::<PathBuf>::new());
}

#[test]
fn what_is_passed_over_is_passed_over_by_all() {
    let (temp, dir) = scratch();
    wide(temp.path(), 2000);
    let over = |path: &Path| path.starts_with("3") || path.ends_with("b");
    let found = find_owned(&dir, geteuid().as_raw(), usize::MAX, &over).unwrap();
    let mut expected = all_below(temp.path());
    expected.retain(|path| !path.starts_with("3") && !path.ends_with("b"));
    assert_eq!(found, expected);
    let most = find_owned(&dir, geteuid().as_raw(), 10, &over).unwrap();
    assert_eq!(most.len(), 10);
    assert!(most.iter().all(|path| expected.contains(path)));
}

#[test]
fn open_places_are_found_wherever_they_are() {
    let (temp, dir) = scratch();
    wide(temp.path(), 2000);
    let mut expected: Vec<PathBuf> = [20, 700, 1999]
        .map(|i: usize| PathBuf::from(format!("{}/{}/{i}", i % 7, i % 11)))
        .to_vec();
    expected.sort();
    for open in &expected {
        let deep = temp.path().join(open).join("deep");
        fs::create_dir(&deep).unwrap();
        for dir in [&deep, &temp.path().join(open)] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).unwrap();
        }
    }
    let crowd = Crowd {
        uids: 70_000..=70_010,
        gids: 70_000..=70_010,
    };
    // The topmost of them only.
    assert_eq!(find_open(&dir, &crowd, &|_| false).unwrap(), expected);
}

/// Handles stay bounded, and so does the stack.
#[test]
fn a_wide_tree_that_is_deep_too() {
    let (temp, dir) = scratch();
    wide(temp.path(), 400);
    let mut at = dir.make_dir(p("deep"), 0o700).unwrap();
    for _ in 0..3000 {
        at.make_dir(p("z"), 0o700).unwrap();
        at = at.make_dir(p("d"), 0o700).unwrap();
    }
    let found = find_owned(&dir, geteuid().as_raw(), usize::MAX, &|_| false).unwrap();
    let deep = found.iter().filter(|path| path.starts_with("deep"));
    assert_eq!(deep.count(), 6001);
    remove_tree(&dir, n("deep")).unwrap();
}
