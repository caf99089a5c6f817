//! Lines for people that are longer than a terminal is wide.

/// The width of a terminal. Chosen: what terminals have at least.
const WIDTH: usize = 80;

/// What every line but the first begins with.
const INDENT: &str = "  ";

/// The sentence, broken after commas and semicolons where it is wider than a terminal. Commas between thousands stay.
pub fn sentence(text: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(end) = first_break(rest) {
        let (part, others) = rest.split_at(end);
        parts.push(part);
        rest = others;
    }
    parts.push(rest);
    row(parts)
}

/// The cells, which have their spaces, in as few lines as a terminal has room for.
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for cell in cells {
        let needed = cell.trim_end().chars().count();
        if width > 0 && width + needed > WIDTH {
            text.truncate(text.trim_end().len());
            let cell = cell.trim_start();
            text = text + "\n" + INDENT + cell;
            width = INDENT.len() + cell.chars().count();
        } else {
            text += cell;
            width += cell.chars().count();
        }
    }
    text
}

/// The end of the first part that a break can follow.
fn first_break(text: &str) -> Option<usize> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    text.match_indices([',', ';']).find_map(|(at, _)| {
        let next = bytes.get(at + 1)?;
        let in_number = is_digit(bytes[..at].last()) && next.is_ascii_digit();
        (!in_number).then_some(at + 1 + usize::from(*next == b' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_broken_after_commas_and_semicolons_only_where_it_must() {
        assert_eq!(sentence("one, two; three"), "one, two; three");
        let (long, number) = ("x".repeat(58), "1,000,000 requests");
        assert_eq!(sentence(&format!("{long}, {number}; end")), format!("{long}, {number};\n  end"));
        assert_eq!(sentence(&format!("{long}{long},a")), format!("{long}{long},\n  a"));
        let stages = vec!["100/500ms"; 20].join(",");
        let broken = sentence(&stages);
        assert!(broken.lines().all(|line| line.len() <= WIDTH) && broken.lines().count() == 3, "{broken}");
        assert_eq!(broken.replace("\n  ", ""), stages);
    }

    #[test]
    fn a_line_may_be_as_wide_as_the_terminal() {
        let (full, word) = ("x".repeat(WIDTH - 2), "y");
        assert_eq!(sentence(&format!("{full},{word}")), format!("{full},{word}"));
        assert_eq!(sentence(&format!("{full}, {word}")), format!("{full},\n  {word}"));
    }

    #[test]
    fn a_row_is_broken_between_cells() {
        let cells = vec![format!("{:>10}", 7); 9];
        let row = row(cells.iter().map(String::as_str));
        assert_eq!(row, format!("{}\n  7", format!("{:>10}", 7).repeat(8)));
    }
}
