//! Names that the product gives a meaning to: which one a mistyped name was meant to be, and
//! which names are those of secrets.

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
    "WODMONITOR",
    "WODNOBO",
    "WODPOSTPORT",
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
    "WODSYSDIR",
    "WODSYSPRIVDIR",
    "WODTRASHHOURS",
    "WODUSER",
    "WODUSERMAX",
    "WODUSERMIN",
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
    nearest(name, KNOWN.iter().copied())
}

/// Of `names`, the one that is nearest to `name` and no further than a typo.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|known| {
        // Of two that are as near, the one that is only longer or shorter.
        let is_cut = known.starts_with(name) || name.starts_with(known);
        ((distance(name, known), !is_cut), known)
    });
    let best = near
        .filter(|((edits, _), _)| *edits <= TYPO)
        .min_by_key(|(far, _)| *far)?;
    Some(best.1)
}

/// Insertions, deletions, changes, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
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
