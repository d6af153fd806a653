//! The LDAP adapter against a real slapd on a private host.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{on_private_host, sh, wait_for};
use wod::adapters::directory_ldap::{Config, Ldap};
use wod::domain::{Secret, Student};
use wod::ports::{Directory, Disposition, Entry, Fault};

const BASE: &str = "dc=example,dc=org";
const ADMIN: &str = "cn=Directory Manager";

#[test]
fn passwords_in_a_real_directory() {
    on_private_host(|| {
        inside::passwords_in_a_real_directory();
    });
}

#[test]
fn a_directory_that_does_not_answer_may_pass() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    for port in [1, silent.local_addr().unwrap().port()] {
        let began = Instant::now();
        let fault = set(port, "s3cret-bind", 7, "s3cret-new").unwrap_err();
        assert_eq!(fault.disposition, Disposition::Retry, "{fault}");
        assert!(fault.line().contains("does not answer"), "{fault}");
        assert!(!fault.chain().contains("s3cret"), "{}", fault.chain());
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn empty_passwords_are_refused_on_this_side() {
    for (bind, new) in [("", "x"), ("x", "")] {
        let fault = set(1, bind, 7, new).unwrap_err();
        assert_eq!(fault.disposition, Disposition::Permanent, "{fault}");
    }
}

fn set(port: u16, bind: &str, student: u32, new: &str) -> Result<Entry, Fault> {
    let mut config = Config::new("127.0.0.1", port, BASE, Secret::new(bind.into()));
    config.timeout = Duration::from_secs(1);
    let student = Student::new(student).unwrap();
    Ldap::new(config)?.set_password(student, &Secret::new(new.into()))
}

mod inside {
    use super::*;

    const PORT: u16 = 3890;
    const DN: &str = "uid=student7,ou=People,dc=example,dc=org";

    /// `extra` goes to the end of slapd.conf.
    fn slapd(extra: &str) {
        sh(&format!(
            "rm -rf /run/dir; install -d -m 0700 /run/dir/db; cd /run/dir
             cat > slapd.conf <<'END'
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
moduleload back_mdb
pidfile /run/dir/pid
{extra}
database mdb
suffix {BASE}
rootdn \"{ADMIN},{BASE}\"
rootpw nobody-uses-it
directory /run/dir/db
access to attrs=userPassword by dn.exact=\"uid=admin,{BASE}\" write by anonymous auth
access to * by * read
END
             slapadd -f slapd.conf <<'END'
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: x

dn: uid=admin,{BASE}
objectClass: account
objectClass: simpleSecurityObject
userPassword: bind-word

dn: uid=guest,{BASE}
objectClass: account
objectClass: simpleSecurityObject
userPassword: guest-word

dn: ou=People,{BASE}
objectClass: organizationalUnit

dn: {DN}
objectClass: account
objectClass: simpleSecurityObject
userPassword: very-old
END
             slapd -f slapd.conf -h ldap://127.0.0.1:{PORT}"
        ));
        wait_for(10, "slapd", || {
            std::net::TcpStream::connect(("127.0.0.1", PORT)).ok()
        });
    }

    fn as_user(user: &str, bind: &str, student: u32, new: &str) -> Result<Entry, Fault> {
        let mut config = Config::new("127.0.0.1", PORT, BASE, Secret::new(bind.into()));
        config.bind_dn = format!("uid={user},{BASE}");
        let student = Student::new(student).unwrap();
        Ldap::new(config)?.set_password(student, &Secret::new(new.into()))
    }

    fn who_am_i(password: &str) -> Option<i32> {
        let address = format!("ldap://127.0.0.1:{PORT}");
        let mut command = Command::new("ldapwhoami");
        command.args(["-x", "-H", &address, "-D", DN, "-w", password]);
        command.output().unwrap().status.code()
    }

    fn stored() -> String {
        sh("slapcat -f /run/dir/slapd.conf -a uid=student7 |
            sed -n 's/^userPassword:: //p' | base64 -d")
    }

    pub fn passwords_in_a_real_directory() {
        slapd("");
        assert_eq!(who_am_i("very-old"), Some(0));
        as_user("admin", "bind-word", 7, "päss 'w\"ord").unwrap();
        assert_eq!(who_am_i("päss 'w\"ord"), Some(0));
        assert_eq!(who_am_i("very-old"), Some(49));
        assert!(stored().starts_with("{SSHA}"), "{}", stored());
        as_user("admin", "bind-word", 7, "päss 'w\"ord").unwrap();
        what_is_refused();

        sh("pid=$(cat /run/dir/pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.02; done");
        let fault = as_user("admin", "bind-word", 7, "later").unwrap_err();
        assert_eq!(fault.disposition, Disposition::Retry);

        // A directory that wants TLS for its own operation, as 389 Directory Server does.
        slapd("restrict extended=1.3.6.1.4.1.4203.1.11.1");
        as_user("admin", "bind-word", 7, "by-attribute").unwrap();
        assert_eq!(who_am_i("by-attribute"), Some(0));
        assert_eq!(who_am_i("very-old"), Some(49));
        what_is_refused();
    }

    fn what_is_refused() {
        let unknown = as_user("admin", "bind-word", 8, "s3cret-new").unwrap();
        assert_eq!(unknown, Entry::Missing);
        for (user, bind, number, expected) in [
            ("admin", "not-the-word", 7, "check WODLDAPPWD"),
            ("guest", "guest-word", 7, "let it write userPassword"),
        ] {
            let fault = as_user(user, bind, number, "s3cret-new").unwrap_err();
            assert!(fault.line().contains(expected), "{fault}");
            assert_eq!(fault.disposition, Disposition::Permanent);
            assert!(!fault.chain().contains("s3cret") && !fault.chain().contains(bind));
        }
    }
}
