//! Names that the product gives a meaning to: which one a mistyped name was meant to be, and
//! which names are those of secrets.

use crate::domain::near;

/// All variables that something of ours reads, beside those of workshops.
pub const KNOWN: &[&str] = &[
    "BRANDING",
    "BRANDINGLOGO",
    "BRANDINGURL",
    "BRANDINGWOD",
    "GIDBASE",
    "JPHUB",
    "SURVEYCHALURL",
    "SURVEYURL",
    "UIDBASE",
    "VAULTPWD",
    "WODACCOUNTS",
    "WODANSIBLEDIR",
    "WODANSIBLEPRIVDIR",
    "WODAPIDBEXTURL",
    "WODAPIDBUSER",
    "WODAPIDBUSERPWD",
    "WODAPPMINVALUE",
    "WODATTEMPTS",
    "WODBASESTDID",
    "WODBEAPIURL",
    "WODBEEXTFQDN",
    "WODBEFQDN",
    "WODBEPORT",
    "WODBEPROTO",
    "WODBETOKEN",
    "WODCONFINE",
    "WODCPUGRACE",
    "WODDELIVERCRON",
    "WODDUPLICATESECONDS",
    "WODGROUP",
    "WODGUARDSECONDS",
    "WODHISTORYDAYS",
    "WODHUB",
    "WODHUBSECONDS",
    "WODINTAKEUSER",
    "WODLDAPDMN",
    "WODLDAPPORT",
    "WODLDAPPWD",
    "WODLDAPSRVNAME",
    "WODMAILBYTES",
    "WODMAILHOST",
    "WODMAXSESSION",
    "WODMONITOR",
    "WODNOBO",
    "WODPOSTPORT",
    "WODPRIVATESECONDS",
    "WODPRIVDIR",
    "WODPRIVNOBO",
    "WODRECIPIENTS",
    "WODREPLAYSECONDS",
    "WODRETRYSECONDS",
    "WODRTARGET",
    "WODSCRIPTDIR",
    "WODSCRIPTPRIVDIR",
    "WODSCRIPTSECONDS",
    "WODSENDER",
    "WODSENDERS",
    "WODSIGNATURES",
    "WODSKELDIR",
    "WODSMTPLISTEN",
    "WODSMTPPEERS",
    "WODSTATEDIR",
    "WODSTUDDIR",
    "WODSTUDENTCPU",
    "WODSTUDENTMEMORY",
    "WODSTUDENTTASKS",
    "WODSYSDIR",
    "WODSYSPRIVDIR",
    "WODTRASHHOURS",
    "WODUSER",
    "WODUSERMAX",
    "WODUSERMIN",
    "WODWATCHDOG",
    "WODWATCHINTERVAL",
    "WODWORKERS",
];

/// Edits that turn one name into the other, for a typo to be one.
const TYPO: usize = 2;

/// The name that an unknown one was probably meant to be. A site may have WOD names of its own:
/// what is like none of ours is none of our business.
pub fn meant(name: &str) -> Option<&'static str> {
    if !name.starts_with("WOD") || KNOWN.contains(&name) {
        return None;
    }
    near::within(TYPO, name, KNOWN.iter().copied())
}

/// Whether a name says that its value is for nobody's eyes.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with("KEY")
        || ["PWD", "PASS", "TOKEN", "SECRET"]
            .iter()
            .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_seen_and_own_names_left_alone() {
        assert_eq!(meant("WODUSERMXA"), Some("WODUSERMAX"));
        assert_eq!(meant("WODNOB"), Some("WODNOBO"));
        assert_eq!(meant("WODSTUDIR"), Some("WODSTUDDIR"));
        assert_eq!(meant("WODUSERMAX"), None);
        assert_eq!(meant("WODCANTEENMENU"), None);
        assert_eq!(meant("BRANDIN"), None);
    }

    #[test]
    fn secrets_are_known_by_name() {
        for name in [
            "WODLDAPPWD",
            "VAULTPWD",
            "PASSSTU",
            "WODBETOKEN",
            "client_secret",
            "api_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["WODUSER", "BRANDING", "KEYBOARD"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
