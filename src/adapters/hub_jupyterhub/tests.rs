//! Addresses and answers; the hub itself is in the system tests.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::*;

fn hub(api_url: &str, token: &str) -> Result<JupyterHub, Fault> {
    JupyterHub::new(Config::new(
        api_url,
        Secret::new(token.into()),
        "http://h/hub/login",
    ))
}

/// The address of something that answers like a hub, each path with a text; as often as is
/// said.
fn answering(times: usize, text: fn(&str) -> &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..times {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let asked = lines.next().unwrap().unwrap();
            lines.find(|line| line.as_ref().unwrap().is_empty());
            let body = text(asked.split(' ').nth(1).unwrap());
            let length = body.len();
            let head =
                format!("content-length: {length}\r\nconnection: close\r\n{HUB_MARK}: 5\r\n");
            write!(&stream, "HTTP/1.1 200 OK\r\n{head}\r\n{body}").unwrap();
        }
    });
    format!("http://{address}/hub/api")
}

#[test]
fn tokens_that_are_not_understood_are_not_none() {
    let text = |path: &str| match path.ends_with("/tokens") {
        true => "[]",
        false => "{}",
    };
    let hub = hub(&answering(2, text), "t").unwrap();
    let fault = hub.leftovers(Student::FIRST).unwrap_err();
    assert!(fault.line().contains("does not understand"), "{fault}");
}

#[test]
fn a_check_that_is_not_understood_asks_for_no_scope() {
    let hub = hub(&answering(1, |_| "no json"), "t").unwrap();
    let fault = hub.check().unwrap_err();
    assert!(fault.line().contains("does not understand"), "{fault}");
}

#[test]
fn students_servers_are_where_the_hub_is() {
    assert_eq!(origin("http://h:8000/hub/api"), "http://h:8000");
    assert_eq!(origin("https://h"), "https://h");
    assert_eq!(
        hub("http://h:8000/hub/api/", "t").unwrap().api_url,
        "http://h:8000/hub/api"
    );
}

#[test]
fn an_address_or_token_that_cannot_work_is_told_without_its_secret() {
    for (url, token) in [
        ("localhost:8000", "t"),
        ("http://", "t"),
        ("http://u:hunter2@h/hub/api", "t"),
        ("http://h/hub/api", "hunter2\r\nX: y"),
    ] {
        let fault = hub(url, token).err().unwrap();
        assert!(!fault.chain().contains("hunter2"), "{}", fault.chain());
    }
}

#[test]
fn a_server_name_is_one_path_component() {
    assert_eq!(escaped("a/../b c"), "a%2F%2E%2E%2Fb%20c");
}
