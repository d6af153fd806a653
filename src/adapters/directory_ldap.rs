//! Students' passwords in an LDAP directory, for appliances that log students in through one.
//! Sets the password of entries that are there; making entries is the directory's own admin's job.

use std::time::Duration;

use ldap3::exop::PasswordModify;
use ldap3::{LdapConn, LdapConnSettings, LdapError, LdapResult, Mod};

use crate::domain::{Secret, Student, quoted};
use crate::ports::{Directory, Entry, Fault};

/// The reference's account for this; every 389 Directory Server has it.
pub const USUAL_BIND_DN: &str = "cn=Directory Manager";

/// Result codes, RFC 4511 appendix A.
mod code {
    pub const SUCCESS: u32 = 0;
    pub const NO_SUCH_OBJECT: u32 = 32;
    pub const INVALID_DN: u32 = 34;
    pub const INVALID_CREDENTIALS: u32 = 49;
    pub const INSUFFICIENT_ACCESS: u32 = 50;
}

/// Which directory, and who we are there.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ldap://host:port` or `ldaps://host:port`.
    pub url: String,
    /// WODLDAPDMN, e.g. `dc=example,dc=org`.
    pub base_dn: String,
    pub bind_dn: String,
    /// WODLDAPPWD.
    pub password: Secret,
    /// For the connection, and again for each request on it.
    pub timeout: Duration,
}

impl Config {
    /// From WODLDAPSRVNAME, WODLDAPPORT, WODLDAPDMN and WODLDAPPWD; TLS on the port made for it.
    pub fn new(server: &str, port: u16, base_dn: &str, password: Secret) -> Config {
        let scheme = if port == 636 { "ldaps" } else { "ldap" };
        Config {
            url: format!("{scheme}://{server}:{port}"),
            base_dn: base_dn.to_owned(),
            bind_dn: USUAL_BIND_DN.to_owned(),
            password,
            timeout: Duration::from_secs(10),
        }
    }
}

/// A [`Directory`] that speaks LDAP.
#[derive(Debug)]
pub struct Ldap {
    config: Config,
}

impl Ldap {
    /// Fails, permanently, without a bind password: the directory would take that for a guest.
    pub fn new(config: Config) -> Result<Ldap, Fault> {
        match config.password.expose() {
            "" => Err(Fault::permanent(
                "there is no password for the directory; set WODLDAPPWD",
            )),
            _ => Ok(Ldap { config }),
        }
    }

    /// Whether it answers and lets us in; for `wod doctor`.
    pub fn check(&self) -> Result<(), Fault> {
        self.bound().map(drop)
    }

    fn bound(&self) -> Result<LdapConn, Fault> {
        let Config {
            url,
            bind_dn,
            timeout,
            ..
        } = &self.config;
        let settings = LdapConnSettings::new().set_conn_timeout(*timeout);
        let mut connection = LdapConn::with_settings(settings, url).map_err(|e| self.silent(&e))?;
        let result = connection
            .with_timeout(*timeout)
            .simple_bind(bind_dn, self.config.password.expose())
            .map_err(|e| self.silent(&e))?;
        match result.rc {
            code::SUCCESS => Ok(connection),
            code::INVALID_CREDENTIALS | code::NO_SUCH_OBJECT | code::INVALID_DN => {
                Err(Fault::permanent(format!(
                    "the directory at {url} refuses our login as {bind_dn}; check WODLDAPPWD"
                )))
            }
            _ => Err(self.refused("logging in", &result)),
        }
    }

    fn silent(&self, error: &LdapError) -> Fault {
        Fault::retry(format!(
            "the directory at {} does not answer; check WODLDAPSRVNAME and WODLDAPPORT, and that it runs",
            self.config.url
        ))
        .because(error)
    }

    fn refused(&self, doing: &str, result: &LdapResult) -> Fault {
        let line = format!(
            "the directory at {} failed at {doing}: result {} {}",
            self.config.url,
            result.rc,
            quoted(&result.text)
        );
        Fault::retry(line)
    }

    fn judge(&self, dn: &str, result: &LdapResult) -> Result<Entry, Fault> {
        let url = &self.config.url;
        match result.rc {
            code::SUCCESS => Ok(Entry::Set),
            code::NO_SUCH_OBJECT => Ok(Entry::Missing),
            code::INVALID_DN => Err(Fault::permanent(format!(
                "the directory at {url} can have no entry {dn}; correct WODLDAPDMN"
            ))),
            code::INSUFFICIENT_ACCESS => Err(Fault::permanent(format!(
                "the directory at {url} does not let {} change the password of {dn}; let it write userPassword",
                self.config.bind_dn
            ))),
            _ => Err(self.refused(&format!("the password of {dn}"), result)),
        }
    }
}

impl Directory for Ldap {
    /// By the directory's own operation for passwords, so that it keeps a hash of its choice.
    /// Where that does not work (389 Directory Server wants TLS for it, some have it not), by
    /// writing the attribute, which such servers hash themselves.
    fn set_password(&self, student: Student, password: &Secret) -> Result<Entry, Fault> {
        // Asked to set an empty one, a directory makes up one of its own.
        if password.expose().is_empty() {
            return Err(Fault::permanent(format!(
                "an empty password for {} is not set in the directory",
                student.account()
            )));
        }
        let dn = format!(
            "uid={},ou=People,{}",
            student.account(),
            self.config.base_dn
        );
        let mut connection = self.bound()?;
        let operation = PasswordModify {
            user_id: Some(&dn),
            old_pass: None,
            new_pass: Some(password.expose()),
        };
        let asked = connection
            .with_timeout(self.config.timeout)
            .extended(operation)
            .map_err(|e| self.silent(&e))?
            .1;
        let result = match asked.rc {
            code::SUCCESS | code::NO_SUCH_OBJECT => asked,
            _ => connection
                .with_timeout(self.config.timeout)
                .modify(&dn, replaced(password))
                .map_err(|e| self.silent(&e))?,
        };
        // A directory that has the new password has done its part, however it says goodbye.
        let _ = connection.unbind();
        self.judge(&dn, &result)
    }
}

fn replaced(password: &Secret) -> Vec<Mod<&str>> {
    vec![Mod::Replace("userPassword", [password.expose()].into())]
}
