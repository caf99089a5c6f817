//! The texts of a benchmark's messages.
//!
//! None has the letter `r` or what becomes one, so that no correct reply is `error`, whatever the action draws at
//! random: every refusal is found.

use crate::client::options::TextKind;

/// The letters of `--text ascii`: all but `r`.
const ASCII: &str = "abcdefghijklmnopqstuvwxyz";
/// Latin with accents, Cyrillic and CJK: 1 to 3 bytes per code point.
const MIXED: &str = "\u{e9}t\u{e9} na\u{ef}ve \u{e7}a \u{43f}\u{440}\u{438}\u{432}\u{435}\u{442} \u{43c}\u{438}\u{440} \u{6f22}\u{5b57}\u{6587}\u{5b57} ";
/// 1 to 3 bytes per code point.
const VIETNAMESE: &str =
    "Bầu ơi, thương lấy bí cùng; tuy là khác giống, nhưng chung một giàn. Đói cho sạch, ách cho thơm! ";
/// Capital and final sigmas included.
const GREEK: &str = "Σήμερα ο Οδυσσέας είπε: «Στην Ελλάδα, ό,τι αξίζει πονάει». ΚΑΛΟΣ ΦΙΛΟΣ! ";
/// Circumflexes and iota subscripts, which have no capital of their own and grow in upper case.
const POLYTONIC: &str = "Ἐν ἀρχῇ ἦν ὁ λόγος, καὶ ὁ λόγος ἦν πρὸς τὸν θεόν· Οὗτος ἦν ἐν ἀρχῇ, καὶ τὸ φῶς τῶν ἀνθρώπων. ";
/// 2 bytes per letter, like many scripts.
const CYRILLIC: &str = "В чащах юга жил бы цитрус? Да, но фальшивый экземпляр! Съешь ещё этих мягких булок. ";
/// 2 bytes per letter; the ligature `և` becomes two letters.
const ARMENIAN: &str = "Բոլոր մարդիկ ծնվում են ազատ և հավասար իրենց արժանապատվությամբ ու իրավունքներով։ ";
/// 3 bytes per letter; it has no capitals at the start of a sentence.
const GEORGIAN: &str = "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით. ";
/// 4 bytes per letter.
const DESERET: &str = "𐐜𐐲 𐐿𐐰𐐻 𐑅𐐰𐐻 𐐱𐑌 𐑄𐐲 𐑋𐐰𐐻, 𐐰𐑌𐐼 𐐿𐐲𐑋 𐐲𐐶𐐩. ";
/// Letters whose other case has more or fewer bytes, more than one code point, or a form for titles.
const CHANGING: &str = "Die gelbe Katze fand Maße, ﬁel ﬂach; ŉ ı ſ ɐ ɫ ⱥ ⱦ: ẞ Ⱥ Ⱦ İ, Ǆep ǅep ǆep, Ǉ ǈ ǉ. ";

/// A text of `size` bytes; where a code point does not fit at its end, spaces.
pub fn of_size(kind: TextKind, size: usize) -> Vec<u8> {
    let mut text: Vec<u8> = phrase(kind).bytes().cycle().take(size).collect();
    let complete = std::str::from_utf8(&text).map_or_else(|error| error.valid_up_to(), str::len);
    text[complete..].fill(b' ');
    text
}

/// The text that is repeated.
fn phrase(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Ascii => ASCII,
        TextKind::Mixed => MIXED,
        TextKind::Vietnamese => VIETNAMESE,
        TextKind::Greek => GREEK,
        TextKind::Polytonic => POLYTONIC,
        TextKind::Cyrillic => CYRILLIC,
        TextKind::Armenian => ARMENIAN,
        TextKind::Georgian => GEORGIAN,
        TextKind::Deseret => DESERET,
        TextKind::Changing => CHANGING,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn texts_are_utf8_of_the_given_size() {
        for kind in TextKind::value_variants() {
            for size in 0..400 {
                let text = of_size(*kind, size);
                assert_eq!(text.len(), size);
                assert!(std::str::from_utf8(&text).is_ok(), "{kind:?} {size}");
            }
        }
    }

    #[test]
    fn no_text_can_become_a_refusal() {
        for kind in TextKind::value_variants() {
            let phrase = phrase(*kind);
            assert!(!phrase.to_lowercase().contains('r') && !phrase.to_uppercase().contains('R'), "{kind:?}");
        }
    }

    /// The properties for which each text is there.
    #[test]
    fn texts_have_the_letters_that_they_are_named_for() {
        let grows = |c: char| c.to_uppercase().map(char::len_utf8).sum::<usize>() > c.len_utf8();
        let shrinks = |c: char| c.to_lowercase().map(char::len_utf8).sum::<usize>() < c.len_utf8();
        assert!(GREEK.contains('Σ') && GREEK.contains('ς'));
        assert!(POLYTONIC.chars().any(grows) && CHANGING.chars().any(grows) && CHANGING.chars().any(shrinks));
        assert!(DESERET.chars().any(|c| c.len_utf8() == 4) && GEORGIAN.chars().any(|c| c.len_utf8() == 3));
    }
}
