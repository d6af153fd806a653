//! What people, CI and forges get to see, and the exit status.

use std::fs;

use serde_json::Value;

use super::{findings, lint, lint_alone, site, stdout};

#[test]
fn people_see_the_line_the_place_and_what_to_do() {
    let site = site("template-undefined");
    let output = lint(site.path(), &["notebooks"]);
    assert_eq!(
        stdout(&output),
        "error[template/undefined]: variable `STDIDD` is not set anywhere\n \
         --> notebooks/WKSHP-Base/tool.py:2:8\n  |\n\
         2 | A = {{ STDIDD }}\n  |        ^^^^^^\n  = help: did you mean `STDID`?\n\n\
         1 error in 2 workshops\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn warnings_fail_only_when_asked_to() {
    let site = site("notebook-outputs");
    assert_eq!(lint(site.path(), &["notebooks"]).status.code(), Some(0));
    assert_eq!(
        lint(site.path(), &["--strict", "notebooks"]).status.code(),
        Some(1)
    );
    let site = self::site("descriptor-range-dash");
    assert_eq!(
        lint(site.path(), &["--strict", "notebooks"]).status.code(),
        Some(0)
    );
}

#[test]
fn one_workshop_is_held_against_its_neighbours() {
    let site = site("descriptor-range-overlap");
    let output = lint(site.path(), &["--json", "notebooks/WKSHP-Base"]);
    let all = findings(&output);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["rule"], "descriptor/range-overlap");
    assert_eq!(all[0]["file"], "notebooks/WKSHP-Base/wod.yml");
    // From inside the directory too.
    let inside = site.path().join("notebooks/WKSHP-Base");
    let output = lint_alone(&inside, &["--json", "."]);
    let all = findings(&output);
    let overlap = |f: &&Value| f["rule"] == "descriptor/range-overlap";
    let found = all.iter().find(overlap).unwrap();
    assert_eq!(found["file"], "WKSHP-Base/wod.yml");
}

#[test]
fn the_site_s_own_workshops_are_the_default() {
    let site = site("script-not-executable");
    let at = |name: &str| site.path().join(name).display().to_string();
    let nobo = format!("WODNOBO={}", at("notebooks"));
    let scripts = format!("WODSCRIPTDIR={}", at("scripts"));
    let ansible = format!("WODANSIBLEDIR={}", at("ansible"));
    let set = ["-e", &nobo, "-e", &scripts, "-e", &ansible];
    let output = lint(site.path(), &[&["--json"], &set[..]].concat());
    let all = findings(&output);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["file"], at("scripts/cleanup-WKSHP-Base.sh").as_str());
}

/// Public scripts come first, then private ones, whosever the workshop is.
#[test]
fn a_private_script_may_be_for_a_public_workshop() {
    let site = site("base");
    let at = |name: &str| site.path().join(name).display().to_string();
    let make = |name: &str, text: &str| {
        let path = site.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    // Not executable, so that it is told of once.
    make(
        "private/scripts/cleanup-WKSHP-Base.sh",
        "#!/bin/bash\ntrue\n",
    );
    make("private/notebooks/WKSHP-Base/wod.yml", "name: hidden\n");
    let set = [
        ("WODNOBO", "notebooks"),
        ("WODSCRIPTDIR", "scripts"),
        ("WODPRIVNOBO", "private/notebooks"),
        ("WODSCRIPTPRIVDIR", "private/scripts"),
        ("WODANSIBLEDIR", "ansible"),
    ]
    .map(|(name, place)| format!("{name}={}", at(place)));
    let set = set.iter().flat_map(|pair| ["-e", pair.as_str()]);
    let arguments: Vec<&str> = ["--json"].into_iter().chain(set).collect();
    let all = findings(&lint(site.path(), &arguments));
    let rules: Vec<&str> = all.iter().map(|f| f["rule"].as_str().unwrap()).collect();
    assert_eq!(
        rules,
        ["descriptor/shadowed", "script/not-executable"],
        "{all:?}"
    );
}

#[test]
fn without_an_inventory_it_says_what_is_left_out() {
    let site = site("template-undefined");
    fs::remove_dir_all(site.path().join("inventory")).unwrap();
    let output = lint_alone(site.path(), &["notebooks"]);
    let text = stdout(&output);
    assert!(
        text.contains("warning[template/undefined]: variable `STDIDD`"),
        "{text}"
    );
    assert!(text.contains("did you mean `STDID`?"), "{text}");
    assert!(text.contains("left out: no inventory"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    let output = lint_alone(site.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("name a directory"), "{said}");
    let output = lint_alone(site.path(), &["nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}

/// The parts of SARIF 2.1.0 that its schema asks for.
#[test]
fn sarif_has_the_shape_of_its_schema() {
    let mut results = 0;
    for case in [
        "base",
        "template-percent",
        "notebook-no-readme",
        "descriptor-range-dash",
    ] {
        let site = site(case);
        let output = lint(site.path(), &["--sarif", "notebooks"]);
        let log: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        assert!(
            log["$schema"]
                .as_str()
                .unwrap()
                .ends_with("sarif-schema-2.1.0.json")
        );
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert!(driver["name"].is_string());
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
        let rules = driver["rules"].as_array().unwrap();
        for rule in rules {
            assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
            assert!(is_level(&rule["defaultConfiguration"]["level"]));
        }
        for result in run["results"].as_array().unwrap() {
            results += 1;
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(is_level(&result["level"]) && result["message"]["text"].is_string());
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(uri.starts_with("notebooks/WKSHP-Base"), "{uri}");
            if let Some(region) = place.get("region") {
                is_region(region);
            }
            for fix in result
                .get("fixes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let change = &fix["artifactChanges"][0];
                assert_eq!(change["artifactLocation"]["uri"], uri);
                is_region(&change["replacements"][0]["deletedRegion"]);
                assert!(change["replacements"][0]["insertedContent"]["text"].is_string());
            }
        }
    }
    assert_eq!(results, 4);
}

fn is_level(level: &Value) -> bool {
    ["note", "warning", "error"].contains(&level.as_str().unwrap())
}

fn is_region(region: &Value) {
    let number = |name: &str| region[name].as_u64().unwrap();
    assert!(number("startLine") >= 1 && number("startColumn") >= 1);
    assert!(number("endColumn") >= number("startColumn"));
}

/// A mend is put in the place of what is wrong, and then there is nothing wrong any more.
#[test]
fn mends_mend() {
    let mut mended = 0;
    for case in [
        "template-percent",
        "descriptor-range-reversed",
        "notebook-executed",
    ] {
        let site = site(case);
        for _ in 0..3 {
            let output = lint(site.path(), &["--json", "notebooks"]);
            let Some(finding) = findings(&output)
                .into_iter()
                .find(|f| f["mend"].is_string())
            else {
                break;
            };
            let path = site.path().join(finding["file"].as_str().unwrap());
            let number = |name: &str| usize::try_from(finding[name].as_u64().unwrap()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
            let line: Vec<char> = lines[number("line") - 1].chars().collect();
            let before: String = line[..number("column") - 1].iter().collect();
            let after: String = line[number("end_column") - 1..].iter().collect();
            let mend = finding["mend"].as_str().unwrap();
            lines[number("line") - 1] = format!("{before}{mend}{after}");
            fs::write(&path, lines.join("\n")).unwrap();
            mended += 1;
        }
        let output = lint(site.path(), &["--json", "notebooks"]);
        assert_eq!(stdout(&output), "", "{case}");
    }
    assert_eq!(mended, 4);
}
