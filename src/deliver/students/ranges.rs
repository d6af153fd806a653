//! Whether active workshops want the same seats. Only the registry's owner can mend that.

use crate::domain::Workshop;
use crate::ports::Fault;

use super::super::item::{Aside, Change, Outcome, Resource};
use super::{Notes, Workshops};

pub struct Ranges {
    workshops: Workshops,
    notes: Notes,
}

impl Ranges {
    pub fn new(workshops: Workshops) -> Ranges {
        Ranges {
            workshops,
            notes: Notes::default(),
        }
    }
}

impl Resource for Ranges {
    fn name(&self) -> String {
        "ranges of the workshops".to_owned()
    }

    fn diff(&self) -> Result<Vec<Box<dyn Change>>, Fault> {
        self.notes.lock().extend(collisions(&(self.workshops)()?));
        Ok(Vec::new())
    }

    fn asides(&self) -> Vec<Aside> {
        self.notes.take()
    }
}

fn collisions(workshops: &[Workshop]) -> Vec<Aside> {
    let active = workshops.iter().filter(|workshop| workshop.active);
    let mut ranges: Vec<_> = active.filter_map(|w| Some((w.range?, &w.name))).collect();
    ranges.sort_by_key(|(range, _)| range.first());
    let mut found = Vec::new();
    for (nth, (one, name)) in ranges.iter().enumerate() {
        // Sorted: who begins behind the end collides no more.
        let behind = ranges[nth + 1..].iter();
        for (other, other_name) in behind.take_while(|(other, _)| other.first() <= one.last()) {
            let last = one.last().min(other.last());
            found.push(Aside {
                part: format!("{} and {}", name.as_str(), other_name.as_str()),
                outcome: Outcome::Failed,
                line: format!(
                    "both want students {} to {last}: correct range in one wod.yml, or make one inactive",
                    other.first()
                ),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workshop(name: &str, range: Option<&str>, active: bool) -> Workshop {
        Workshop {
            id: 1,
            name: name.parse().unwrap(),
            title: name.to_owned(),
            capacity: 1,
            range: range.map(|range| range.parse().unwrap()),
            reset: false,
            ldap: false,
            varpass: false,
            monoappliance: false,
            multiappliance: false,
            compile: Vec::new(),
            duration: None,
            cpu_minutes: None,
            active,
        }
    }

    #[test]
    fn ranges_that_overlap_are_named_once() {
        let all = [
            workshop("WKSHP-D", Some("31,40"), true),
            workshop("WKSHP-A", Some("1,20"), true),
            workshop("WKSHP-B", Some("20,30"), true),
            workshop("WKSHP-C", Some("1,40"), false),
            workshop("WKSHP-E", None, true),
        ];
        let found = collisions(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].part, "WKSHP-A and WKSHP-B");
        assert!(found[0].line.starts_with("both want students 20 to 20: "));
    }
}
