//! YAML against real PyYAML (`tests/cases/yaml`, expectations written by its `expect.py`), and precedence.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use wod::inventory::{Map, Sources, Value, from_str, load, load_with};

/// A value with its type spelled out, as `expect.py` writes it.
fn typed(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(["int", number.to_string()]),
        Value::Float(number) => json!(["float", number]),
        Value::Text(text) => json!(["str", text]),
        Value::List(items) => json!(["list", items.iter().map(typed).collect::<Vec<_>>()]),
        Value::Map(map) => {
            let pairs: Vec<Json> = map
                .iter()
                .map(|(key, value)| json!([typed(key), typed(value)]))
                .collect();
            json!(["map", pairs])
        }
        Value::Vault(text) => json!(["vault", text]),
        Value::Unsafe(text) => json!(["unsafe", text]),
    }
}

/// Floats compare as numbers, whatever their spelling.
fn same(got: &Json, want: &Json) -> bool {
    match (got, want) {
        (Json::Array(got), Json::Array(want)) if got.first() == Some(&json!("float")) => {
            let want: f64 = want[1]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("a float");
            got.len() == 2 && got[1].as_f64().map_or(!want.is_finite(), |got| got == want)
        }
        (Json::Array(got), Json::Array(want)) => {
            got.len() == want.len() && got.iter().zip(want).all(|(got, want)| same(got, want))
        }
        _ => got == want,
    }
}

#[test]
fn yaml_reads_as_pyyaml_reads_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/yaml");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let want: Json =
            serde_json::from_str(&fs::read_to_string(path.with_extension("json")).unwrap())
                .unwrap();
        let (got, why) = match from_str("f", &text) {
            Ok(document) => (typed(&document.value), String::new()),
            Err(error) => (json!("error"), error.to_string()),
        };
        if !same(&got, &want) {
            wrong.push(format!(
                "{}:\n  got  {got} {why}\n  want {want}",
                path.file_name().unwrap().display()
            ));
        }
    }
    println!("{} cases, {} equal", paths.len(), paths.len() - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn text<'a>(vars: &'a wod::inventory::Vars, name: &str) -> &'a str {
    vars.get(name)
        .and_then(|variable| variable.value.as_text())
        .unwrap_or("-")
}

#[test]
fn later_sources_beat_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(
        at,
        "inv/group_vars/all.yml",
        "A: 'all'\nB: 'all'\nC: 'all'\nD: 'all'\nE: 'all'\nF: 'all'\nG: 'all'\nH: 'all'\n",
    );
    put(
        at,
        "inv/group_vars/production",
        "B: group\nC: group\nD: group\nE: group\nF: group\nG: group\nH: group\n",
    );
    let system = put(
        at,
        "wod.yml",
        "C: system\nD: system\nE: system\nF: system\nG: system\nH: system\n",
    );
    let extra = put(
        at,
        "extra.yml",
        "D: extra\nE: extra\nF: extra\nG: extra\nH: extra\n",
    );
    put(
        at,
        "priv/group_vars/all.yml",
        "E: priv-all\nF: priv-all\nG: priv-all\nH: priv-all\n",
    );
    put(
        at,
        "priv/generated/production.yaml",
        "F: generated\nG: generated\nH: generated\n",
    );
    put(at, "priv/group_vars/production/10-a", "G: first\nH: priv\n");
    put(at, "priv/group_vars/production/20-b.yml", "G: second\n");
    put(at, "priv/group_vars/production/.hidden.yml", "G: hidden\n");
    put(at, "priv/group_vars/production/30-c.yml~", "G: backup\n");
    put(at, "priv/group_vars/production/40.txt", "G: foreign\n");
    let vars = load(&Sources {
        inventory_dir: Some(at.join("inv")),
        group: Some("production".into()),
        system_file: Some(system),
        extra_files: vec![extra],
        private_dir: Some(at.join("priv")),
        set: vec![("H".into(), "set".into())],
    })
    .unwrap();
    let got: Vec<&str> = ["A", "B", "C", "D", "E", "F", "G", "H"]
        .map(|name| text(&vars, name))
        .to_vec();
    assert_eq!(
        got,
        [
            "all",
            "group",
            "system",
            "extra",
            "priv-all",
            "generated",
            "second",
            "set"
        ]
    );
    let origin = &vars.get("G").unwrap().origin;
    assert!(
        origin.file.ends_with("20-b.yml") && origin.line == 1,
        "{origin}"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    put(at, "group_vars/all/a.yml", "A: [1\n");
    put(at, "group_vars/all/b.yml", "- no mapping\n");
    put(at, "group_vars/all/c.json", "{\"C\": 1e3}");
    let problems = load(&Sources {
        inventory_dir: Some(at.to_owned()),
        group: Some("../x".into()),
        extra_files: vec![at.join("missing.yml")],
        ..Sources::default()
    })
    .unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert!(
        shown.iter().any(|line| line.contains("a.yml:2:1: ")),
        "{shown:#?}"
    );
    assert!(shown.iter().all(|line| !line.contains('\n')));
}

#[test]
fn json_is_read_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = put(folder.path(), "x.json", "{\"a\": 1e3, \"b\": \"yes\"}");
    let vars = load(&Sources {
        extra_files: vec![file],
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(vars.get("a").unwrap().value, Value::Float(1000.0));
    assert_eq!(text(&vars, "b"), "yes");
}

#[test]
fn a_repeated_key_warns_and_the_last_counts() {
    let document = from_str("f.yml", "a: 1\nb:\n  x: 1\n  x: 2\na: 3\n").unwrap();
    let warnings: Vec<String> = document.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f.yml:4: key `x` occurs twice, the last one counts",
            "f.yml:5: key `a` occurs twice, the last one counts"
        ]
    );
    assert_eq!(document.lines["a"], 5);
    let Value::Map(map) = document.value else {
        panic!()
    };
    assert_eq!(map.get("a"), Some(&Value::Int(3)));
}

#[test]
fn a_vaulted_file_needs_a_way_to_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = put(folder.path(), "v.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n");
    let sources = Sources {
        extra_files: vec![file],
        ..Sources::default()
    };
    assert!(
        load(&sources).unwrap_err()[0]
            .to_string()
            .contains("vault_secret")
    );
    let vars = load_with(&sources, Some(&|_| Ok("A: opened\n".to_owned()))).unwrap();
    assert_eq!(text(&vars, "A"), "opened");
}

#[test]
fn aliases_cannot_blow_a_file_up() {
    let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        yaml.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let error = from_str("f", &yaml).unwrap_err().to_string();
    assert!(error.contains("aliases make more than"), "{error}");
    assert!(
        from_str("f", "a: &a [*a]\n")
            .unwrap_err()
            .to_string()
            .contains("break the circle")
    );
}

#[test]
fn depth_is_limited() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(5_000),
        "{a: ".repeat(100_000),
    ] {
        assert!(from_str("f", &text).is_err());
    }
}

#[test]
fn a_map_from_pairs_keeps_the_last_value_at_the_first_place() {
    let pairs = [("a", 1), ("b", 2), ("a", 3)];
    let map: Map = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::Int(value)))
        .collect();
    assert_eq!(
        map.iter()
            .map(|(_, value)| value.clone())
            .collect::<Vec<_>>(),
        [Value::Int(3), Value::Int(2)]
    );
}

proptest! {
    #[test]
    fn rubbish_never_panics(parts in proptest::collection::vec(
        prop_oneof![
            Just("a"), Just(": "), Just("- "), Just("\n"), Just("  "), Just("["), Just("]"), Just("{"), Just("}"),
            Just(", "), Just("&x "), Just("*x"), Just("<<: "), Just("!vault "), Just("!!int "), Just("|\n"), Just(">-\n"),
            Just("'"), Just("\""), Just("#"), Just("---\n"), Just("...\n"), Just("%YAML 1.1\n"), Just("? "), Just("\t"),
            Just("0x"), Just("1:30"), Just("é"), Just("\\"), Just("@"), Just("~"), Just("\u{feff}"),
        ],
        0..24,
    )) {
        let _ = from_str("f", &parts.concat());
    }
}
