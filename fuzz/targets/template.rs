//! Any text as a template over a few variables: rendered, or an error, within its limits.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wod::inventory::{Origin, Value, Vars, from_str};
use wod::templates::{Passwords, Renderer, Scope};

const VARIABLES: &str = "\
WODBEFQDN: backend.example
n: 8000
text: \"{{ WODBEFQDN }}:{{ n }}\"
list: [b, a, '{{ n }}']
map: {one: 1, two: [2, 3]}
circle: \"{{ circle }}\"
";

static RENDERER: LazyLock<Renderer> = LazyLock::new(|| {
    let mut vars = Vars::default();
    let Value::Map(pairs) = from_str("v.yml", VARIABLES).unwrap().value else {
        panic!("a mapping");
    };
    for (name, value) in pairs {
        let Value::Text(name) = name else { continue };
        let file = "v.yml".into();
        vars.set(name, value, Origin { file, line: 1 });
    }
    Renderer::new(Scope::new(vars, Passwords::default()))
});

fuzz_target!(|template: &str| {
    let _ = RENDERER.render("template", template);
});
