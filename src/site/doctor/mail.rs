//! How mails come in: the port, and a Postfix in front of it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::deliver::is_here;
use crate::exec::Cmd;

use super::{Found, Look, problem};

const PATIENCE: Duration = Duration::from_secs(2);
/// Options that turn real frontends away, which never see why, and what they must not be.
const DANGEROUS: &[(&str, &[&str])] = &[
    ("smtpd_forbid_unauth_pipelining", &["yes"]),
    ("strict_rfc821_envelopes", &["yes"]),
    ("smtpd_forbid_bare_newline", &["yes", "reject"]),
];
const RESTRICTIONS: &[&str] = &[
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
];
const PIPELINING: &str = "reject_unauth_pipelining";

pub fn port(look: &Look<'_>) -> Vec<Found> {
    let Some(address) = look.site.settings.smtp_listen else {
        return Vec::new();
    };
    let near = match address {
        any if any.ip().is_unspecified() => SocketAddr::new([127, 0, 0, 1].into(), any.port()),
        other => other,
    };
    match TcpStream::connect_timeout(&near, PATIENCE) {
        Ok(_) => Vec::new(),
        Err(e) => vec![problem(
            format!("nobody takes mails at WODSMTPLISTEN {address}: {e}"),
            "systemctl enable --now wod-intake.socket wod; ss -ltnp",
        )],
    }
}

pub fn postfix(_: &Look<'_>) -> Vec<Found> {
    if !is_here("/etc/postfix/main.cf") || !is_here("postconf") {
        return Vec::new();
    }
    let names = DANGEROUS.iter().map(|(name, _)| *name);
    let said = Cmd::new("postconf")
        .args(names.chain(RESTRICTIONS.iter().copied()))
        .run_any();
    match said {
        // An option that this Postfix does not know is told on stderr, and is none.
        Ok((_, said)) => wrong(&String::from_utf8_lossy(&said.stdout)),
        Err(e) => vec![problem(
            format!("postconf does not run: {e}"),
            "postconf -n",
        )],
    }
}

/// Of `name = value` lines.
fn wrong(settings: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, value) in settings.lines().filter_map(|line| line.split_once('=')) {
        let (name, value) = (name.trim(), value.trim());
        let mut words = value.split([',', ' ']);
        let is_dangerous = DANGEROUS
            .iter()
            .any(|(bad, values)| *bad == name && words.clone().any(|word| values.contains(&word)));
        if is_dangerous {
            found.push(problem(
                format!("Postfix has {name} = {value}: frontends' mails are lost by it"),
                format!("postconf -e {name}=no; postfix reload"),
            ));
        } else if RESTRICTIONS.contains(&name) && words.any(|word| word == PIPELINING) {
            found.push(problem(
                format!("Postfix has {PIPELINING} in {name}: frontends' mails are lost by it"),
                format!("take it out with postconf -e '{name} = …'; postfix reload"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn each_option_that_loses_mails_is_told() {
        let good = "smtpd_forbid_unauth_pipelining = no\nstrict_rfc821_envelopes = no\n\
            smtpd_forbid_bare_newline = normalize\nsmtpd_data_restrictions =\n\
            smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n";
        assert!(wrong(good).is_empty());
        for bad in [
            "smtpd_forbid_unauth_pipelining = yes",
            "strict_rfc821_envelopes = yes",
            "smtpd_forbid_bare_newline = reject",
            "smtpd_forbid_bare_newline = yes",
            "smtpd_data_restrictions = permit_mynetworks,reject_unauth_pipelining",
            "smtpd_recipient_restrictions = reject_unauth_pipelining",
        ] {
            let found = wrong(&format!("{good}{bad}\n"));
            assert_eq!(found.len(), 1, "{bad}");
            assert!(found[0].mend.contains("postconf -e"), "{bad}");
        }
    }
}
