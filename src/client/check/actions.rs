//! Checks of what the actions do to a text, with answers written out.

use super::context::Context;
use super::flaw::{Flaw, Remark};

type Checked = Result<Remark, Flaw>;

/// Each of these requests is answered so, on a connection of its own; requests that the protocol does not have are left out.
fn answered(context: &Context, cases: &[(&str, &str, &str)]) -> Checked {
    let dialogue = context.dialogue();
    for (action, message, answer) in cases {
        if dialogue.has_actions() && dialogue.action(action).is_none() {
            continue;
        }
        context.exchange(&context.request(action, message.as_bytes()), &dialogue.wire_answer(answer.as_bytes()))?;
    }
    Ok(Remark::Passed)
}

/// 258 is 0x0102: no byte of its length can be mistaken for another.
pub(super) fn length_field(context: &Context) -> Checked {
    let message = "q".repeat(258);
    context.ask("reverse", message.as_bytes()).map(|()| Remark::Passed)
}

pub(super) fn uppercase(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("uppercase", "Pretty Fly for a Wi-Fi", "PRETTY FLY FOR A WI-FI"),
            ("uppercase", "0123456789 @[`{ ~", "0123456789 @[`{ ~"),
        ],
    )
}

pub(super) fn lowercase(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("lowercase", "WI-FIght the Inevitable?", "wi-fight the inevitable?"),
            ("lowercase", "0123456789 @[`{ ~", "0123456789 @[`{ ~"),
        ],
    )
}

pub(super) fn title_case(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("title-case", "the quick BROWN fox", "The Quick Brown Fox"),
            ("title-case", "they're bill's friends", "They'Re Bill'S Friends"),
            ("title-case", "x2y wi-fi", "X2Y Wi-Fi"),
        ],
    )
}

pub(super) fn reverse(context: &Context) -> Checked {
    answered(context, &[("reverse", "The LAN Before Time", "emiT erofeB NAL ehT"), ("reverse", "abba!", "!abba")])
}

pub(super) fn case_beyond_ascii(context: &Context) -> Checked {
    answered(
        context,
        &[
            (
                "uppercase",
                "\u{e9}\u{e8}\u{fc}\u{f1} \u{3b1}\u{3b2} \u{436}\u{44f}",
                "\u{c9}\u{c8}\u{dc}\u{d1} \u{391}\u{392} \u{416}\u{42f}",
            ),
            (
                "lowercase",
                "\u{c9}\u{c8}\u{dc}\u{d1} \u{391}\u{392} \u{416}\u{42f}",
                "\u{e9}\u{e8}\u{fc}\u{f1} \u{3b1}\u{3b2} \u{436}\u{44f}",
            ),
            ("uppercase", "\u{6f22}\u{5b57} \u{1f600}", "\u{6f22}\u{5b57} \u{1f600}"),
        ],
    )
}

pub(super) fn upper_case_grows(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("uppercase", "stra\u{df}e", "STRASSE"),
            ("uppercase", "\u{fb01}n", "FIN"),
            ("uppercase", "\u{149}", "\u{2bc}N"),
            ("uppercase", "\u{390}", "\u{399}\u{308}\u{301}"),
        ],
    )
}

pub(super) fn final_sigma(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("lowercase", "\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}"),
            ("lowercase", "\u{3a3}\u{391}\u{3a3} \u{3a3}", "\u{3c3}\u{3b1}\u{3c2} \u{3c3}"),
        ],
    )
}

pub(super) fn reverse_characters(context: &Context) -> Checked {
    answered(
        context,
        &[
            ("reverse", "a\u{e9}\u{6f22}\u{1f600}", "\u{1f600}\u{6f22}\u{e9}a"),
            ("reverse", "\u{e9}e\u{301}", "\u{301}e\u{e9}"),
        ],
    )
}

pub(super) fn length_in_bytes(context: &Context) -> Checked {
    // All of the same character: whatever the action makes of the order, only lengths can differ.
    let message = "\u{6f22}".repeat(100);
    context.ask("reverse", message.as_bytes()).map(|()| Remark::Passed)
}

pub(super) fn control_bytes(context: &Context) -> Checked {
    let message = b" \t\0first\nsecond\r\n\x7f\x1b[0m \0\n ";
    context.ask("reverse", message).map(|()| Remark::Passed)
}
