//! What this machine says of itself, for the facts that templates ask for.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use users::os::unix::UserExt;

use crate::exec::Cmd;
use crate::inventory::{DATE_FORMAT, Machine};

/// A name server that does not answer must not hold a template up for long.
const PATIENCE: Duration = Duration::from_secs(5);
/// What of our environment is nobody's secret.
const OPEN_ENV: &[&str] = &["LANG", "LC_ALL", "PATH", "TERM", "TZ"];

/// Gathers everything; `user` is the account that templates speak of, if it exists.
pub(super) fn machine(user: &str) -> Machine {
    let account = users::get_user_by_name(user)
        .or_else(|| users::get_user_by_uid(users::get_effective_uid()));
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let user = account
        .as_ref()
        .map(|account| account.name().to_string_lossy().into_owned());
    let user = user.unwrap_or_default();
    let home = account
        .as_ref()
        .map(|account| text(account.home_dir()))
        .unwrap_or_default();
    let shell = account
        .as_ref()
        .map(|account| text(account.shell()))
        .unwrap_or_default();
    let own = [
        ("HOME", &home),
        ("LOGNAME", &user),
        ("SHELL", &shell),
        ("USER", &user),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
    let open = OPEN_ENV
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    Machine {
        os_release: read("/etc/os-release"),
        debian_version: read("/etc/debian_version"),
        nodename: nodename(),
        fqdn: fqdn(),
        env: own.into_iter().chain(open).collect(),
        user,
        home,
        shell,
        address: address(),
        date: printed(Cmd::new("date").arg(DATE_FORMAT).envs(zone())),
    }
}

pub(super) fn nodename() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Asks the resolver; the bare name where that has no answer.
pub(super) fn fqdn() -> String {
    let full = printed(Cmd::new("hostname").arg("-f").timeout(PATIENCE));
    match full.trim() {
        "" => nodename(),
        full => full.to_owned(),
    }
}

/// The address that packets to the outside would come from. None is sent.
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("8.8.8.8:53").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

fn zone() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let zone = std::env::var_os("TZ");
    zone.map(|zone| ("TZ".into(), zone)).into_iter().collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn printed(cmd: Cmd) -> String {
    let output = cmd.run().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}
