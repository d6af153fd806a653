//! `install.yml`, as it is in the program: what a family of distributions needs first.

use crate::inventory::{self, Value};

const TEXT: &str = include_str!("../../../sys/install.yml");

/// What one host needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// One call of the package manager for each.
    pub packages: Vec<Vec<String>>,
    /// As pip understands them.
    pub python: Vec<String>,
    /// As npm understands it.
    pub proxy: String,
}

impl Needs {
    /// `family` as Ansible calls it. The error says which families there are.
    pub fn of(family: &str) -> Result<Needs, String> {
        let document = inventory::from_str("install.yml", TEXT).map_err(|e| e.to_string())?;
        let Value::Map(all) = document.value else {
            return Err("install.yml is no mapping".to_owned());
        };
        let Some(Value::Map(families)) = all.get("packages") else {
            return Err("install.yml has no packages".to_owned());
        };
        let Some(Value::List(lists)) = families.get(family) else {
            let known: Vec<&str> = families.iter().filter_map(|(k, _)| k.as_text()).collect();
            return Err(format!(
                "this host is of the family {family}; wod install knows {}",
                known.join(" and ")
            ));
        };
        Ok(Needs {
            packages: lists.iter().map(texts).collect(),
            python: all.get("python").map(texts).unwrap_or_default(),
            proxy: all
                .get("proxy")
                .and_then(Value::as_text)
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

fn texts(value: &Value) -> Vec<String> {
    let Value::List(list) = value else {
        return Vec::new();
    };
    let texts = list.iter().filter_map(Value::as_text);
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Needs;

    #[test]
    fn each_family_has_what_it_needs() {
        for (family, first) in [("Debian", "ca-certificates"), ("RedHat", "epel-release")] {
            let needs = Needs::of(family).unwrap();
            assert_eq!(needs.packages[0][0], first);
            assert_eq!(needs.python.len(), 3);
            assert!(needs.proxy.starts_with("configurable-http-proxy@"));
            let all = needs.packages.concat();
            assert!(all.contains(&"python3".to_owned()), "{all:?}");
            // Debian splits it off; elsewhere there is no such package.
            assert_eq!(all.contains(&"python3-venv".to_owned()), family == "Debian");
        }
        let wrong = Needs::of("alpine").unwrap_err();
        assert!(wrong.contains("Debian and RedHat"), "{wrong}");
    }
}
