//! The title-case of a code point, as Python's `str.title()` has it.
//!
//! `std` knows no title-case. It is the upper case except where `SpecialCasing.txt` and `UnicodeData.txt` say
//! otherwise. These exceptions were found with Python, by listing every `chr(n)` whose `title()` is not its `upper()`;
//! a test compares all code points with the `python3` that it finds.

/// The title-case of a code point.
pub fn of(code_point: char) -> String {
    match code_point {
        // Georgian has capitals, but they do not start words.
        'ა'..='ჺ' | 'ჽ'..='ჿ' => code_point.into(),
        // Greek with iota subscript: one letter, 8 places on from the small one.
        'ᾀ'..='ᾯ' => char::from_u32(u32::from(code_point) | 8).into_iter().collect(),
        _ => exception(code_point).map_or_else(|| code_point.to_uppercase().collect(), String::from),
    }
}

/// The title-case of the others whose title-case is not their upper case.
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
