//! Templates against real Ansible: one `.case` file each, expectations written by `expect.py`.
//!
//! Also what has no counterpart there: limits, laziness, exports.

mod case;

use proptest::prelude::*;
use wod::domain::Secret;
use wod::inventory::{self, Origin, Value, Vars};
use wod::templates::{Passwords, Renderer, Scope};

use case::{Case, cases, vars};

fn scope(yaml: &str) -> Scope {
    Scope::new(vars(yaml), Passwords::default())
}

fn render(yaml: &str, template: &str) -> Result<String, String> {
    Renderer::new(scope(yaml))
        .render("t", template)
        .map_err(|error| error.to_string())
}

/// Why a case does not hold, if it does not.
fn check(case: &Case) -> Result<(), String> {
    match (case.render(), case.get("fails")) {
        (Err(error), Some(part)) if error.contains(&part) => Ok(()),
        (Err(error), _) => Err(format!("failed: {error}")),
        (Ok(text), Some(_)) => Err(format!("should fail, gave {text:?}")),
        (Ok(text), None) => {
            let expected = case.get("expected").expect("an expectation");
            if text == expected {
                Ok(())
            } else {
                Err(format!("\n  got  {text:?}\n  want {expected:?}"))
            }
        }
    }
}

/// What Ansible renders and we do not. A case that has become equal belongs one folder up.
#[test]
fn known_differences_are_still_there() {
    let paths = cases("tests/cases/templates/different");
    for path in &paths {
        let outcome = check(&Case::read(path));
        assert!(outcome.is_err(), "{} is equal now", path.display());
    }
    println!("{} known differences from Ansible", paths.len());
}

#[test]
fn cases_render_as_ansible_renders_them() {
    let paths = cases("tests/cases/templates");
    let mut wrong = Vec::new();
    for path in &paths {
        if let Err(why) = check(&Case::read(path)) {
            wrong.push(format!(
                "{}: {why}",
                path.file_name().expect("a name").display()
            ));
        }
    }
    println!("{} cases, {} equal", paths.len(), paths.len() - wrong.len());
    assert!(
        wrong.is_empty(),
        "{}\n{} of {}",
        wrong.join("\n"),
        wrong.len(),
        paths.len()
    );
}

#[test]
fn a_render_ends_whatever_the_template_does() {
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let growth = "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}";
    let macros = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    for (template, part) in [
        (loops, "endless loop"),
        (growth, "64 MiB"),
        (macros, "recursion"),
    ] {
        let error = render("", template).unwrap_err();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn doubling_variables_meet_the_output_limit() {
    let mut yaml = String::from("v0: xxxxxxxxxxxxxxxx\n");
    for level in 1..40 {
        yaml.push_str(&format!(
            "v{level}: \"{{{{ v{0} }}}}{{{{ v{0} }}}}\"\n",
            level - 1
        ));
    }
    let error = render(&yaml, "{{ v39 }}").unwrap_err();
    assert!(error.contains("64 MiB"), "{error}");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = 10_000;
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(deep), close.repeat(deep))
    };
    for template in [
        nested("{% if true %}", "x", "{% endif %}"),
        nested("{% for a in [1] %}", "x", "{% endfor %}"),
        format!("{{{{ {} }}}}", nested("(", "1", ")")),
        format!("{{{{ {} }}}}", nested("[", "1", "]")),
        format!("{{{{ {} }}}}", nested("{'a': ", "1", "}")),
        format!("{{{{ {}1 }}}}", "not ".repeat(deep)),
        format!(
            "{{% if true %}}{}{{% endif %}}",
            "{% elif true %}".repeat(deep)
        ),
        format!("{{{{ x{} }}}}", ".a".repeat(20_000)),
    ] {
        assert!(render("x: 1", &template).is_err(), "{}", &template[..40]);
    }
}

#[test]
fn a_file_that_includes_itself_ends() {
    let include = |_: &str| Ok(Some("x{% include 'again' %}".to_owned()));
    let renderer = Renderer::new(scope("")).including(std::sync::Arc::new(include));
    let error = renderer
        .render("t", "{% include 'again' %}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("recursion"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn long_chains_render() {
    let sum = format!("{{{{ 0{} }}}}", " + 1".repeat(4_000));
    assert_eq!(render("", &sum).unwrap(), "4000");
    let filters = format!("{{{{ 'a'{} }}}}", " | upper".repeat(4_000));
    assert_eq!(render("", &filters).unwrap(), "A");
    let signs = format!("{{{{ {}1 }}}}", "-".repeat(10_000));
    assert_eq!(render("", &signs).unwrap(), "1");
    let elifs = format!(
        "{{% if false %}}{}{{% else %}}z{{% endif %}}",
        "{% elif false %}y".repeat(1_900)
    );
    assert_eq!(render("", &elifs).unwrap(), "z");
}

#[test]
fn errors_name_file_line_and_column() {
    let error = Renderer::new(scope("x: 1"))
        .render("a.sh.j2", "#jinja2: trim_blocks: True\none\ntwo {{ nope }}")
        .unwrap_err();
    assert_eq!((error.line, error.column), (3, Some(8)));
    assert_eq!(error.to_string(), "a.sh.j2:3:8: `nope` is undefined");
}

#[test]
fn percent_formatting_names_its_mend() {
    let error = render("", "{{ '%s' % 1 }}").unwrap_err();
    assert!(error.contains("'text %s' | format(value)"), "{error}");
}

#[test]
fn a_scope_lays_values_over_the_sites() {
    let site = scope("STDID: 0\nname: \"student{{ STDID }}\"\nn: \"{{ STDID }}\"\n");
    let seat = site.with([("STDID".to_owned(), Value::Int(12))]);
    assert_eq!(seat.get("name").unwrap(), Some("student12".into()));
    assert_eq!(seat.get("n").unwrap(), Some(12.into()));
    assert_eq!(site.get("name").unwrap(), Some("student0".into()));
    assert_eq!(site.get("nope").unwrap(), None);
}

#[test]
fn what_a_participant_wrote_is_no_template() {
    let seat =
        scope("secret: s3").with([("CHALLENGE".to_owned(), Value::Unsafe("{{ secret }}".into()))]);
    assert_eq!(
        Renderer::new(seat)
            .render("t", "<{{ CHALLENGE }}>")
            .unwrap(),
        "<{{ secret }}>"
    );
}

#[test]
fn a_variable_that_does_not_resolve_says_where_it_is_stated() {
    let site =
        scope("ok: 1\nurl: \"http://{{ fqdn }}/\"\na: \"{{ b }}\"\nb: \"{{ a }}\"\np: !vault x\n");
    let shown = |name| site.get(name).unwrap_err().to_string();
    assert_eq!(
        shown("url"),
        "vars.yml:2: variable url (vars.yml:2): `fqdn` is undefined"
    );
    assert!(
        shown("a").contains("in a circle: a → b → a"),
        "{}",
        shown("a")
    );
    assert!(shown("p").contains("no vault header"), "{}", shown("p"));
}

#[test]
fn exports_are_the_scalars_that_resolve() {
    let envelope = wod::templates::seal(
        &Secret::new("pw".into()),
        None,
        &Secret::new("t0ps3cret".into()),
    )
    .unwrap();
    let mut vars = vars(
        "n: 5\nflag: yes\nurl: \"x{{ n }}\"\nbroken: \"{{ nope }}\"\nlist: [1]\nnothing:\nhidden: \"-{{ token }}\"\n",
    );
    let origin = Origin {
        file: "v".into(),
        line: 1,
    };
    vars.set("token", Value::Vault(envelope), origin);
    let site = Scope::new(vars, Passwords::single(Secret::new("pw".into())));
    let exports = site.all_resolved();
    let got: Vec<(&str, &str, bool)> = exports
        .values
        .iter()
        .map(|export| (export.name.as_str(), export.text.as_str(), export.is_secret))
        .collect();
    assert_eq!(
        got,
        [
            ("flag", "True", false),
            ("hidden", "-t0ps3cret", true),
            ("n", "5", false),
            ("token", "t0ps3cret", true),
            ("url", "x5", false),
        ]
    );
    assert_eq!(exports.skipped.len(), 1);
    assert!(!format!("{exports:?}").contains("t0ps3cret"));
    assert!(!format!("{site:?}").contains("t0ps3cret"));
}

#[test]
fn a_wrong_vault_password_is_a_clear_error() {
    let envelope =
        wod::templates::seal(&Secret::new("pw".into()), None, &Secret::new("x".into())).unwrap();
    let mut vars = vars("");
    vars.set(
        "token",
        Value::Vault(envelope),
        Origin {
            file: "v.yml".into(),
            line: 3,
        },
    );
    let site = Scope::new(vars, Passwords::single(Secret::new("other".into())));
    let error = Renderer::new(site)
        .render("t", "a\n{{ token }}")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "t:2:4: variable token (v.yml:3): none of the 1 vault passwords opens a vault value; check VAULTPWD and vault_secret"
    );
}

#[test]
fn a_collection_cannot_be_put_into_itself() {
    for template in [
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
        "{% set l = [] %}{% set d = {'l': l} %}{% set _ = l.append(d) %}{{ l }}",
        "{% set d = {} %}{% set _ = d.update({'d': d}) %}{{ d }}",
    ] {
        let error = render("", template).unwrap_err();
        assert!(error.contains("into itself"), "{error}");
    }
    assert_eq!(
        render("", "{% set l = [1] %}{% set _ = l.extend(l) %}l={{ l }}\n").unwrap(),
        "l=[1, 1]\n"
    );
}

#[test]
fn scopes_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Scope>();
    is_shared::<Renderer>();
}

proptest! {
    #[test]
    fn rubbish_never_panics(parts in proptest::collection::vec(
        prop_oneof![
            Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just("{#"), Just("#}"), Just("-"), Just("+"),
            Just(" if x"), Just(" endif "), Just(" raw "), Just(" endraw "), Just("for a in l"), Just(" endfor "),
            Just("x"), Just(".a"), Just("[0]"), Just("['k']"), Just("|default("), Just(")"), Just(" is defined"),
            Just("'"), Just("\\"), Just("\""), Just("é"), Just("\n"), Just("\r\n"), Just("("), Just("{"), Just("}"),
            Just("[]"), Just(".append(1)"), Just("#jinja2: "), Just("trim_blocks: False\n"), Just("1.5e+"), Just("|"),
        ],
        0..24,
    )) {
        let _ = render("x: {a: [1], k: v}\nl: [1, 2]\n", &parts.concat());
    }

    #[test]
    fn text_without_tags_stays(text in "[^{\r]*") {
        prop_assert_eq!(render("", &text), Ok(text));
    }

    #[test]
    fn a_text_survives_json_and_quoting(text in "\\PC*") {
        let site = Scope::new(Vars::default(), Passwords::default()).with([("t".to_owned(), Value::Unsafe(text.clone()))]);
        let renderer = Renderer::new(site);
        let json = renderer.render("t", "{{ t | to_json }}").unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text.clone());
        prop_assert_eq!(renderer.render("t", "{{ t | b64encode | b64decode }}").unwrap(), text.clone());
        let yaml = renderer.render("t", "{{ {'k': t} | to_nice_yaml }}").unwrap();
        let Value::Map(map) = inventory::from_str("y", &yaml).unwrap().value else { panic!() };
        prop_assert_eq!(map.get("k").and_then(Value::as_text), Some(text.as_str()), "{}", yaml);
    }
}
