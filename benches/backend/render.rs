//! A workshop of 20 notebooks, 10 MB in all: `wod render` against `ansible-playbook`, and both engines
//! warm in one process.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use wod::inventory::{Value, Vars};
use wod::templates::{Passwords, Renderer, Scope};

use crate::figures::Figures;
use crate::percentile;
use crate::support::root;

const NOTEBOOKS: usize = 20;
const BYTES: usize = 10_000_000 / NOTEBOOKS;
const ROUNDS: usize = 5;
const VARIABLES: [(&str, &str); 5] = [
    ("STDID", "12"),
    ("MODEWS", "WKSHP"),
    ("WORKSHOP", "WKSHP-Bench"),
    ("BRANDING", "Workshops-on-Demand"),
    ("HOST", "hub.example.org"),
];

/// Jinja2 as Ansible sets it up; prints the seconds of each round, from text to text.
const WARM: &str = "
import pathlib, sys, time
import jinja2
env = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
texts = [path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).glob('*.ipynb'))]
names = dict(pair.split('=', 1) for pair in sys.argv[3:])
for turn in range(int(sys.argv[2]) + 1):
    start = time.perf_counter()
    made = [env.from_string(text).render(names) for text in texts]
    if turn:
        print(time.perf_counter() - start)
";

pub fn run(figures: &mut Figures) {
    let Some(venv) = venv() else {
        eprintln!("rendering is left out: no Ansible here; sys/prepare.sh test installs one");
        return;
    };
    let dir = root().join("target/bench-render");
    let _ = fs::remove_dir_all(&dir);
    let notebooks = dir.join("notebooks/WKSHP-Bench");
    fs::create_dir_all(&notebooks).unwrap();
    for number in 0..NOTEBOOKS {
        fs::write(
            notebooks.join(format!("{number:02}.ipynb")),
            notebook(number),
        )
        .unwrap();
    }
    site(&dir);
    let ours =
        median((0..ROUNDS).map(|round| whole_process(&dir, &dir.join(format!("ours-{round}")))));
    let theirs =
        median((0..2).map(|round| playbook(&venv, &dir, &dir.join(format!("theirs-{round}")))));
    same(&dir.join("ours-0"), &dir.join("theirs-0"));
    figures.note("render_ms", ours * 1000.0);
    figures.note("render_ansible_ms", theirs * 1000.0);
    figures.note("render_vs_ansible_ratio", theirs / ours);
    let warm = warm(&notebooks);
    let jinja = jinja(&venv, &notebooks);
    figures.note("render_warm_ms", warm * 1000.0);
    figures.note("render_jinja2_warm_ms", jinja * 1000.0);
    figures.note("render_vs_jinja2_ratio", jinja / warm);
    let _ = fs::remove_dir_all(&dir);
}

fn venv() -> Option<PathBuf> {
    let named = std::env::var_os("WOD_ANSIBLE").map(PathBuf::from);
    let places = [named, Some("/opt/ansible".into())];
    places
        .into_iter()
        .flatten()
        .find(|dir| dir.join("bin/ansible-playbook").exists())
}

/// Mostly literal text, with a tag in every few lines, as authors write them.
fn notebook(number: usize) -> String {
    let mut text = String::from("{\n \"cells\": [\n");
    let mut cell = 0;
    while text.len() < BYTES - 400 {
        let first = if cell == 0 { "" } else { ",\n" };
        let _ = write!(
            text,
            "{first}  {{\n   \"cell_type\": \"markdown\",\n   \"metadata\": {{}},\n   \"source\": [\n    \"## Step {cell} of {number}\\n\",\n"
        );
        for line in 0..12 {
            let _ = writeln!(
                text,
                "    \"Look at line {line} of what the machine says: it is {{ 'status': 'ok' }} in most cases, 100% of the time.\\n\","
            );
        }
        text.push_str(match cell % 4 {
            0 => "    \"You are student{{ STDID }} on {{ HOST }}, port {{ 8000 + STDID|int }}.\\n\"",
            1 => "    \"{% if MODEWS == 'CHLG' %}Find out yourself.{% else %}Run `curl {{ HOST }}`.{% endif %}\\n\"",
            2 => "    \"Part of {{ BRANDING }}: {{ WORKSHOP | replace('WKSHP-', '') }}\\n\"",
            _ => "    \"{% raw %}{{ left alone }}{% endraw %} and {{ NAME | default('nobody') }}\\n\"",
        });
        text.push_str("\n   ]\n  }");
        cell += 1;
    }
    text.push_str("\n ],\n \"metadata\": {},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}\n");
    text
}

fn site(dir: &Path) {
    let group_vars = dir.join("inventory/group_vars");
    fs::create_dir_all(&group_vars).unwrap();
    fs::write(dir.join("inventory/hosts"), "localhost\n").unwrap();
    let shown = dir.display();
    let vars = format!(
        "WODHUB: none\nWODACCOUNTS: sandbox\nWODNOBO: {shown}/notebooks\nWODSTATEDIR: {shown}/state\n\
         WODSTUDDIR: {shown}/student\nWODSCRIPTDIR: {shown}/scripts\nWODUSER: nobody\n\
         WODSENDER: a@example.org\nBRANDING: Workshops-on-Demand\nHOST: hub.example.org\n"
    );
    fs::write(group_vars.join("all.yml"), vars).unwrap();
    let play = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n\
                \x20   - template:\n        src: \"{{ item }}\"\n        dest: \"{{ out }}/{{ item | basename }}\"\n\
                \x20     with_fileglob: \"{{ from }}/*.ipynb\"\n";
    fs::write(dir.join("play.yml"), play).unwrap();
}

fn seconds(command: &mut Command) -> f64 {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let took = start.elapsed().as_secs_f64();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    took
}

fn whole_process(dir: &Path, out: &Path) -> f64 {
    seconds(
        Command::new(env!("CARGO_BIN_EXE_wod"))
            .arg("--inventory")
            .arg(dir.join("inventory"))
            .args(["render", "WKSHP-Bench", "--student", "12", "--out"])
            .arg(out),
    )
}

fn playbook(venv: &Path, dir: &Path, out: &Path) -> f64 {
    fs::create_dir_all(out).unwrap();
    let mut command = Command::new(venv.join("bin/ansible-playbook"));
    command.args(["-i", "localhost,"]).arg(dir.join("play.yml"));
    command
        .env("ANSIBLE_LOCALHOST_WARNING", "False")
        .env("LC_ALL", "C.UTF-8");
    let from = dir.join("notebooks/WKSHP-Bench");
    let places = [("from", from.display()), ("out", out.display())];
    for (name, place) in places {
        command.arg("-e").arg(format!("{name}={place}"));
    }
    // Looking for a Python would only cost it time.
    let python = venv.join("bin/python");
    command
        .arg("-e")
        .arg(format!("ansible_python_interpreter={}", python.display()));
    for (name, value) in VARIABLES {
        command.arg("-e").arg(format!("{name}={value}"));
    }
    seconds(&mut command)
}

fn same(ours: &Path, theirs: &Path) {
    for number in 0..NOTEBOOKS {
        let name = format!("{number:02}.ipynb");
        let read = |dir: &Path| fs::read(dir.join(&name)).unwrap();
        assert!(
            read(ours) == read(theirs),
            "{name} differs from what Ansible renders"
        );
    }
}

fn warm(notebooks: &Path) -> f64 {
    let texts: Vec<String> = (0..NOTEBOOKS)
        .map(|number| fs::read_to_string(notebooks.join(format!("{number:02}.ipynb"))).unwrap())
        .collect();
    let values = VARIABLES.map(|(name, value)| (name.to_owned(), Value::Unsafe(value.to_owned())));
    let renderer = Renderer::new(Scope::new(Vars::default(), Passwords::default()).with(values));
    let round = || {
        let start = Instant::now();
        for text in &texts {
            std::hint::black_box(renderer.render("notebook", text).unwrap());
        }
        start.elapsed().as_secs_f64()
    };
    round();
    median((0..ROUNDS).map(|_| round()))
}

fn jinja(venv: &Path, notebooks: &Path) -> f64 {
    let output = Command::new(venv.join("bin/python"))
        .args(["-c", WARM])
        .arg(notebooks)
        .arg(ROUNDS.to_string())
        .args(VARIABLES.map(|(name, value)| format!("{name}={value}")))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    median(text.lines().map(|line| line.parse().unwrap()))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 50)
}
