//! Checks of the actions, with replies written out.

use crate::client::check::context::CheckContext;
use crate::client::check::failure::CheckResult;
use crate::client::judge::outcome::Pass;

/// A request, and its correct reply.
struct Case {
    action: &'static str,
    message: &'static str,
    reply: &'static str,
}

const fn case(action: &'static str, message: &'static str, reply: &'static str) -> Case {
    Case { action, message, reply }
}

/// Expects these replies, each on a connection of its own; omits requests that the protocol does not have.
fn expect_replies(context: &CheckContext, cases: &[Case]) -> CheckResult {
    let protocol = context.protocol();
    for Case { action, message, reply } in cases {
        if protocol.has_actions() && protocol.action(action).is_none() {
            continue;
        }
        context.exchange(&context.request(action, message.as_bytes()), &protocol.wire_reply(reply.as_bytes()))?;
    }
    Ok(Pass::Clean)
}

/// 258 is 0x0102: the bytes of its length differ.
pub fn length_field(context: &CheckContext) -> CheckResult {
    let message = "q".repeat(258);
    context.request_and_expect("reverse", message.as_bytes()).map(|()| Pass::Clean)
}

pub fn uppercase(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("uppercase", "Pretty Fly for a Wi-Fi", "PRETTY FLY FOR A WI-FI"),
            case("uppercase", "0123456789 @[`{ ~", "0123456789 @[`{ ~"),
        ],
    )
}

pub fn lowercase(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("lowercase", "WI-FIght the Inevitable?", "wi-fight the inevitable?"),
            case("lowercase", "0123456789 @[`{ ~", "0123456789 @[`{ ~"),
        ],
    )
}

pub fn title_case(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("title-case", "the quick BROWN fox", "The Quick Brown Fox"),
            case("title-case", "they're bill's friends", "They'Re Bill'S Friends"),
            case("title-case", "x2y wi-fi", "X2Y Wi-Fi"),
        ],
    )
}

pub fn reverse(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[case("reverse", "The LAN Before Time", "emiT erofeB NAL ehT"), case("reverse", "abba!", "!abba")],
    )
}

pub fn case_beyond_ascii(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case(
                "uppercase",
                "\u{e9}\u{e8}\u{fc}\u{f1} \u{3b1}\u{3b2} \u{436}\u{44f}",
                "\u{c9}\u{c8}\u{dc}\u{d1} \u{391}\u{392} \u{416}\u{42f}",
            ),
            case(
                "lowercase",
                "\u{c9}\u{c8}\u{dc}\u{d1} \u{391}\u{392} \u{416}\u{42f}",
                "\u{e9}\u{e8}\u{fc}\u{f1} \u{3b1}\u{3b2} \u{436}\u{44f}",
            ),
            case("uppercase", "\u{6f22}\u{5b57} \u{1f600}", "\u{6f22}\u{5b57} \u{1f600}"),
        ],
    )
}

pub fn upper_case_grows(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("uppercase", "stra\u{df}e", "STRASSE"),
            case("uppercase", "\u{fb01}n", "FIN"),
            case("uppercase", "\u{149}", "\u{2bc}N"),
            case("uppercase", "\u{390}", "\u{399}\u{308}\u{301}"),
        ],
    )
}

pub fn final_sigma(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("lowercase", "\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3bf}\u{3c2}"),
            case("lowercase", "\u{3a3}\u{391}\u{3a3} \u{3a3}", "\u{3c3}\u{3b1}\u{3c2} \u{3c3}"),
        ],
    )
}

pub fn reverse_characters(context: &CheckContext) -> CheckResult {
    expect_replies(
        context,
        &[
            case("reverse", "a\u{e9}\u{6f22}\u{1f600}", "\u{1f600}\u{6f22}\u{e9}a"),
            case("reverse", "\u{e9}e\u{301}", "\u{301}e\u{e9}"),
        ],
    )
}

pub fn length_in_bytes(context: &CheckContext) -> CheckResult {
    // All characters are alike: only lengths can differ, even if the server reverses them wrongly.
    let message = "\u{6f22}".repeat(100);
    context.request_and_expect("reverse", message.as_bytes()).map(|()| Pass::Clean)
}

pub fn control_bytes(context: &CheckContext) -> CheckResult {
    let message = b" \t\0first\nsecond\r\n\x7f\x1b[0m \0\n ";
    context.request_and_expect("reverse", message).map(|()| Pass::Clean)
}
