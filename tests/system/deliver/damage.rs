//! How to damage each kind of item, as shell lines.

use std::path::Path;

/// Each undoes a part of the item, or all of it; the first one as much as is possible without
/// touching another item.
pub fn damages(item: &str, all: &[String]) -> Vec<String> {
    let (kind, rest) = item.split_once(' ').unwrap_or((item, ""));
    let path = rest.strip_prefix("in ").unwrap_or(rest);
    match kind {
        // Its going would change whose the things are that belong to it.
        "account" if rest == "wodadmin" => vec!["usermod -s /bin/false wodadmin".to_owned()],
        "account" => vec![
            format!("userdel {rest}"),
            format!("usermod -s /bin/bash {rest}"),
        ],
        "file" => file(path),
        "block" => block(path),
        "settings" => vec![
            format!("postconf -c /etc/postfix -X mailbox_command; test -s {path}"),
            "postconf -c /etc/postfix -e myhostname=other.example.org".to_owned(),
        ],
        "directory" => directory(path, all),
        "sysctl" => vec![format!("echo 77 >/proc/sys/{}", rest.replace('.', "/"))],
        "packages" => vec!["dpkg --remove python3-venv >/dev/null".to_owned()],
        "firewall" => vec![
            "ufw --force disable >/dev/null; ufw delete allow 10025/tcp >/dev/null".to_owned(),
            "ufw delete allow 123/udp >/dev/null".to_owned(),
        ],
        "service" => service(rest),
        _ => Vec::new(),
    }
}

fn file(path: &str) -> Vec<String> {
    let how = [
        format!("chmod 0777 {path}"),
        format!("chown 12345:12345 {path}"),
        format!("truncate -s 1 {path}"),
        format!("echo more >>{path}"),
    ];
    // Not all four of each: a run for every one of them takes its time.
    let turn = path.len() % how.len();
    vec![format!("rm {path}"), how[turn].clone()]
}

fn block(path: &str) -> Vec<String> {
    let marks = "'/^# begin of what wod/,/^# end of what wod/";
    let mut how = vec![
        format!("sed -i {marks}d' {path}"),
        format!("sed -i {marks}s/^[^#]/x&/; s/^# no port/# port/' {path}"),
        format!("sed -i '/^# end of what wod/d' {path}"),
    ];
    // What Debian has in these is more than our lines.
    if path.starts_with("/home") {
        how.push(format!("rm {path}"));
    }
    how
}

fn directory(path: &str, all: &[String]) -> Vec<String> {
    let below = |item: &String| {
        let words: Vec<&str> = item.split(' ').collect();
        words
            .last()
            .is_some_and(|other| other.starts_with(&format!("{path}/")))
    };
    let mode = format!("chmod 0770 {path}");
    let owner = format!("chown 12345:12345 {path}");
    // Others' things in it would go, too.
    let kept = ["/home", "/etc/wod", "/var/jphub", "/var/share"];
    match all.iter().any(below) || kept.contains(&path) || !Path::new(path).is_dir() {
        true => vec![mode, owner],
        false => vec![format!("rm -r {path}"), mode, owner],
    }
}

fn service(names: &str) -> Vec<String> {
    // The one that is installed here.
    let names: Vec<&str> = names.split(" or ").collect();
    let names = names.join(" ");
    let of = |mark: &str| format!("for name in {names}; do rm -f /run/units/$name.{mark}; done");
    vec![
        format!("{}; {}", of("active"), of("enabled")),
        of("enabled"),
        of("active"),
    ]
}
