//! Settings of small sites, right and wrong.

use super::*;
use serde_json::json;

fn settings(values: Value) -> Result<Settings, Vec<Wrong>> {
    Settings::read(&|name| Ok(values.get(name).cloned()))
}

#[test]
fn every_wrong_setting_is_told_at_once() {
    let wrong = settings(json!({
        "WODUSERMIN": 7, "WODUSERMAX": 3, "WODSTUDDIR": "student", "WODWORKERS": "many",
        "WODSMTPPEERS": ["10.0.0.0/8", "home"], "WODHUB": "jupyter", "WODACCOUNTS": "ldap",
    }))
    .unwrap_err();
    let names: Vec<&str> = wrong.iter().map(|w| w.name.as_str()).collect();
    for name in [
        "WODUSERMAX",
        "WODSTUDDIR",
        "WODWORKERS",
        "WODSMTPPEERS",
        "WODHUB",
        "WODACCOUNTS",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn an_overlay_that_is_there_needs_no_names() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["notebooks", "ansible"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
    }
    let settings = settings(json!({
        "WODBETOKEN": "t", "WODPRIVDIR": dir.path(), "WODGROUP": "production",
    }))
    .unwrap();
    let below = |part: &str| Some(dir.path().join(part));
    assert_eq!(settings.private_notebooks, below("notebooks"));
    assert_eq!(settings.private_scripts, None);
    assert_eq!(settings.pass_dir, below("ansible/production/pass"));
}

#[test]
fn a_site_needs_little() {
    let settings = settings(json!({"WODBETOKEN": "t", "WODSENDER": "a@b"})).unwrap();
    assert_eq!(settings.senders, ["a@b"]);
    assert_eq!(settings.recipients, ["wodadmin"]);
    assert_eq!(settings.window.0.last().number(), 100);
    assert!(matches!(settings.hub, HubSettings::JupyterHub { login, .. }
        if login == "http://127.0.0.1:8000/hub/login"));
}

#[test]
fn off_is_off_as_a_text_and_as_yaml_reads_it() {
    use signature::Demand;
    for (value, demand) in [
        (json!("off"), Demand::Off),
        (json!(false), Demand::Off),
        (json!(""), Demand::Optional),
        (json!("required"), Demand::Required),
    ] {
        let given = json!({"WODHUB": "none", "WODSIGNATURES": value});
        assert_eq!(settings(given).unwrap().signatures.demand, demand);
    }
    let wrong = settings(json!({"WODHUB": "none", "WODSIGNATURES": "on"})).unwrap_err();
    assert_eq!(
        wrong[0].to_string(),
        "WODSIGNATURES is on; expected off, optional or required"
    );
}

#[test]
fn no_secret_shows() {
    let settings = settings(json!({"WODBETOKEN": "hidden"})).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
}
