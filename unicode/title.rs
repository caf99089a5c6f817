//! The title-case of a code point, as Python's `str.title()` has it.
//!
//! `std` has no title-case. It is the upper case except for the entries of `SpecialCasing.txt` and `UnicodeData.txt` of
//! the Unicode Character Database that this file lists. The list is of Unicode 15.1: it has every `chr(n)` for which
//! `title()` and `upper()` of Python 3.13 differ, and is equal for Unicode 12.1 to 15.0 (Python 3.8, 3.10 to 3.12).
//! `tests/title_case_python.rs` compares all code points with the `python3` that it finds.

/// The title-case of a code point.
pub fn of(code_point: char) -> String {
    match code_point {
        // Georgian has capitals, but words do not start with them.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => code_point.into(),
        // Greek with iota subscript: one letter, whose number is greater by 8 than that of the small letter.
        'ᾀ'..='ᾯ' => char::from_u32(u32::from(code_point) | 8).into_iter().collect(),
        _ => exception(code_point).map_or_else(|| code_point.to_uppercase().collect(), String::from),
    }
}

/// The title-case of a code point outside these ranges, if it is not the upper case.
fn exception(code_point: char) -> Option<&'static str> {
    Some(match code_point {
        'ß' => "Ss",
        'Ǆ'..='ǆ' => "ǅ",
        'Ǉ'..='ǉ' => "ǈ",
        'Ǌ'..='ǌ' => "ǋ",
        'Ǳ'..='ǳ' => "ǲ",
        'և' => "Եւ",
        // Greek with iota subscript: one letter, or the letter and the subscript.
        'ᾲ' => "Ὰ\u{345}",
        'ᾳ' | 'ᾼ' => "ᾼ",
        'ᾴ' => "Ά\u{345}",
        'ᾷ' => "Α\u{342}\u{345}",
        'ῂ' => "Ὴ\u{345}",
        'ῃ' | 'ῌ' => "ῌ",
        'ῄ' => "Ή\u{345}",
        'ῇ' => "Η\u{342}\u{345}",
        'ῲ' => "Ὼ\u{345}",
        'ῳ' | 'ῼ' => "ῼ",
        'ῴ' => "Ώ\u{345}",
        'ῷ' => "Ω\u{342}\u{345}",
        'ﬀ' => "Ff",
        'ﬁ' => "Fi",
        'ﬂ' => "Fl",
        'ﬃ' => "Ffi",
        'ﬄ' => "Ffl",
        'ﬅ' | 'ﬆ' => "St",
        'ﬓ' => "Մն",
        'ﬔ' => "Մե",
        'ﬕ' => "Մի",
        'ﬖ' => "Վն",
        'ﬗ' => "Մխ",
        _ => return None,
    })
}
