//! What miners are known by: the product's list, and what a site adds to it and takes out of it.

use std::collections::BTreeSet;

use super::fields::{Fields, Wrong};

/// Texts are in lower case, sums in hex.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    /// Names of programs.
    pub programs: BTreeSet<String>,
    /// Whole words in arguments.
    pub words: BTreeSet<String>,
    /// Beginnings of addresses: `stratum+tcp://`
    pub urls: BTreeSet<String>,
    /// Domains of pools.
    pub pools: BTreeSet<String>,
    pub ports: BTreeSet<u16>,
    pub sha256: BTreeSet<String>,
}

const KNOWN: &str = include_str!("../../../templates/watchdog/miners.yml");

/// No pattern is shorter: it would be a part of everything.
const SHORTEST: usize = 3;

impl Lists {
    fn empty() -> Lists {
        Lists {
            programs: BTreeSet::new(),
            words: BTreeSet::new(),
            urls: BTreeSet::new(),
            pools: BTreeSet::new(),
            ports: BTreeSet::new(),
            sha256: BTreeSet::new(),
        }
    }

    /// The product's list, and what is wrong with it.
    pub fn known() -> Result<Lists, Vec<Wrong>> {
        let mut lists = Lists::empty();
        let mut fields = Fields::read(KNOWN);
        lists.add(&mut fields, "");
        fields.finish().map(|()| lists)
    }

    /// Adds the lists of a section, whose keys begin with `within`.
    pub(super) fn add(&mut self, fields: &mut Fields, within: &str) {
        let path = |key: &str| format!("{within}{key}");
        self.programs
            .extend(fields.patterns(&path("programs"), SHORTEST));
        self.words.extend(fields.patterns(&path("words"), SHORTEST));
        self.urls.extend(fields.patterns(&path("urls"), SHORTEST));
        self.pools.extend(fields.patterns(&path("pools"), SHORTEST));
        self.ports.extend(fields.ports(&path("ports")));
        self.sha256.extend(fields.sums(&path("sha256")));
    }

    /// Takes a text out of all of them; false when none had it.
    pub(super) fn remove(&mut self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let mut had = false;
        for list in [
            &mut self.programs,
            &mut self.words,
            &mut self.urls,
            &mut self.pools,
            &mut self.sha256,
        ] {
            had |= list.remove(&text);
        }
        had | text.parse().is_ok_and(|port| self.ports.remove(&port))
    }
}

impl Default for Lists {
    /// The product's list; a test holds that nothing is wrong with it.
    fn default() -> Lists {
        Lists::known().unwrap_or_else(|_| Lists::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wrong_with_the_list_of_the_product() {
        let lists = Lists::known().unwrap();
        assert!(lists.programs.contains("xmrig") && lists.programs.len() > 40);
        assert!(lists.urls.contains("stratum+tcp://") && lists.ports.contains(&3333));
        assert!(lists.words.len() > 20 && lists.pools.len() > 20);
    }
}
