//! Workshops: their names, the challenge variant, and what the registry says of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, StudentRange};

/// A workshop's directory name, `WKSHP-…`: one path component, never `.`, `..` or hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkshopName(String);

const PREFIX: &str = "WKSHP-";
const CHALLENGE_PREFIX: &str = "CHLG-";
const LONGEST: usize = 100;

impl WorkshopName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_stem(stem: &str) -> bool {
    stem.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stem.len() <= LONGEST
        && !stem.contains("..")
        && stem
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b))
}

impl FromStr for WorkshopName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<WorkshopName, Invalid> {
        match text.strip_prefix(PREFIX) {
            Some(stem) if is_stem(stem) => Ok(WorkshopName(text.to_owned())),
            _ => Err(Invalid::new(
                "workshop",
                text,
                "expected WKSHP- and letters, digits or -_.+",
            )),
        }
    }
}

impl TryFrom<String> for WorkshopName {
    type Error = Invalid;
    fn try_from(text: String) -> Result<WorkshopName, Invalid> {
        text.parse()
    }
}

impl From<WorkshopName> for String {
    fn from(name: WorkshopName) -> String {
        name.0
    }
}

impl fmt::Display for WorkshopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a workshop is given: with its explanations, or as a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    Workshop,
    Challenge,
}

impl Variant {
    /// The template variable `MODEWS`.
    pub fn modews(self) -> &'static str {
        match self {
            Variant::Workshop => "WKSHP",
            Variant::Challenge => "CHLG",
        }
    }
}

/// A workshop as a mail asks for it: `WKSHP-API101`, or `CHLG-API101` for its challenge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AskedWorkshop {
    pub name: WorkshopName,
    pub variant: Variant,
}

impl AskedWorkshop {
    /// The name as asked: the script variable `w`, the template variable `CHALLENGE`.
    pub fn asked(&self) -> String {
        match self.variant {
            Variant::Workshop => self.name.0.clone(),
            Variant::Challenge => format!("{CHALLENGE_PREFIX}{}", &self.name.0[PREFIX.len()..]),
        }
    }
}

impl FromStr for AskedWorkshop {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<AskedWorkshop, Invalid> {
        let (name, variant) = match text.strip_prefix(CHALLENGE_PREFIX) {
            Some(stem) => (format!("{PREFIX}{stem}"), Variant::Challenge),
            None => (text.to_owned(), Variant::Workshop),
        };
        match name.parse() {
            Ok(name) => Ok(AskedWorkshop { name, variant }),
            Err(_) => Err(Invalid::new(
                "workshop",
                text,
                "expected WKSHP- or CHLG- and letters, digits or -_.+ on the first line of the body",
            )),
        }
    }
}

impl TryFrom<String> for AskedWorkshop {
    type Error = Invalid;
    fn try_from(text: String) -> Result<AskedWorkshop, Invalid> {
        text.parse()
    }
}

impl From<AskedWorkshop> for String {
    fn from(asked: AskedWorkshop) -> String {
        asked.asked()
    }
}

impl fmt::Display for AskedWorkshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.asked())
    }
}

/// What the registry knows of a workshop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workshop {
    /// The registry's id: the script variable `wid`.
    pub id: u32,
    pub name: WorkshopName,
    pub title: String,
    /// Seats still to be had, as the registry counts them.
    pub capacity: u32,
    /// Local student numbers; None when the registry sets no range.
    pub range: Option<StudentRange>,
    /// The backend has to be reset before a seat can be given again.
    pub reset: bool,
    pub ldap: bool,
    pub varpass: bool,
    pub monoappliance: bool,
    pub multiappliance: bool,
    /// Names of scripts that the student gets as executables only.
    pub compile: Vec<String>,
    /// Hours a participant may keep the seat.
    pub duration: Option<u32>,
    /// Minutes on processors that a session may use before the watchdog asks.
    pub cpu_minutes: Option<u32>,
    pub active: bool,
}

impl Workshop {
    /// Seats of this workshop share one appliance, and so one lane.
    pub fn shares_appliance(&self) -> bool {
        self.monoappliance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_same_workshop() {
        let asked: AskedWorkshop = "CHLG-API101".parse().unwrap();
        assert_eq!(asked.name.as_str(), "WKSHP-API101");
        assert_eq!(asked.asked(), "CHLG-API101");
        assert_eq!(asked.variant.modews(), "CHLG");
    }

    #[test]
    fn a_name_is_one_harmless_path_component() {
        for bad in [
            "",
            ".",
            "..",
            "WKSHP-",
            "WKSHP-.",
            "WKSHP-..",
            "../../etc",
            "WKSHP-X/../Y",
            "WKSHP-X/Y",
            "WKSHP-a b",
            "WKSHP-a\n",
            "WKSHP-a\0",
            "wkshp-a",
            "CHLG-",
            "CHLG-../x",
            "WKSHP--rf",
            "WKSHP-é",
            "WKSHP-a..b",
            "VOID",
        ] {
            assert!(bad.parse::<AskedWorkshop>().is_err(), "{bad:?}");
        }
        assert!("WKSHP-K8s-1.2_b".parse::<AskedWorkshop>().is_ok());
    }
}
