//! `wod render`: a file, a workshop, its challenge, a new directory, a diff, and errors at their place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An inventory of its own, one workshop, a vaulted variable.
struct Site(tempfile::TempDir);

const NOTEBOOK: &str = "{\"cells\": \"{{ STDID }} {{ MODEWS }} {{ token }}\"}\n";

impl Site {
    fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        let put = |path: &str, text: &str| {
            let path = site.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let vault = wod::templates::seal(
            &wod::domain::Secret::new("pw".into()),
            None,
            &wod::domain::Secret::new("t0ps3cret".into()),
        )
        .unwrap();
        let vault: String = vault.lines().map(|line| format!("  {line}\n")).collect();
        let root = site.0.path().display().to_string();
        put(
            "inventory/group_vars/all.yml",
            &format!(
                "WODHUB: none\nWODACCOUNTS: sandbox\nWODNOBO: {root}/notebooks\nWODSTATEDIR: {root}/state\n\
                 WODSTUDDIR: {root}/student\nWODSCRIPTDIR: {root}/scripts\nVAULTPWD: pw\n\
                 WODUSER: nobody\nWODSENDER: a@example.org\ntoken: !vault |\n{vault}"
            ),
        );
        put("inventory/hosts", "localhost\n");
        put("notebooks/WKSHP-One/0-ReadMeFirst.ipynb", NOTEBOOK);
        put(
            "notebooks/WKSHP-One/sub/run.sh",
            "{% include 'part.txt' %} {{ STDID }}\n",
        );
        put(
            "notebooks/WKSHP-One/sub/templates/part.txt",
            "part of {{ WORKSHOP }}",
        );
        put("notebooks/WKSHP-One/notes.txt", "{{ not a template }}");
        put(
            "notebooks/WKSHP-Bad/a.sh",
            "one\n\ttwo {{ nowhere }} {{ STDID }}\n",
        );
        put(
            "notebooks/WKSHP-Out/a.sh",
            "{% include '../WKSHP-One/notes.txt' %}\n",
        );
        std::os::unix::fs::symlink(
            "/etc/hostname",
            site.path("notebooks/WKSHP-Link/part").as_path(),
        )
        .or_else(|_| {
            fs::create_dir_all(site.path("notebooks/WKSHP-Link"))?;
            std::os::unix::fs::symlink("/etc/hostname", site.path("notebooks/WKSHP-Link/part"))
        })
        .unwrap();
        put("notebooks/WKSHP-Link/a.sh", "{% include 'part' %}\n");
        site
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Exit status, stdout, stderr.
    fn render(&self, words: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_wod"))
            .arg("--inventory")
            .arg(self.path("inventory"))
            .args(["render", "--student", "12"])
            .args(words)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

#[test]
fn a_workshop_is_listed_and_written() {
    let site = Site::new();
    let (exit, out, err) = site.render(&["WKSHP-One"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(
        out.contains("0-ReadMeFirst.ipynb") && out.contains("sub/run.sh"),
        "{out}"
    );
    assert!(
        !out.contains("notes.txt") && !out.contains("t0ps3cret"),
        "{out}"
    );
    assert!(!site.path("state").exists() && !site.path("student").exists());

    let to = site.path("out");
    let to = to.to_str().unwrap();
    let (exit, _, err) = site.render(&["WKSHP-One", "--challenge", "--out", to]);
    assert_eq!((exit, err.as_str()), (0, ""));
    let read = |name: &str| fs::read_to_string(Path::new(to).join(name)).unwrap();
    assert_eq!(
        read("0-ReadMeFirst.ipynb"),
        "{\"cells\": \"12 CHLG t0ps3cret\"}\n"
    );
    assert_eq!(read("sub/run.sh"), "part of WKSHP-One 12\n");
    let (exit, _, err) = site.render(&["WKSHP-One", "--out", to]);
    assert_eq!(exit, 1);
    assert!(err.contains("is there already"), "{err}");
}

#[test]
fn a_directory_is_the_workshop_in_it() {
    let site = Site::new();
    // As in a checkout: no site looks there.
    let elsewhere = site.path("checkout/workshops/WKSHP-Two");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("a.sh"), "{{ WORKSHOP }} {{ STDID }}\n").unwrap();
    let dir = elsewhere.to_str().unwrap();
    let (exit, out, err) = site.render(&[dir, "--diff"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.contains("+WKSHP-Two 12\n"), "{out}");
    let (exit, _, err) = site.render(&[site.path("checkout").to_str().unwrap()]);
    assert_eq!(exit, 1);
    assert!(
        err.contains("is neither a file nor a workshop") && err.lines().count() == 1,
        "{err}"
    );
}

#[test]
fn a_diff_masks_what_came_out_of_a_vault() {
    let site = Site::new();
    let (exit, out, _) = site.render(&["WKSHP-One", "--diff"]);
    assert_eq!(exit, 0);
    assert!(out.contains("-{\"cells\": \"{{ STDID }}"), "{out}");
    assert!(out.contains("+{\"cells\": \"12 WKSHP ******\"}"), "{out}");
}

#[test]
fn a_file_gets_the_variables_of_the_workshop_it_is_in() {
    let site = Site::new();
    let file = site.path("notebooks/WKSHP-One/sub/run.sh");
    let (exit, out, err) = site.render(&[file.to_str().unwrap()]);
    assert_eq!(
        (exit, err.as_str(), out.as_str()),
        (0, "", "part of WKSHP-One 12\n")
    );
}

#[test]
fn an_error_shows_its_place_and_writes_nothing() {
    let site = Site::new();
    let to = site.path("out");
    let (exit, out, err) = site.render(&["WKSHP-Bad", "--out", to.to_str().unwrap()]);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "wod: WKSHP-Bad/a.sh:2:9: `nowhere` is undefined\n  |\n2 | \ttwo {{ nowhere }} {{ STDID }}\n  | \t       ^\n"
    );
    assert!(!to.exists());
    let (exit, _, err) = site.render(&["WKSHP-Nope"]);
    assert!(exit == 1 && err.contains("WODNOBO"), "{err}");
}

#[test]
fn nothing_outside_of_the_workshop_is_included() {
    let site = Site::new();
    let hostname = fs::read_to_string("/etc/hostname").unwrap_or_else(|_| "none".into());
    for workshop in ["WKSHP-Out", "WKSHP-Link"] {
        let (exit, out, err) = site.render(&[workshop, "--diff"]);
        assert_eq!(exit, 1, "{out}{err}");
        assert!(
            !err.contains("not a template") && !out.contains("not a template"),
            "{err}"
        );
        assert!(!err.contains(hostname.trim()), "{err}");
    }
}

#[test]
fn a_template_that_goes_too_far_is_one_error() {
    let site = Site::new();
    let file = site.path("deep.sh");
    let deep = format!(
        "{}x{}",
        "{% if true %}".repeat(10_000),
        "{% endif %}".repeat(10_000)
    );
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let large = "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}";
    for (text, part) in [
        (deep.as_str(), "deep.sh:1"),
        (endless, "endless loop"),
        (large, "64 MiB"),
    ] {
        fs::write(&file, text).unwrap();
        let to = site.path("out");
        let words = [file.to_str().unwrap(), "--out", to.to_str().unwrap()];
        let (exit, out, err) = site.render(&words);
        assert_eq!((exit, out.as_str()), (1, ""), "{err}");
        assert!(err.starts_with("wod: ") && err.contains(part), "{err}");
        assert_eq!(err.matches("wod: ").count(), 1, "{err}");
        assert!(!to.exists());
    }
}
