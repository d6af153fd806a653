//! The nearest known name to one that is not known: "did you mean".

/// Longer words are not compared: no name is as long.
const LONGEST: usize = 64;

/// The nearest of the known names, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    within(allowed, word, known)
}

/// The same, no further away than so many letters to add, drop, change or swap.
pub fn within<'a>(
    allowed: usize,
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    // Of two that are as near, the one that is only longer or shorter.
    let is_cut = |name: &str| name.starts_with(word) || word.starts_with(name);
    known
        .into_iter()
        .filter(|name| *name != word && name.chars().count().abs_diff(length) <= allowed)
        .map(|name| (distance(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, name)| (*distance, !is_cut(name), *name))
        .map(|(_, name)| name)
}

/// `did you mean X` for the nearest name.
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean `{name}`?"))
}

/// Letters to add, to drop, to change or to swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_meant() {
        let known = ["STDID", "WORKSHOP", "BRANDING"];
        for (word, meant) in [
            ("STDIDD", Some("STDID")),
            ("STIDD", Some("STDID")),
            ("WORKSHP", Some("WORKSHOP")),
            ("branding", Some("BRANDING")),
            ("STUDENT", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
