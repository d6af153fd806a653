//! One real Ansible that renders template after template: `expect.py --serve`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::ansible;

pub struct Server {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// None where there is no Ansible.
    pub fn start() -> Option<Server> {
        let venv = ansible::venv()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/templates/expect.py");
        let mut child = Command::new(venv.join("bin/python"))
            .arg(script)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python of the venv starts");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Some(Server {
            child,
            questions,
            answers,
        })
    }

    fn answer(&mut self, question: &Value) -> Value {
        let pipe = self.questions.as_mut().expect("it is open");
        writeln!(pipe, "{question}").expect("Ansible listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Ansible answers");
        serde_json::from_str(&line).expect("an answer is JSON")
    }

    /// What Ansible renders, or why it does not.
    pub fn ask(&mut self, question: &Value) -> Result<String, String> {
        let answer = self.answer(question);
        match (answer["text"].as_str(), answer["error"].as_str()) {
            (Some(text), None) => Ok(text.to_owned()),
            (None, Some(error)) => Err(error.to_owned()),
            _ => panic!("{answer} to {question}"),
        }
    }

    /// The names of all filters and tests.
    pub fn plugins(&mut self) -> Value {
        self.answer(&json!({"plugins": true}))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}
