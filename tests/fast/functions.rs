//! `templates/functions.sh` against published facts: what each function prints, and what it says
//! where there is nothing to print.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use wod::domain::{Participant, Student, Workshop};
use wod::ports::SeatMap;
use wod::site::Facts;

/// A state directory with two workshops and two participants.
fn state() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("public")).unwrap();
    let plain = Workshop {
        id: 3,
        name: "WKSHP-Plain".parse().unwrap(),
        title: "Plain".to_owned(),
        capacity: 0,
        range: None,
        reset: false,
        ldap: false,
        varpass: false,
        monoappliance: false,
        multiappliance: false,
        compile: Vec::new(),
        duration: None,
        cpu_minutes: None,
        active: true,
    };
    let full = Workshop {
        id: 17,
        name: "WKSHP-Full".parse().unwrap(),
        range: Some("11,30".parse().unwrap()),
        reset: true,
        ldap: true,
        varpass: true,
        monoappliance: true,
        multiappliance: true,
        compile: vec!["a.sh".to_owned(), "b.sh".to_owned()],
        ..plain.clone()
    };
    let seat = |id, student| (Participant::new(id), Student::new(student).unwrap());
    let seats = SeatMap {
        of: [seat(900, 11), seat(901, 12)].into(),
        complete: true,
        cleaned: [Participant::new(901)].into(),
    };
    let facts = Facts::new(&[plain, full], &seats);
    facts.publish(&dir.path().join("public")).unwrap();
    dir
}

/// A script as sites write them, with functions.sh where the engine puts it.
fn script(state: &Path, text: &str, environment: &[(&str, &str)]) -> Output {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    Command::new("bash")
        .args(["-c", &format!("set -u\nsource functions.sh\n{text}")])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", lib.display()))
        .env("WODPROGRAM", env!("CARGO_BIN_EXE_wod"))
        .env("WODSTATEDIR", state)
        .envs(environment.iter().copied())
        .current_dir("/")
        .output()
        .unwrap()
}

fn printed(state: &Path, text: &str, environment: &[(&str, &str)]) -> String {
    let output = script(state, text, environment);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_fact_of_the_contract_is_printed() {
    let state = state();
    for (call, said) in [
        ("wod_get_workshop_id WKSHP-Full", "17"),
        ("wod_get_workshop_id CHLG-Full", "17"),
        ("wod_get_range_min 17", "11"),
        ("wod_get_range_max 17", "30"),
        ("wod_get_range_max WKSHP-Full", "30"),
        ("wod_get_range_min 3", "null"),
        ("wod_get_reset_status 17", "true"),
        ("wod_get_reset_status 3", "false"),
        ("wod_get_ldap_status 17", "true"),
        ("wod_get_varpass_status 17", "true"),
        ("wod_get_varpass_status 3", "false"),
        ("wod_get_compile_status 17", "a.sh,b.sh"),
        ("wod_get_compile_status 3", "null"),
        ("wod_get_monoappliance_status 17", "true"),
        ("wod_get_multiappliance_status 17", "true"),
        ("wod_get_multiappliance_status 3", "false"),
        ("wod_get_cleaned_status 900", "false"),
        ("wod_get_cleaned_status 901", "true"),
        ("wod_get_appliance_baseip WKSHP-Full", "10.1.2.3"),
        ("wod_get_appliance_baseip CHLG-Full", "10.1.2.3"),
    ] {
        let environment = [("IP-WKSHP-Full", "10.1.2.3")];
        assert_eq!(
            printed(state.path(), call, &environment),
            format!("{said}\n"),
            "{call}"
        );
    }
    let sum = "port=$(($(wod_get_range_min 17) + 8000)); echo $port";
    assert_eq!(printed(state.path(), sum, &[]), "8011\n");
}

#[test]
fn what_is_unknown_is_an_error_of_one_line() {
    let state = state();
    for (call, said) in [
        (
            "wod_get_range_min 99",
            "there is no workshop `99`; run wod workshops list",
        ),
        (
            "wod_get_workshop_id ../etc",
            "there is no workshop `../etc`",
        ),
        ("wod_get_range_min", "there is no workshop"),
        ("wod_get_cleaned_status 5", "participant 5 has no seat here"),
        (
            "wod_get_appliance_baseip WKSHP-None",
            "IP-WKSHP-None is not set in the inventory",
        ),
        ("wod_generate_randompwd", "randompw is not set"),
        ("wod_create_var_passwd", "needs ws, stdid, randompw"),
    ] {
        let output = script(
            state.path(),
            &format!("x=$({call}) || exit 7; echo $x"),
            &[],
        );
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{call}: {err}");
        assert!(
            err.contains(said) && err.lines().count() == 1,
            "{call}: {err}"
        );
    }
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("public")).unwrap();
    let output = script(empty.path(), "wod_get_range_min 17", &[]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("start wod serve"), "{err}");
}

#[test]
fn the_backends_own_work_is_left_to_it() {
    let state = state();
    let text = "randompw=old; wod_generate_randompwd; echo $randompw
        wod_update_ldap_passwd; wod_erase_student; wod_cleanup_processes_student";
    let output = script(state.path(), text, &[]);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"old\n");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        err.matches("nothing to do, the backend ").count(),
        3,
        "{err}"
    );
}

#[test]
fn a_pass_file_is_written_where_the_backend_wrote_none() {
    let state = state();
    let pass = state.path().join("ansible/production/pass");
    fs::create_dir_all(&pass).unwrap();
    let private = state.path().join("ansible").display().to_string();
    let file = pass.join("variables_WKSHP-Plain_7.yml");
    let mut environment = vec![
        ("WODANSIBLEPRIVDIR", private.as_str()),
        ("WODGROUP", "production"),
        ("ws", "WKSHP-Plain"),
        ("stdid", "7"),
        ("randompw", "s3cret&word"),
    ];
    let refused = script(state.path(), "wod_create_var_passwd", &environment);
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(err.contains("no vault password: set VAULTPWD"), "{err}");
    assert!(!file.exists());
    let secret = state.path().join("ansible/vault_secret");
    fs::write(&secret, "the-word\n").unwrap();
    printed(
        state.path(),
        "wod_create_var_passwd; wod_create_var_passwd",
        &environment,
    );
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("PASSSTU: !vault |\n").count(), 1, "{text}");
    assert!(!text.contains("s3cret"));
    fs::remove_file(&secret).unwrap();
    fs::remove_file(&file).unwrap();
    environment.push(("VAULTPWD", "the-word"));
    printed(state.path(), "wod_create_var_passwd", &environment);
    let text = fs::read_to_string(&file).unwrap();
    let sealed = text.strip_prefix("PASSSTU: !vault |\n").unwrap();
    let word = wod::domain::Secret::new("the-word".to_owned());
    let opened = wod::templates::Passwords::single(word)
        .open(sealed)
        .unwrap();
    assert_eq!(opened.expose(), "s3cret&word");
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/functions.sh");
    let output = match Command::new("shellcheck").arg(&file).output() {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(_) => {
            eprintln!("left out: there is no shellcheck here");
            return;
        }
    };
    assert_eq!(output, "");
}
