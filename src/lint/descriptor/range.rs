//! The field `range`: two local student numbers, the first and the last.

use crate::domain::{Student, StudentRange};
use crate::inventory::Value;
use crate::lint::Inventory;
use crate::lint::finding::Finding;
use crate::lint::rules;
use crate::lint::source::Source;

use super::fields::Field;

/// The range, as far as it can be meant, and what is wrong with it.
pub fn read(
    source: &Source<'_>,
    field: &Field,
    inventory: Option<&Inventory>,
) -> (Option<StudentRange>, Vec<Finding>) {
    let found = |rule, message: String| source.found(rule, field.at.clone(), message);
    let mistyped = || {
        let message = "field range is not two student numbers".to_owned();
        found(&rules::DESCRIPTOR_TYPE, message).help("write the first and the last: [1,10]")
    };
    let (ends, dashed) = ends(&field.value);
    let [first, last] = ends[..] else {
        return (None, vec![mistyped()]);
    };
    let students = (Student::new(first), Student::new(last));
    let (Ok(one), Ok(other)) = students else {
        return (None, vec![mistyped()]);
    };
    let mut all = Vec::new();
    if dashed {
        let message = format!("the range is a text with a dash; it is read as [{first},{last}]");
        let mend = format!("[{first},{last}]");
        let help = format!("write range: {mend}");
        all.push(found(&rules::RANGE_DASH, message).help(help).mend(mend));
    }
    let Ok(range) = StudentRange::new(one, other) else {
        let message = format!("the range goes from {first} down to {last}");
        let mend = format!("[{last},{first}]");
        let finding = found(&rules::RANGE_REVERSED, message);
        all.push(finding.help(format!("write range: {mend}")).mend(mend));
        return (None, all);
    };
    if let Some(window) = inventory.map(|inventory| inventory.window)
        && !(window.contains(range.first()) && window.contains(range.last()))
    {
        let message = format!(
            "the range {first} to {last} leaves this backend's students, {} to {}",
            window.first().number(),
            window.last().number()
        );
        all.push(
            found(&rules::RANGE_OUTSIDE, message)
                .help("take a range within WODUSERMIN and WODUSERMAX"),
        );
    }
    (Some(range), all)
}

/// The numbers, and whether a dash stood between them.
fn ends(value: &Value) -> (Vec<u32>, bool) {
    match value {
        Value::List(items) => match items.as_slice() {
            [Value::Text(text)] => dashed(text),
            items => {
                let numbers: Option<Vec<u32>> = items.iter().map(whole).collect();
                (numbers.unwrap_or_default(), false)
            }
        },
        Value::Text(text) => dashed(text),
        _ => (Vec::new(), false),
    }
}

fn whole(value: &Value) -> Option<u32> {
    match value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn dashed(text: &str) -> (Vec<u32>, bool) {
    let inner = text.trim_matches(['[', ']']);
    let parts = inner.split(['-', ',']).map(|end| end.trim().parse().ok());
    let numbers: Option<Vec<u32>> = parts.collect();
    (numbers.unwrap_or_default(), true)
}
