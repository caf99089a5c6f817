//! The lower case of the capital sigma: `ς` at the end of a word, else `σ`.
//!
//! The Unicode Standard, section 3.13, table 3-17, `Final_Sigma`: `ς` if a cased letter precedes the sigma and none
//! follows it, where case-ignorable code points (accents, apostrophes, full stops, ...) are skipped.
//!
//! A scan ends at the first code point that is not case-ignorable, which a sigma is not. So each run of case-ignorable
//! code points is scanned at most twice, and text of sigmas and full stops takes linear time like any other.

use super::tables::{self, MAX_MAPPING_LEN, Mapped};
use super::utf8;

/// `Σ`, `σ` and `ς` in UTF-8.
const CAPITAL: [u8; 2] = [0xce, 0xa3];
const SMALL: [u8; 2] = [0xcf, 0x83];
const FINAL: [u8; 2] = [0xcf, 0x82];

/// Bytes that are searched together for a capital sigma, in vector instructions. Chosen without tuning.
const BLOCK: usize = 1024;

/// Writes the lower case of the capital sigma that starts at `at`, if `mapped` is the table's entry for it (which is
/// empty); else returns `mapped` as it is.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of the loop over a text, like `CaseTable::map`")]
pub(super) fn resolve(mapped: Mapped, text: &[u8], at: usize, out: &mut [u8; MAX_MAPPING_LEN]) -> Mapped {
    if mapped.output_len > 0 {
        return mapped;
    }
    let form = lower_case_form(text, at);
    out[..form.len()].copy_from_slice(&form);
    Mapped { output_len: form.len(), ..mapped }
}

/// The lower case of the capital sigma that starts at `at`.
#[inline(never)]
fn lower_case_form(text: &[u8], at: usize) -> [u8; 2] {
    let word_continues = || starts_cased(utf8::code_points(&text[at + CAPITAL.len()..]));
    let word_precedes = || starts_cased(utf8::code_points_backward(&text[..at]));
    if !word_continues() && word_precedes() { FINAL } else { SMALL }
}

/// The index of the first capital sigma, or the length of the text if it has none.
pub(super) fn find_first(text: &[u8]) -> usize {
    for start in (0..text.len()).step_by(BLOCK) {
        let block = &text[start..text.len().min(start + BLOCK + 1)];
        // this loop compiles to vector instructions, the search below does not
        let differences = block.iter().zip(&block[1..]).map(|(first, second)| first ^ CAPITAL[0] | second ^ CAPITAL[1]);
        if differences.fold(0, |any, difference| any | u8::from(difference == 0)) != 0 {
            let at = block.windows(CAPITAL.len()).position(|pair| pair == CAPITAL);
            return start + at.unwrap_or(block.len());
        }
    }
    text.len()
}

/// Whether the first code point that is not case-ignorable is a cased letter.
fn starts_cased(code_points: impl Iterator<Item = usize>) -> bool {
    let mut classes = code_points.map(tables::class);
    classes.find(|class| !class.is_case_ignorable()).is_some_and(tables::Class::is_cased)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_first_sigma_at_block_boundaries() {
        for before in [0, 1, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK] {
            for fill in ["a", "Π", "π"] {
                let front = format!("{}{}", "a".repeat(before % 2), fill.repeat(before / fill.len()));
                assert_eq!(find_first(front.as_bytes()), front.len());
                assert_eq!(find_first(format!("{front}Σ{fill}Σ").as_bytes()), front.len());
            }
        }
    }

    /// Lower case is written over the text before the scan for a later sigma reads it.
    #[test]
    fn lower_case_keeps_the_class_for_a_later_sigma() {
        let last = if cfg!(miri) { '\u{800}' } else { char::MAX };
        for code_point in ('\0'..=last).filter(|code_point| !code_point.to_lowercase().eq([*code_point])) {
            let lower = code_point.to_lowercase().collect::<String>();
            for before in ["", "a", " "] {
                let is_preceded_by_cased = |text: &str| starts_cased(utf8::code_points_backward(text.as_bytes()));
                let [is, was] =
                    [&lower, &String::from(code_point)].map(|last| is_preceded_by_cased(&format!("{before}{last}")));
                assert_eq!(is, was, "{code_point:?}");
            }
        }
    }
}
