//! What `wod deliver` has to do on the host of a site: its items, and what their templates see.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use users::os::unix::UserExt;

use crate::adapters::scripts::is_named_secret;
use crate::deliver::{Facts, Item, Ledger, Manifest, Missing, Source, is_here};
use crate::domain::Secret;
use crate::intake::confine::Demand;
use crate::inventory::{HubSettings, Value, WatchdogBy};
use crate::safefs::Dir;
use crate::templates::{Renderer, Scope};

use super::{Misconfigured, Site};

/// Where a program of ours is on a host that is set up.
const PROGRAM: &str = "/usr/local/bin/wod";
/// The system's own: as WODSTUDDIR they would be given to WODUSER.
const NOT_FOR_HOMES: &[&str] = &[
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
];
/// Variables whose values nobody may read, in a vault or not.
const SECRETS: &[&str] = &["VAULTPWD", "WODBETOKEN", "WODLDAPPWD", "WODAPIDBUSERPWD"];

impl Site {
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.state.deliver())
    }

    /// Every item of this host, in no order but that within a tag.
    pub fn deliver_items(
        &self,
        inventory: &Path,
        packages: Missing,
    ) -> Result<Vec<Item>, Misconfigured> {
        let wrong = |problems| Misconfigured {
            inventory: inventory.display().to_string(),
            problems,
        };
        let students = &self.settings.students_dir;
        let real = students.canonicalize();
        let real = real.as_ref().unwrap_or(students);
        if NOT_FOR_HOMES.iter().any(|dir| Path::new(dir) == real) {
            return Err(wrong(vec![format!(
                "WODSTUDDIR {} is a directory of the system's own; give the homes one of their own",
                students.display()
            )]));
        }
        let source = Source {
            dirs: self.settings.sys_dirs.clone(),
        };
        let host = Host::look(&self.settings.user);
        let renderer = Renderer::new(self.deliver_scope(&host, inventory));
        let facts = Facts {
            renderer: &renderer,
            ledger: self.ledger(),
            family: host.family,
            packages,
        };
        let mut items = Manifest::read(&source, &facts).map_err(wrong)?.items;
        items.extend(self.student_items()?);
        Ok(items)
    }

    pub fn has_hub(&self) -> bool {
        matches!(self.settings.hub, HubSettings::JupyterHub { .. })
    }

    /// JPHUB: where the hub's programs are.
    pub fn hub_dir(&self) -> String {
        super::text(&self.scope, "JPHUB").unwrap_or_else(|| "/opt/jupyterhub".to_owned())
    }

    /// Names that this host has: what `--limit` may say.
    pub fn host_names(&self) -> Vec<String> {
        let fixed = ["localhost".to_owned(), host_name()];
        let short = host_name().split('.').next().map(str::to_owned);
        let stated = ["inventory_hostname", "WODBEFQDN", "WODBEEXTFQDN"];
        let stated = stated
            .iter()
            .filter_map(|name| super::text(&self.scope, name));
        fixed.into_iter().chain(short).chain(stated).collect()
    }

    /// What must not be seen in anything that is shown.
    pub fn secrets(&self) -> Vec<Secret> {
        let exports = self.scope.all_resolved().values.into_iter();
        let vaulted = exports
            .filter(|export| export.is_secret || is_named_secret(&export.name, &export.text));
        let named = SECRETS
            .iter()
            .filter_map(|name| super::text(&self.scope, name));
        let all = vaulted.map(|export| export.text).chain(named);
        all.filter(|text| !text.trim().is_empty())
            .map(Secret::new)
            .collect()
    }

    /// The site's variables, and below them what the site leaves to its defaults and what the
    /// host is.
    fn deliver_scope(&self, host: &Host, inventory: &Path) -> Scope {
        let settings = &self.settings;
        let path = |path: &Path| path.display().to_string();
        let maybe = |dir: &Option<PathBuf>| dir.as_deref().map(path).unwrap_or_default();
        let hub = match settings.hub {
            HubSettings::None => "none",
            HubSettings::JupyterHub { .. } => "jupyterhub",
        };
        let confine = match settings.confine {
            Demand::Possible => "possible",
            Demand::Required => "required",
        };
        let watchdog_unit = settings.watchdog.by == WatchdogBy::Unit;
        let listens = settings.smtp_listen.map(|address| address.to_string());
        let usual = [
            ("inventory_hostname", host.name.clone()),
            ("ansible_hostname", host.name.clone()),
            ("ansible_os_family", host.family.clone()),
            ("wod_program", host.program.clone()),
            ("wod_inventory", path(inventory)),
            ("wod_home", path(&host.home)),
            ("wod_address", host.address.clone()),
            ("wod_watchdog_unit", watchdog_unit.to_string()),
            ("WODUSER", settings.user.clone()),
            ("WODINTAKEUSER", settings.intake_user.clone()),
            ("WODSTATEDIR", path(&settings.state_dir)),
            ("WODSTUDDIR", path(&settings.students_dir)),
            ("WODSCRIPTDIR", path(&settings.scripts)),
            ("WODSCRIPTPRIVDIR", maybe(&settings.private_scripts)),
            ("WODSYSDIR", maybe(&settings.sys_dirs.last().cloned())),
            ("WODSYSPRIVDIR", String::new()),
            ("WODSKELDIR", "/usr/share/wod/skel".to_owned()),
            ("WODPRIVDIR", String::new()),
            ("WODANSIBLEDIR", String::new()),
            ("WODANSIBLEPRIVDIR", String::new()),
            ("WODGROUP", String::new()),
            ("WODMONITOR", String::new()),
            ("WODPOSTPORT", settings.mail_port.to_string()),
            ("WODSMTPLISTEN", listens.unwrap_or("none".to_owned())),
            ("WODHUB", hub.to_owned()),
            ("WODBEFQDN", "127.0.0.1".to_owned()),
            ("WODBEEXTFQDN", "{{ WODBEFQDN }}".to_owned()),
            ("WODBEPORT", "8000".to_owned()),
            ("WODBETOKEN", String::new()),
            ("WODHUBIDLESECONDS", "43200".to_owned()),
            ("WODUSERMIN", settings.window.0.first().number().to_string()),
            ("WODUSERMAX", settings.window.0.last().number().to_string()),
            ("UIDBASE", settings.uid_base.to_string()),
            ("WODCONFINE", confine.to_owned()),
            ("WODSTUDENTCPU", "100".to_owned()),
            ("WODSTUDENTMEMORY", "2048".to_owned()),
            ("WODSTUDENTTASKS", "512".to_owned()),
            ("VAULTPWD", String::new()),
            ("JPHUB", "/opt/jupyterhub".to_owned()),
        ];
        let peers: Vec<String> = settings
            .smtp_peers
            .iter()
            .map(ToString::to_string)
            .collect();
        let usual = usual
            .into_iter()
            .chain([("wod_smtp_peers", peers.join(" "))]);
        let unset = usual.filter(|(name, _)| matches!(self.scope.get(name), Ok(None)));
        let unset: Vec<(String, Value)> = unset
            .map(|(name, text)| (name.to_owned(), Value::Text(text)))
            .collect();
        self.scope.with(unset)
    }
}

/// What templates may want to know of this host.
struct Host {
    name: String,
    family: String,
    program: String,
    home: PathBuf,
    address: String,
}

impl Host {
    fn look(user: &str) -> Host {
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from(PROGRAM));
        let account = users::get_user_by_name(user);
        let home = account.map(|account| account.home_dir().to_owned());
        Host {
            name: host_name(),
            family: family(),
            program: match is_here(PROGRAM) {
                true => PROGRAM.to_owned(),
                false => own.display().to_string(),
            },
            // Where one is made that is not there yet.
            home: home.unwrap_or_else(|| Path::new("/home").join(user)),
            address: address().unwrap_or_else(|| "127.0.1.1".to_owned()),
        }
    }
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The address that this host has towards others. Nothing is sent.
fn address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // TEST-NET-1: everybody's default route leads there.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// This host's family of distributions, as Ansible calls it.
pub fn family() -> String {
    family_of(&os_release())
}

fn os_release() -> String {
    let read = Dir::open_root("/usr/lib".as_ref())
        .and_then(|dir| dir.read("os-release".as_ref(), 64 << 10));
    String::from_utf8_lossy(&read.unwrap_or_default()).into_owned()
}

/// As Ansible calls it; the distribution's own name when it is of no family that is known.
fn family_of(os_release: &str) -> String {
    let value = |key: &str| {
        let mut lines = os_release.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(name, _)| *name == key);
        found.map_or("", |(_, value)| value.trim_matches('"'))
    };
    let all = format!("{} {}", value("ID"), value("ID_LIKE"));
    let is = |names: &[&str]| all.split(' ').any(|word| names.contains(&word));
    match () {
        () if is(&["debian", "ubuntu"]) => "Debian".to_owned(),
        () if is(&["rhel", "fedora", "centos", "rocky", "almalinux"]) => "RedHat".to_owned(),
        () => value("ID").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::family_of;

    #[test]
    fn a_distribution_is_of_its_family() {
        assert_eq!(family_of("ID=debian\n"), "Debian");
        assert_eq!(family_of("ID=ubuntu\nID_LIKE=debian\n"), "Debian");
        assert_eq!(
            family_of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            "RedHat"
        );
        assert_eq!(family_of("ID=alpine\n"), "alpine");
    }
}
