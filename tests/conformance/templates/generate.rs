//! Random templates that nest the constructs authors use, over a few fixed variables.
//!
//! Expressions know the type they give, so that most templates render; what Python would order
//! by chance (sets), or draw, is left out.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;

pub const VARS: &str = r#"
inventory_hostname: localhost
n: 7
m: -3
z: 0
f: 2.5
s: "Hello World"
t: "a,b,,c"
e: ""
u: "é <ü>\n'x'"
p: /etc/some/file.tar.gz
y: true
o: false
nil: null
l: [3, 1, 2]
ls: ["pear", "Apple", "fig"]
le: []
ll: [[1, 2], [3, [4]]]
d: {b: two, a: 1, c: [1, 2]}
de: {}
ld: [{k: 1, v: x}, {k: 2, v: y}, {k: 1, v: z}]
lazy: "{{ n + 1 }} of {{ s }}"
kept: "{{ l }}"
"#;

type Text = BoxedStrategy<String>;

/// Each kind and depth once: made anew at every place they would be millions.
fn shared(kind: &'static str, depth: u32, make: fn(u32) -> Text) -> Text {
    thread_local! {
        static MADE: RefCell<HashMap<(&'static str, u32), Text>> = RefCell::default();
    }
    if let Some(made) = MADE.with_borrow(|made| made.get(&(kind, depth)).cloned()) {
        return made;
    }
    let made = make(depth);
    MADE.with_borrow_mut(|all| all.insert((kind, depth), made.clone()));
    made
}

/// A whole template.
pub fn template() -> Text {
    let ends = select(&["", "\n", "\n\n", "  "][..]);
    let heads = prop_oneof![
        20 => Just(""),
        1 => Just("#jinja2: trim_blocks: False\n"),
        1 => Just("#jinja2: lstrip_blocks: True\n"),
        1 => Just("#jinja2: lstrip_blocks: True, trim_blocks: False\n"),
    ];
    (heads, body(3), ends)
        .prop_map(|(head, body, end)| format!("{head}{body}{end}"))
        .boxed()
}

fn body(depth: u32) -> Text {
    shared("body", depth, make_body)
}

fn make_body(depth: u32) -> Text {
    prop::collection::vec(node(depth), 0..4)
        .prop_map(|nodes| nodes.concat())
        .boxed()
}

fn literal() -> Text {
    select(
        &[
            "x",
            " ",
            "\n",
            "  \n",
            "\n\n",
            "\t",
            "a b\n",
            "{",
            "}",
            "%",
            "#",
            "$",
            "é",
            "'",
            "\"",
            "\\",
            "\\n",
            "{ {",
            "} }",
            "\r\n",
            "<b>",
            "${X}",
            "end",
            "\n  if",
            "{\"k\": \"",
            "\"}\n",
        ][..],
    )
    .prop_map(str::to_owned)
    .boxed()
}

/// `{% inner %}` with or without signs of white space control.
fn tag(inner: impl Strategy<Value = String> + 'static) -> Text {
    let open = prop_oneof![8 => Just("{%"), 2 => Just("{%-"), 1 => Just("{%+")];
    let close = prop_oneof![8 => Just("%}"), 2 => Just("-%}"), 1 => Just("+%}")];
    let blank = select(&[" ", " ", " ", "", "  ", "\n"][..]);
    (open, inner, close, blank)
        .prop_map(|(open, inner, close, blank)| {
            // `{%-1` would be read otherwise, and so would `x-%}`.
            let after = if blank.is_empty() && inner.starts_with(['-', '+']) {
                " "
            } else {
                blank
            };
            format!("{open}{after}{inner}{blank}{close}")
        })
        .boxed()
}

fn word(inner: &'static str) -> Text {
    tag(Just(inner.to_owned()))
}

fn print(inner: Text) -> Text {
    let open = prop_oneof![8 => Just("{{ "), 2 => Just("{{- "), 1 => Just("{{")];
    let close = prop_oneof![8 => Just(" }}"), 2 => Just(" -}}"), 1 => Just("}}")];
    (open, inner, close)
        .prop_map(|(open, inner, close)| {
            let blank = if inner.starts_with(['{', '-', '+']) {
                " "
            } else {
                ""
            };
            let after = if inner.ends_with('}') { " " } else { "" };
            format!("{open}{blank}{inner}{after}{close}")
        })
        .boxed()
}

fn join(parts: Vec<Text>) -> Text {
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn node(depth: u32) -> Text {
    shared("node", depth, make_node)
}

fn make_node(depth: u32) -> Text {
    let simple = prop_oneof![
        4 => literal(),
        4 => print(any_value(2)),
        1 => select(&["{# note #}", "{#- note -#}", "{# {{ x }} #}\n", "{# a\nb #}", "{#- {% if %} #}"][..]).prop_map(str::to_owned),
        1 => join(vec![pick(&["{% raw %}", "{%raw%}", "{%- raw %}", "{% raw -%}", "{%- raw -%}"]), select(&["{{ x }}", "\n{% if %}\n", "{# #}", " {% endfor %} ", ""][..]).prop_map(str::to_owned).boxed(), word("endraw")]),
    ];
    if depth == 0 {
        return simple.boxed();
    }
    let inner = || body(depth - 1);
    prop_oneof![
        6 => simple,
        2 => join(vec![condition("if"), inner(), word("endif")]),
        2 => join(vec![condition("if"), inner(), word("else"), inner(), word("endif")]),
        1 => join(vec![condition("if"), inner(), condition("elif"), inner(), word("else"), inner(), word("endif")]),
        2 => join(vec![tag(list(1).prop_map(|list| format!("for i in {list}"))), inner(), loop_value(), inner(), word("endfor")]),
        1 => join(vec![tag(list(1).prop_map(|list| format!("for i in {list}"))), loop_value(), word("else"), inner(), word("endfor")]),
        1 => join(vec![tag((list(1), boolean(1)).prop_map(|(list, check)| format!("for i in {list} if {check}"))), loop_value(), inner(), word("endfor")]),
        1 => join(vec![tag(dict(1).prop_map(|dict| format!("for k, v in {dict}.items()"))), print(Just("k ~ '=' ~ v".to_owned()).boxed()), inner(), word("endfor")]),
        1 => join(vec![tag(dict(1).prop_map(|dict| format!("for k in {dict}"))), print(Just("k".to_owned()).boxed()), loop_value(), word("endfor")]),
        1 => join(vec![tag(any_value(2).prop_map(|value| format!("set w = {value}"))), inner(), print(Just("w".to_owned()).boxed())]),
        1 => join(vec![word("set w"), pick(&["w:"]), literal(), inner(), word("endset"), print(Just("w | length".to_owned()).boxed()), print(Just("w".to_owned()).boxed())]),
        1 => join(vec![tag(scalar(1).prop_map(|value| format!("macro mac(a, b={value})"))), print(Just("a".to_owned()).boxed()), inner(), print(Just("b".to_owned()).boxed()), word("endmacro"), print(any_value(1).prop_map(|value| format!("mac({value})")).boxed()), print(scalar(1).prop_map(|value| format!("mac(1, b={value})")).boxed())]),
        1 => join(vec![tag(any_value(1).prop_map(|value| format!("with w = {value}"))), inner(), print(Just("w".to_owned()).boxed()), word("endwith")]),
        1 => join(vec![tag(select(&["filter upper", "filter trim", "filter replace('a', 'b')", "filter indent(2)", "filter length"][..]).prop_map(str::to_owned)), pick(&["a b"]), literal(), print(text(1)), word("endfilter")]),
        1 => join(vec![word("set ns = namespace(c=0)"), tag(list(1).prop_map(|list| format!("for i in {list}"))), word("set ns.c = ns.c + 1"), inner(), word("endfor"), print(Just("ns.c".to_owned()).boxed())]),
    ]
    .boxed()
}

fn condition(word: &'static str) -> Text {
    tag(prop_oneof![3 => boolean(2), 1 => any_value(1)]
        .prop_map(move |check| format!("{word} {check}")))
}

fn loop_value() -> Text {
    print(
        select(
            &[
                "i",
                "loop.index",
                "loop.index0",
                "loop.first",
                "loop.last",
                "loop.length",
                "loop.revindex",
                "loop.revindex0",
                "loop.cycle('a', 'b')",
                "loop.previtem | default('-')",
                "loop.nextitem | default('-')",
                "loop.changed(n)",
                "',' if not loop.last",
                "',' if not loop.last else ''",
                "loop.depth",
                "loop.depth0",
                "i ~ ':' ~ loop.index",
            ][..],
        )
        .prop_map(str::to_owned)
        .boxed(),
    )
}

fn pick(from: &'static [&'static str]) -> Text {
    select(from).prop_map(str::to_owned).boxed()
}

/// `head` with one of `tails` after it.
fn then(head: Text, tails: &'static [&'static str]) -> Text {
    (head, select(tails))
        .prop_map(|(head, tail)| {
            let binds = tail.starts_with('.') || tail.starts_with('[');
            match binds
                && (head.contains([' ', '|', '-'])
                    || head.starts_with(|c: char| c.is_ascii_digit()))
            {
                true => format!("({head}){tail}"),
                false => format!("{head}{tail}"),
            }
        })
        .boxed()
}

fn two(left: Text, signs: &'static [&'static str], right: Text) -> Text {
    (left, select(signs), right, any::<bool>())
        .prop_map(|(left, sign, right, brackets)| match brackets {
            true => format!("({left} {sign} {right})"),
            false => format!("{left} {sign} {right}"),
        })
        .boxed()
}

/// What may stand before a bar without brackets.
fn closed(value: Text) -> Text {
    value
        .prop_map(|value| match value.contains([' ', '-']) {
            true => format!("({value})"),
            false => value,
        })
        .boxed()
}

fn chosen(value: fn(u32) -> Text, depth: u32) -> Text {
    (value(depth), boolean(depth), value(depth))
        .prop_map(|(yes, check, no)| format!("({yes} if {check} else {no})"))
        .boxed()
}

fn whole(depth: u32) -> Text {
    shared("whole", depth, make_whole)
}

fn make_whole(depth: u32) -> Text {
    let leaf = pick(&[
        "0", "1", "2", "10", "n", "m", "z", "-1", "d.a", "d['a']", "l[0]", "l[-1]", "l.0",
        "100000", "1_000",
    ]);
    if depth == 0 {
        return leaf;
    }
    let deeper = || whole(depth - 1);
    prop_oneof![
        3 => leaf,
        3 => two(deeper(), &["+", "-", "*"], deeper()),
        1 => two(deeper(), &["//", "%"], pick(&["2", "3", "-2", "n", "7"])),
        1 => two(deeper(), &["**"], pick(&["0", "1", "2", "3"])),
        1 => then(closed(text(depth - 1)), &[" | length", "|count", " | int", " | int(5)", " | wordcount", ".find('o')", ".count('l')"]),
        1 => then(closed(list(depth - 1)), &[" | length", "|count"]),
        1 => pick(&["l | sum", "l | max", "l | min", "ld | sum(attribute='k')", "l | first", "l | last", "ld | map(attribute='k') | sum", "'0x1f' | int(base=16)", "ls | length"]),
        1 => then(closed(float(depth - 1)), &[" | int", " | round | int", " | round(0, 'floor') | int"]),
        1 => then(closed(deeper()), &[" | abs", " | int", " | default(3)"]),
        1 => chosen(whole, depth - 1),
        1 => deeper().prop_map(|value| format!("-{value}")),
    ]
    .boxed()
}

fn float(depth: u32) -> Text {
    shared("float", depth, make_float)
}

fn make_float(depth: u32) -> Text {
    let leaf = pick(&["f", "1.5", "0.1", "2.0", "1e3", "3.14159", "123456789.125"]);
    if depth == 0 {
        return leaf;
    }
    prop_oneof![
        2 => leaf,
        1 => two(whole(depth - 1), &["/"], pick(&["2", "3", "4", "n", "-8"])),
        1 => two(float(depth - 1), &["+", "-", "*"], whole(depth - 1)),
        1 => two(float(depth - 1), &["//", "%", "/"], pick(&["2", "0.5", "3", "-2"])),
        1 => then(closed(whole(depth - 1)), &[" | float"]),
        1 => then(closed(float(depth - 1)), &[" | round", " | round(1)", " | round(2, 'ceil')", " | round(1, 'floor')", " | abs"]),
    ]
    .boxed()
}

fn text(depth: u32) -> Text {
    shared("text", depth, make_text)
}

fn make_text(depth: u32) -> Text {
    let leaf = pick(&[
        "s",
        "t",
        "e",
        "u",
        "p",
        "lazy",
        "'a'",
        "\"b c\"",
        "''",
        "'x\\ny'",
        "'it''s'",
        "\"it's\"",
        "'é'",
        "d.b",
        "ls[0]",
        "ls.1",
        "'<a href=\"x\">'",
        "'{{'",
        "'%}'",
        "'a\\\\b'",
        "'1'",
        "' pad '",
        "inventory_hostname",
    ]);
    if depth == 0 {
        return leaf;
    }
    let deeper = || text(depth - 1);
    prop_oneof![
        3 => leaf,
        2 => two(deeper(), &["~", "+", "~"], deeper()),
        1 => two(deeper(), &["~"], closed(any_value(depth - 1))),
        3 => then(closed(deeper()), &[
            " | upper", " | lower", " | capitalize", " | title", " | trim", "|trim", " | replace('l', 'L')", " | replace('a', '')",
            " | string", " | default('d')", " | default('d', true)", " | d('x')", " | truncate(8)", " | truncate(5, true, '')", " | center(12)", " | indent(3)",
            " | indent(2, true)", " | quote", " | to_json",  " | b64encode", " | b64encode | b64decode", " | regex_replace('[aeiou]', '_')",
            " | regex_replace('(\\\\w)(\\\\w)', '\\\\2\\\\1')", " | regex_replace('^', '> ')", " | hash('md5')", " | sha1", " | basename", " | dirname", " | splitext | first", " | splitext | last", " | escape", " | e",
            " | urlencode", " | reverse", " | list | join('-')", " | urldecode", " | wordwrap(4)", " | striptags", " | type_debug", " | ternary('T', 'F')", " | comment", " | bool | string",
            " | win_basename", " | normpath", " | split(',') | join('|')", " | unique | join", " | first | default('-')", " | regex_escape", " | to_uuid", " | forceescape", " | safe", " | to_nice_json", " | to_yaml", " | from_yaml | string", " | pprint",
        ]),
        2 => then(deeper(), &[
            ".upper()", ".lower()", ".title()", ".strip()", ".lstrip()", ".rstrip('d')", ".replace('o', '0')", ".capitalize()", ".split(',')[0]", ".split() | join('+')", ".zfill(8)", ".ljust(8) ~ '|'", ".rjust(9)", ".center(10, '*')", ".swapcase()",
            "[0:2]", "[1:]", "[:-1]", "[::-1]", "[-3:]", "[::2]", "[1:5:2]", ".splitlines() | join('|')", ".partition(',') | join('!')", ".rsplit(',', 1) | last", ".removeprefix('H')", ".join(['a', 'b'])", ".expandtabs()", ".casefold()", ".format(1, 2)",
        ]),
        1 => then(closed(list(depth - 1)), &[" | join", " | join(', ')", " | string", " | to_json", " | to_nice_json", " | to_yaml", " | to_nice_yaml", " | type_debug",  " | map('string') | join('/')", " | pprint"]),
        1 => then(closed(dict(depth - 1)), &[" | to_json", " | to_nice_json", " | to_nice_yaml", " | to_yaml", " | string",  " | join(',')", " | type_debug", " | urlencode", " | pprint", " | to_json(indent=2)", " | to_nice_yaml(indent=2)", " | to_json(sort_keys=true)"]),
        1 => then(closed(scalar(depth - 1)), &[" | string", " ~ ''", " | to_json", " | type_debug", " | to_yaml"]),
        1 => (pick(&["'%s'", "'<%s>'", "'%5s|'", "'%-6s|'"])  , any_value(depth - 1)).prop_map(|(form, value)| format!("{form} | format({value})")),
        1 => (pick(&["'%d'", "'%03d'", "'%x'", "'%5d|'", "'%+d'", "'%o'", "'%c' | replace('\\\\x00', '')", "'%.2f'", "'%e'", "'%g'", "'%%%d'"]), whole(depth - 1)).prop_map(|(form, value)| format!("{form} | format(({value}) % 100)")),
        1 => chosen(text, depth - 1),
        1 => two(deeper(), &["*"], pick(&["0", "1", "2", "3"])),
    ]
    .boxed()
}

fn boolean(depth: u32) -> Text {
    shared("boolean", depth, make_boolean)
}

fn make_boolean(depth: u32) -> Text {
    let leaf = pick(&[
        "true",
        "false",
        "True",
        "y",
        "o",
        "nope is defined",
        "nope is not defined",
        "n is defined",
        "d.x is defined",
        "d.a is defined",
        "d['x']['y'] is defined",
        "nope.x is undefined",
        "nil is none",
        "not y",
        "le",
        "e",
        "d",
        "n",
        "z",
        "f",
        "s",
        "nil",
    ]);
    if depth == 0 {
        return leaf;
    }
    let deeper = || boolean(depth - 1);
    prop_oneof![
        3 => leaf,
        2 => two(whole(depth - 1), &["<", ">", "<=", ">=", "==", "!="], whole(depth - 1)),
        1 => two(text(depth - 1), &["==", "!=", "<", ">", "in", "not in"], text(depth - 1)),
        1 => two(closed(scalar(depth - 1)), &["==", "!="], closed(scalar(depth - 1))),
        1 => two(closed(scalar(depth - 1)), &["in", "not in"], list(depth - 1)),
        1 => two(pick(&["'a'", "'x'", "1", "s"]), &["in", "not in"], dict(depth - 1)),
        2 => two(deeper(), &["and", "or"], deeper()),
        1 => deeper().prop_map(|value| format!("not {value}")),
        1 => then(closed(whole(depth - 1)), &[" is even", " is odd", " is divisibleby(3)", " is divisibleby 2", " is number", " is string", " is integer", " is not even", " is gt(2)", " is eq 3", " is in [1, 2, 7]", " is lt 4", " is float", " is sameas 7"]),
        1 => then(closed(text(depth - 1)), &[" is string", " is number", " is upper", " is lower", " is iterable", " is sequence", " is mapping", ".startswith('H')", ".endswith('d')", ".isdigit()", ".isalpha()", " is match('H')", " is search('o')", " | bool", " is regex('^.l')", " is truthy", " is falsy", " is not in ['a', 'b']", " is version('1', '>')"]),
        1 => then(closed(list(depth - 1)), &[" is iterable", " is sequence", " is mapping", " is string", " is contains(1)", " == []", " is any", " is all", " is truthy", " is subset([1, 2, 3])"]),
        1 => two(list(depth - 1), &["==", "!="], list(depth - 1)),
        1 => two(whole(depth - 1), &["< n <", "<= 3 <", "== 7 !="], whole(depth - 1)),
    ]
    .boxed()
}

fn list(depth: u32) -> Text {
    shared("list", depth, make_list)
}

fn make_list(depth: u32) -> Text {
    let leaf = pick(&[
        "l",
        "ls",
        "le",
        "[]",
        "[1, 2]",
        "['a', 'b', 'a']",
        "[1, 'a', none]",
        "(1, 2)",
        "range(3) | list",
        "range(1, 8, 3) | list",
        "d.c",
        "kept",
        "[true, 2.5, 'x']",
        "[[1], [2, 3]]",
        "('x',)",
    ]);
    if depth == 0 {
        return leaf;
    }
    let deeper = || list(depth - 1);
    prop_oneof![
        4 => leaf,
        1 => (any_value(depth - 1), any_value(depth - 1)).prop_map(|(a, b)| format!("[{a}, {b}]")),
        1 => two(pick(&["l", "ls", "[1]", "[]", "d.c"]), &["+"], pick(&["l", "ls", "['x']", "le"])),
        2 => then(closed(deeper()), &[
            " | list", " | reverse | list", " | unique | list", " | unique", " | map('string') | list", " | map('string') | sort", " | select | list", " | reject | list", " | select('string') | list",
            " | reject('number') | list", " | batch(2) | list", " | batch(2, 'z') | list", " | slice(2) | list", " | flatten", " | flatten(levels=1)", " | zip([1, 2]) | list", " | zip_longest(['a'], fillvalue='-') | list",
            " | map('string') | map('upper') | list", " | map('type_debug') | list", " | product([1]) | list", " | combinations(2) | list", " | permutations(2) | list", " | default([])", " | select('defined') | list", " | map('to_json') | list",
        ]),
        1 => then(deeper(), &["[1:]", "[:1]", "[::-1]", "[-1:]", "[0:2]"]),
        1 => pick(&["s | list", "t.split(',')", "t | split(',')", "l | sort", "l | sort(reverse=true)", "ls | sort", "ls | sort(case_sensitive=true)", "l | select('odd') | list", "l | reject('gt', 1) | list", "d | dictsort", "d | list", "d.keys() | list", "d.values() | list",
            "d.items() | list", "d | items | list", "d | dict2items", "ld | map(attribute='k') | list", "ld | selectattr('k', 'equalto', 1) | list", "ld | selectattr('k') | map(attribute='v') | list", "ld | rejectattr('k', '==', 1) | list", "ld | sort(attribute='v', reverse=true)",
            "ld | groupby('k') | list", "ld | map(attribute='q', default='-') | list", "ll | flatten", "l | map('int') | list", "ld | groupby('k') | map('first') | list", "ld | unique(attribute='k') | list", "ls | map('length') | list", "ls | map('regex_replace', '^', '-') | list", "ls | map('replace', 'p', 'P') | list", "ld | sum(attribute='k', start=10)",
            "l | map('pow', 2) | list", "d | dictsort(by='key', reverse=true)", "ld | subelements('v', skip_missing=true) | list", "l * 2", "ls | min", "ls | max", "l | shuffle(seed='x')", "[3, 1] | sort | first", "ls | select('match', 'p') | list", "ls | select('search', 'i') | list", "p | splitext", "p.split('/')[1:]"]),
        1 => chosen(list, depth - 1),
    ]
    .boxed()
}

fn dict(depth: u32) -> Text {
    shared("dict", depth, make_dict)
}

fn make_dict(depth: u32) -> Text {
    let leaf = pick(&[
        "d",
        "de",
        "{}",
        "{'x': 1, 'y': 'z'}",
        "dict(a=1, b='x')",
        "{'k': none, 'j': true}",
        "ld[0]",
    ]);
    if depth == 0 {
        return leaf;
    }
    prop_oneof![
        4 => leaf,
        1 => (any_value(depth - 1), any_value(depth - 1)).prop_map(|(a, b)| format!("{{'b': {a}, 'a': {b}}}")),
        1 => scalar(depth - 1).prop_map(|value| format!("(d | combine({{'a': {value}, 'q': 0}}))")),
        1 => pick(&["(ld | items2dict('k', 'v'))", "(d | combine({'c': [3]}, list_merge='append'))", "(d | dict2items | items2dict)", "dict([['a', 1]])", "(ld | rekey_on_member('v'))", "dict(ls | zip(l))", "(ls | zip(l) | items2dict(key_name=0, value_name=1))", "('{\"j\": [1]}' | from_json)", "('a: 1' | from_yaml)"]),
    ]
    .boxed()
}

fn scalar(depth: u32) -> Text {
    shared("scalar", depth, make_scalar)
}

fn make_scalar(depth: u32) -> Text {
    prop_oneof![3 => whole(depth), 1 => float(depth), 3 => text(depth), 2 => boolean(depth), 1 => Just("none".to_owned())].boxed()
}

fn any_value(depth: u32) -> Text {
    shared("any_value", depth, make_any_value)
}

fn make_any_value(depth: u32) -> Text {
    prop_oneof![
        4 => whole(depth),
        2 => float(depth),
        6 => text(depth),
        3 => boolean(depth),
        3 => list(depth),
        2 => dict(depth),
        1 => pick(&["none", "nil", "nope | default('def')", "d.nope | default(l)", "d.nope.deep | default('x')", "nope | default(s) | upper", "(nope | default({})).x | default(1)", "d.get('a')", "d.get('q', 5)", "d.get('q')", "nope", "d.nope", "l[9] | default('none there')", "nope | default(none)", "hostvars[inventory_hostname].n", "vars.n", "vars['s']"]),
    ]
    .boxed()
}
