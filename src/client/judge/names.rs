//! Names in options, and the nearest known name for one that is unknown.

use crate::client::failure::Failure;

/// The names in the list of an option, without white space around them.
///
/// # Errors
/// A name is empty.
pub fn trimmed<'a>(option: &str, names: &'a [String]) -> Result<Vec<&'a str>, Failure> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    if names.contains(&"") {
        let why = format!("{option} has an empty name (''): put one comma between two names; see --list");
        return Err(Failure::cannot_run(why));
    }
    Ok(names)
}

/// The known name that differs least, if that is by at most a third of its length.
#[must_use]
pub fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let distances = known.map(|known| (distance(name, known), known));
    distances.filter(|(distance, known)| *distance <= known.len() / 3).min().map(|(_, known)| known)
}

/// The number of characters to insert, remove or replace to make one text of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_changed_characters() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("uper", "upper", 1), ("abc", "abc", 0)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn names_are_trimmed_and_may_not_be_empty() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed("--only", &names(&["a", " b "])).unwrap(), ["a", "b"]);
        let failure = trimmed("--only", &names(&["a", " "])).unwrap_err().to_string();
        assert!(failure.starts_with("--only has an empty name"), "{failure}");
    }
}
