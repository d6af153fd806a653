//! What templates may know of a host: its place in the inventory, and what its system says.
//!
//! Texts in, variables out; who gathers them is `site`. Gathered when first asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use super::{Map, Value};

/// The raw texts that a host's facts are made from.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// `/etc/os-release`
    pub os_release: String,
    /// `/etc/debian_version`; empty elsewhere.
    pub debian_version: String,
    /// As `uname -n` says it.
    pub nodename: String,
    /// The full name as the resolver knows it.
    pub fqdn: String,
    /// The account that templates speak of, and its home.
    pub user: String,
    pub home: String,
    pub shell: String,
    /// What templates may see of the environment.
    pub env: Vec<(String, String)>,
    pub address: Option<IpAddr>,
    /// What `date` makes of [`DATE_FORMAT`].
    pub date: String,
}

/// For `date`: the local time's parts, one per line, and the same moment in UTC's seconds.
pub const DATE_FORMAT: &str = "+%Y\n%m\n%d\n%H\n%M\n%S\n%A\n%w\n%W\n%s\n%Z\n%z\n%6N";

/// ID of os-release; then Ansible's name, family and package manager.
const DISTRIBUTIONS: &[(&str, &str, &str, &str)] = &[
    ("almalinux", "AlmaLinux", "RedHat", "dnf"),
    ("alpine", "Alpine", "Alpine", "apk"),
    ("amzn", "Amazon", "RedHat", "dnf"),
    ("arch", "Archlinux", "Archlinux", "pacman"),
    ("centos", "CentOS", "RedHat", "dnf"),
    ("debian", "Debian", "Debian", "apt"),
    ("fedora", "Fedora", "RedHat", "dnf"),
    ("kali", "Kali", "Debian", "apt"),
    ("linuxmint", "Linux Mint", "Debian", "apt"),
    ("ol", "OracleLinux", "RedHat", "dnf"),
    ("opensuse-leap", "openSUSE Leap", "Suse", "zypper"),
    ("raspbian", "Debian", "Debian", "apt"),
    ("rhel", "RedHat", "RedHat", "dnf"),
    ("rocky", "Rocky", "RedHat", "dnf"),
    ("sles", "SLES", "Suse", "zypper"),
    ("ubuntu", "Ubuntu", "Debian", "apt"),
];

/// Facts that have to be gathered.
pub const HOST_FACTS: &[&str] = &[
    "ansible_date_time",
    "ansible_default_ipv4",
    "ansible_distribution",
    "ansible_distribution_major_version",
    "ansible_distribution_release",
    "ansible_distribution_version",
    "ansible_domain",
    "ansible_env",
    "ansible_facts",
    "ansible_fqdn",
    "ansible_hostname",
    "ansible_nodename",
    "ansible_os_family",
    "ansible_pkg_mgr",
    "ansible_user_dir",
    "ansible_user_id",
    "ansible_user_shell",
];

type Gather = Box<dyn Fn() -> Machine + Send + Sync>;

/// The facts of one host.
#[derive(Default)]
pub struct HostFacts {
    place: BTreeMap<String, Value>,
    gather: Option<Gather>,
    gathered: OnceLock<BTreeMap<String, Value>>,
}

impl fmt::Debug for HostFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostFacts({:?})", self.place.get("inventory_hostname"))
    }
}

impl HostFacts {
    /// The place of `host` in the inventory; `gather` only where the host is this machine.
    pub fn new(inventory: &super::Inventory, host: &str, gather: Option<Gather>) -> HostFacts {
        let text = |text: &str| Value::Unsafe(text.to_owned());
        let short = match host.parse::<IpAddr>() {
            Ok(_) => host,
            Err(_) => host.split('.').next().unwrap_or(host),
        };
        let list = |names: &[&str]| Value::List(names.iter().map(|name| text(name)).collect());
        let groups: Map = inventory
            .groups()
            .map(|(name, hosts)| (name.to_owned(), list(&hosts)))
            .collect();
        let place = [
            ("inventory_hostname", text(host)),
            ("inventory_hostname_short", text(short)),
            ("group_names", list(&inventory.groups_of(host))),
            ("groups", Value::Map(groups)),
        ];
        HostFacts {
            place: place.map(|(name, value)| (name.to_owned(), value)).into(),
            gather,
            gathered: OnceLock::new(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.place.get(name) {
            return Some(value);
        }
        let gather = self
            .gather
            .as_ref()
            .filter(|_| HOST_FACTS.contains(&name))?;
        self.gathered.get_or_init(|| facts(&gather())).get(name)
    }
}

/// The variables that Ansible's `setup` would give, as far as templates ask for them.
pub fn facts(machine: &Machine) -> BTreeMap<String, Value> {
    let text = |text: &str| Value::Unsafe(text.to_owned());
    let (distribution, family, manager, version) = distribution(machine);
    let major = version.split('.').next().unwrap_or_default();
    let hostname = machine.nodename.split('.').next().unwrap_or_default();
    let domain = machine
        .fqdn
        .split_once('.')
        .map_or("", |(_, domain)| domain);
    let env = machine
        .env
        .iter()
        .map(|(name, value)| (name.clone(), text(value)));
    let address = machine.address.map(|address| text(&address.to_string()));
    let release = field(&machine.os_release, "VERSION_CODENAME");
    let facts = [
        ("date_time", date_time(&machine.date)),
        (
            "default_ipv4",
            Value::Map(
                address
                    .into_iter()
                    .map(|it| ("address".to_owned(), it))
                    .collect(),
            ),
        ),
        ("distribution", text(&distribution)),
        ("distribution_major_version", text(major)),
        (
            "distribution_release",
            text(release.as_deref().unwrap_or("NA")),
        ),
        ("distribution_version", text(&version)),
        ("domain", text(domain)),
        ("env", Value::Map(env.collect())),
        ("fqdn", text(&machine.fqdn)),
        ("hostname", text(hostname)),
        ("nodename", text(&machine.nodename)),
        ("os_family", text(&family)),
        ("pkg_mgr", text(manager)),
        ("user_dir", text(&machine.home)),
        ("user_id", text(&machine.user)),
        ("user_shell", text(&machine.shell)),
    ];
    let short = facts
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    let all = ("ansible_facts".to_owned(), Value::Map(short.collect()));
    let long = facts
        .iter()
        .map(|(name, value)| (format!("ansible_{name}"), value.clone()));
    long.chain([all]).collect()
}

/// A field of os-release, without its quotes.
fn field(os_release: &str, name: &str) -> Option<String> {
    let mut lines = os_release.lines().filter_map(|line| line.split_once('='));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Name, family, package manager and version.
fn distribution(machine: &Machine) -> (String, String, &'static str, String) {
    let field = |name| field(&machine.os_release, name).unwrap_or_default();
    let (id, like) = (field("ID"), field("ID_LIKE"));
    let known = |id: &str| DISTRIBUTIONS.iter().find(|row| row.0 == id);
    let release = machine.debian_version.trim();
    let version = match id.as_str() {
        // Its os-release leaves the point release out.
        "debian" if release.starts_with(|c: char| c.is_ascii_digit()) => release.to_owned(),
        _ => field("VERSION_ID"),
    };
    if let Some((_, name, family, manager)) = known(&id) {
        return ((*name).to_owned(), (*family).to_owned(), manager, version);
    }
    let name = field("NAME");
    match like.split_whitespace().find_map(known) {
        Some((_, _, family, manager)) => (name, (*family).to_owned(), manager, version),
        None => (name.clone(), name, "unknown", version),
    }
}

fn date_time(date: &str) -> Value {
    let parts: Vec<&str> = date.lines().collect();
    let [
        year,
        month,
        day,
        hour,
        minute,
        second,
        weekday,
        number,
        week,
        epoch,
        tz,
        offset,
        micro,
    ] = parts[..]
    else {
        return Value::Map(Map::default());
    };
    let seconds: i64 = epoch.parse().unwrap_or_default();
    let utc = crate::domain::Time(seconds.saturating_mul(1000)).to_string();
    let utc = utc.trim_end_matches('Z').replace(' ', "T");
    let basic = format!("{year}{month}{day}T{hour}{minute}{second}");
    let text = |text: String| Value::Unsafe(text);
    let pairs = [
        ("year", year.to_owned()),
        ("month", month.to_owned()),
        ("weekday", weekday.to_owned()),
        ("weekday_number", number.to_owned()),
        ("weeknumber", week.to_owned()),
        ("day", day.to_owned()),
        ("hour", hour.to_owned()),
        ("minute", minute.to_owned()),
        ("second", second.to_owned()),
        ("epoch", epoch.to_owned()),
        ("epoch_int", epoch.to_owned()),
        ("date", format!("{year}-{month}-{day}")),
        ("time", format!("{hour}:{minute}:{second}")),
        ("iso8601_micro", format!("{utc}.{micro}Z")),
        ("iso8601", format!("{utc}Z")),
        ("iso8601_basic", format!("{basic}{micro}")),
        ("iso8601_basic_short", basic),
        ("tz", tz.to_owned()),
        ("tz_dst", tz.to_owned()),
        ("tz_offset", offset.to_owned()),
    ];
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), text(value)));
    Value::Map(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(os_release: &str, debian_version: &str) -> [String; 5] {
        let machine = Machine {
            os_release: os_release.to_owned(),
            debian_version: debian_version.to_owned(),
            ..Machine::default()
        };
        let facts = facts(&machine);
        [
            "distribution",
            "distribution_version",
            "distribution_major_version",
            "os_family",
            "pkg_mgr",
        ]
        .map(|name| {
            facts[&format!("ansible_{name}")]
                .as_text()
                .unwrap()
                .to_owned()
        })
    }

    #[test]
    fn distributions_have_ansibles_names() {
        assert_eq!(
            of(
                "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n",
                "trixie/sid\n"
            ),
            ["Ubuntu", "24.04", "24", "Debian", "apt"]
        );
        assert_eq!(
            of("VERSION_ID=\"12\"\nID=debian\n", "12.11\n"),
            ["Debian", "12.11", "12", "Debian", "apt"]
        );
        assert_eq!(
            of(
                "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n",
                ""
            ),
            ["Rocky", "9.4", "9", "RedHat", "dnf"]
        );
        assert_eq!(
            of(
                "NAME='Pop!_OS'\nID=pop\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=22.04\n",
                ""
            ),
            ["Pop!_OS", "22.04", "22", "Debian", "apt"]
        );
        assert_eq!(
            of("NAME=Odd\nID=odd\n", ""),
            ["Odd", "", "", "Odd", "unknown"]
        );
    }

    #[test]
    fn names_and_times() {
        let facts = facts(&Machine {
            nodename: "wod1.example.org".to_owned(),
            fqdn: "wod1.example.org".to_owned(),
            address: Some(IpAddr::from([192, 0, 2, 7])),
            date: "2026\n11\n21\n14\n00\n33\nSaturday\n6\n46\n1795266033\nCET\n+0100\n103283\n"
                .to_owned(),
            ..Machine::default()
        });
        assert_eq!(facts["ansible_hostname"].as_text(), Some("wod1"));
        assert_eq!(facts["ansible_domain"].as_text(), Some("example.org"));
        let inner = |name: &str, key: &str| match &facts[name] {
            Value::Map(map) => map.get(key).and_then(Value::as_text).map(str::to_owned),
            _ => None,
        };
        assert_eq!(
            inner("ansible_default_ipv4", "address").unwrap(),
            "192.0.2.7"
        );
        assert_eq!(inner("ansible_date_time", "date").unwrap(), "2026-11-21");
        assert_eq!(
            inner("ansible_date_time", "iso8601").unwrap(),
            "2026-11-21T13:00:33Z"
        );
        assert_eq!(
            inner("ansible_date_time", "iso8601_basic_short").unwrap(),
            "20261121T140033"
        );
        assert_eq!(inner("ansible_facts", "hostname").unwrap(), "wod1");
    }

    #[test]
    fn every_fact_is_gathered_and_no_other() {
        let names: Vec<String> = facts(&Machine::default()).into_keys().collect();
        assert_eq!(names, HOST_FACTS);
    }
}
