//! Directories that somebody made to hang the check, or to be shown what is not theirs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{findings, lint, site, stdout, told};

const WORKSHOP: &str = "notebooks/WKSHP-Base";
/// In a debug build, beside other tests.
const LONGEST: Duration = Duration::from_secs(60);

/// What is said of one workshop with something nasty in it; twice, for people as well.
fn said(make: impl FnOnce(&Path)) -> String {
    let site = site("base");
    make(&site.path().join(WORKSHOP));
    let started = Instant::now();
    let output = lint(site.path(), &["--json", "notebooks"]);
    let lines: String = findings(&output).iter().map(told).collect();
    let people = lint(site.path(), &["notebooks"]);
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
    for text in [stdout(&output), stdout(&people)] {
        assert!(
            !text.contains("root:") && !text.contains("swordfish"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    lines
}

#[test]
fn links_and_pipes_are_told_and_never_read() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "swordfish {{ swordfish }} {% if").unwrap();
    let lines = said(|dir| {
        symlink("/etc/shadow", dir.join("notes.py")).unwrap();
        symlink(secret.path(), dir.join("more.ipynb")).unwrap();
        symlink("../../../../../../etc/passwd", dir.join("users.txt")).unwrap();
        symlink("tool.py", dir.join("same.py")).unwrap();
        symlink("tool.py", dir.join("inside.txt")).unwrap();
        symlink(".", dir.join("around")).unwrap();
        fs::remove_file(dir.join("wod.yml")).unwrap();
        symlink("/etc/passwd", dir.join("wod.yml")).unwrap();
        let pipe = dir.join("pipe.py");
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        symlink("/etc", dir.with_file_name("WKSHP-Etc")).unwrap();
        let scripts = dir.join("../../scripts");
        symlink("/etc/shadow", scripts.join("cleanup-WKSHP-Base.sh")).unwrap();
        let pipe = scripts.join("post-copy-WKSHP-Base.sh");
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    });
    assert_eq!(
        lines,
        "warning file/link notebooks/WKSHP-Base/more.ipynb 0 0\n\
         warning file/link notebooks/WKSHP-Base/notes.py 0 0\n\
         error file/special notebooks/WKSHP-Base/pipe.py 0 0\n\
         warning file/link notebooks/WKSHP-Base/same.py 0 0\n\
         warning file/link notebooks/WKSHP-Base/users.txt 0 0\n\
         warning file/link notebooks/WKSHP-Base/wod.yml 0 0\n\
         warning file/link notebooks/WKSHP-Etc 0 0\n\
         warning file/link scripts/cleanup-WKSHP-Base.sh 0 0\n\
         error file/special scripts/post-copy-WKSHP-Base.sh 0 0\n"
    );
}

/// The engine puts a link to its own functions into a site's script directory.
#[test]
fn the_engines_own_link_is_no_finding() {
    let scripts = |dir: &Path| dir.join("../../scripts");
    let ours = said(|dir| {
        let to = "/var/lib/wod/lib/functions.sh";
        symlink(to, scripts(dir).join("functions.sh")).unwrap();
    });
    assert_eq!(ours, "");
    let foreign = said(|dir| {
        symlink("/etc/passwd", scripts(dir).join("functions.sh")).unwrap();
    });
    assert_eq!(foreign, "warning file/link scripts/functions.sh 0 0\n");
}

#[test]
fn what_is_large_deep_or_endless_ends_with_one_finding() {
    let lab = |text: Vec<u8>| said(move |dir| fs::write(dir.join("1-Lab.ipynb"), text).unwrap());
    let at = |rule: &str, place: &str| format!("error {rule} {WORKSHOP}/1-Lab.ipynb {place}\n");
    assert_eq!(lab(vec![b'['; 50 << 20]), at("file/too-large", "0 0"));
    assert_eq!(lab(vec![b'['; 1 << 20]), at("notebook/json", "1 202"));
    let bytes = |bytes: &[u8]| bytes.to_vec();
    assert_eq!(lab(bytes(b"{\"a\xff\": 1}")), at("file/not-utf8", "1 4"));
    assert_eq!(lab(bytes(b"\x1b[2J{")), at("notebook/json", "1 1"));
    assert_eq!(lab(Vec::new()), at("notebook/json", "1 1"));
}

#[test]
fn endless_findings_are_cut() {
    for (name, text) in [
        ("tool.py", "{{ nobody }}".repeat(100_000)),
        ("wod.yml", format!("{{{}}}", "a,".repeat(200_000))),
        (
            "1-Lab.ipynb",
            format!(
                "{{\"metadata\":{{}},\"nbformat\":4,\"nbformat_minor\":5,\"cells\":[{}1]}}",
                "1,".repeat(300_000)
            ),
        ),
    ] {
        let lines = said(|dir| fs::write(dir.join(name), &text).unwrap());
        assert_eq!(lines.lines().count(), 101, "{name}");
        assert!(lines.starts_with("note file/more"), "{name}: {lines}");
    }
}

#[test]
fn nested_templates_end() {
    for text in [
        format!("{{{{ {} }}}}", "a[".repeat(9_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(9_000), ")".repeat(9_000)),
        "{% if STDID %}".repeat(50_000),
        "{% raw %}".repeat(100_000),
        "{{".repeat(100_000),
        "{#".repeat(100_000),
        format!("{{% raw %}}{}", "{% endra".repeat(100_000)),
    ] {
        let lines = said(|dir| fs::write(dir.join("tool.py"), &text).unwrap());
        let count = lines.lines().count();
        assert!((1..=101).contains(&count), "{count} {}", &text[..20]);
        assert!(lines.contains("error template/"), "{lines}");
    }
}

#[test]
fn deep_directories_end() {
    let lines = said(|dir| {
        let deep: String = "d/".repeat(40);
        fs::create_dir_all(dir.join(&deep)).unwrap();
        fs::write(dir.join(deep).join("a.py"), "{{ nobody }}").unwrap();
    });
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.starts_with("warning file/too-deep"), "{lines}");
}

#[test]
fn a_deep_wod_yml_is_one_finding() {
    let bombs = [
        "[".repeat(100_000),
        (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            format!("{text}a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)
        }),
        "a: &a [*a]\n".to_owned(),
    ];
    for text in bombs {
        let lines = said(|dir| fs::write(dir.join("wod.yml"), &text).unwrap());
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(lines.starts_with("error descriptor/syntax"), "{lines}");
    }
}

/// Root reads as the owner of the directory does, where there is no WODUSER.
#[test]
fn root_reads_with_the_rights_of_the_author() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("secret.py");
    fs::write(&file, "{{ swordfish }}").unwrap();
    let chmod = |mode: &str, path: &Path| {
        assert!(
            Command::new("chmod")
                .arg(mode)
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    };
    chmod("600", &file);
    let site = site("base");
    chmod("755", site.path());
    let workshop = site.path().join(WORKSHOP);
    // What an author whose files are not kept apart could do.
    fs::remove_file(workshop.join("tool.py")).unwrap();
    fs::hard_link(&file, workshop.join("tool.py")).unwrap();
    let author = "4242:4242";
    for dir in [site.path().join("notebooks"), workshop.clone()] {
        assert!(
            Command::new("chown")
                .arg(author)
                .arg(dir)
                .status()
                .unwrap()
                .success()
        );
    }
    let output = lint(site.path(), &["--json", "notebooks"]);
    let lines: String = findings(&output).iter().map(told).collect();
    assert_eq!(
        lines,
        format!("error file/unreadable {WORKSHOP}/tool.py 0 0\n")
    );
    assert!(!stdout(&output).contains("swordfish"));
}
