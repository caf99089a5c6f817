//! Values in errors: the beginning of a long one, so that the reason behind it is not cut off with the line of the log.

/// Characters of a value in an error, at most. Chosen: an entry of a list is shorter, and a line of the log has room for
/// several.
const MAX_EXCERPT: usize = 100;

/// A value in one line; of a long one the beginning.
#[must_use]
pub fn excerpt(value: &str) -> String {
    let one_line = |c: char| if c.is_whitespace() { ' ' } else { c };
    let mut excerpt: String = value.chars().take(MAX_EXCERPT).map(one_line).collect();
    if value.chars().nth(MAX_EXCERPT).is_some() {
        excerpt.push_str("...");
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_others_are_one_line() {
        let text = |length| "\u{e9}".repeat(length);
        assert_eq!(excerpt(&text(100)), text(100));
        assert_eq!(excerpt(&text(101)), text(100) + "...");
        assert_eq!(excerpt("10.0.0.0/8\n::1\t"), "10.0.0.0/8 ::1 ");
    }
}
