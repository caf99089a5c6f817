//! What is sent, and what comes back until the server has closed: shared by the unit tests of the protocols and by the
//! tests of the whole daemon. The client ends its side after sending.

/// One conversation.
pub struct Example {
    /// The protocol's name.
    pub protocol: &'static str,
    /// What it shows.
    pub what: &'static str,
    /// All that the client sends.
    pub send: &'static [u8],
    /// All that it gets.
    pub expect: &'static [u8],
    /// Whether the answer is the same however the input is cut; otherwise it holds for one chunk.
    pub cut_anywhere: bool,
}

const fn stream(protocol: &'static str, what: &'static str, send: &'static [u8], expect: &'static [u8]) -> Example {
    Example { protocol, what, send, expect, cut_anywhere: true }
}

const fn chunk(protocol: &'static str, what: &'static str, send: &'static [u8], expect: &'static [u8]) -> Example {
    Example { protocol, what, send, expect, cut_anywhere: false }
}

/// All conversations.
pub const EXAMPLES: &[Example] = &[
    stream("frame", "reverse", b"\x20\0\0\x13The LAN Before Time", b"\0\0\0\x13emiT erofeB NAL ehT"),
    stream("frame", "uppercase", b"\x08\0\0\x16Pretty Fly for a Wi-Fi", b"\0\0\0\x16PRETTY FLY FOR A WI-FI"),
    stream("frame", "lowercase", b"\x10\0\0\x18WI-FIght the inevitable?", b"\0\0\0\x18wi-fight the inevitable?"),
    stream("frame", "action 6 does not exist", b"\x30\0\0\x13The LAN Before Time", b"\0\0\0\x05error"),
    stream("frame", "action 0 does not exist", b"\0\0\0\x01x\x08\0\0\x01x", b"\0\0\0\x05error\0\0\0\x01X"),
    stream("frame", "action 31 does not exist", b"\xf8\0\0\0\x08\0\0\x01x", b"\0\0\0\x05error\0\0\0\x01X"),
    stream(
        "frame",
        "a bad request between two good ones",
        b"\x10\0\0\x11I HOPE THIS WORKS\x18\0\0\x04what\x08\0\0\x0ait worked!",
        b"\0\0\0\x11i hope this works\0\0\0\x05error\0\0\0\x0aIT WORKED!",
    ),
    stream("frame", "nothing", b"", b""),
    stream(
        "frame",
        "empty messages",
        b"\x08\0\0\0\x10\0\0\0\x20\0\0\0\x40\0\0\0\x80\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    stream("frame", "shuffle of one code point", b"\x40\0\0\x02\xc3\xa9", b"\0\0\0\x02\xc3\xa9"),
    stream("frame", "shuffle of equal letters", b"\x40\0\0\x05aaaaa", b"\0\0\0\x05aaaaa"),
    stream(
        "frame",
        "text that grows in upper case",
        b"\x08\0\0\x07stra\xc3\x9fe\x08\0\0\x03\xef\xac\x83\x08\0\0\x02\xce\x90",
        b"\0\0\0\x07STRASSE\0\0\0\x03FFI\0\0\0\x06\xce\x99\xcc\x88\xcc\x81",
    ),
    stream(
        "frame",
        "final sigma in lower case",
        b"\x10\0\0\x08\xce\x9f\xce\x94\xce\x9f\xce\xa3",
        b"\0\0\0\x08\xce\xbf\xce\xb4\xce\xbf\xcf\x82",
    ),
    stream(
        "frame",
        "reverse acts on code points",
        b"\x20\0\0\x0aa\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        b"\0\0\0\x0a\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9a",
    ),
    stream(
        "frame",
        "text that is not UTF-8, then service as usual",
        b"\x08\0\0\x03a\xffb\x20\0\0\x02\xc3(\x20\0\0\x03abc",
        b"\0\0\0\x05error\0\0\0\x05error\0\0\0\x03cba",
    ),
    stream(
        "frame",
        "surrogates, overlong forms and cut code points are not UTF-8",
        b"\x20\0\0\x03\xed\xa0\x80\x20\0\0\x02\xc0\xaf\x20\0\0\x03\xf0\x9f\x98",
        b"\0\0\0\x05error\0\0\0\x05error\0\0\0\x05error",
    ),
    stream(
        "frame",
        "ASCII and other text in turns",
        b"\x20\0\0\x02ab\x20\0\0\x03\xc3\xa9a\x20\0\0\x02ab\xb8\0\0\x01x\x20\0\0\x02ab",
        b"\0\0\0\x02ba\0\0\0\x03a\xc3\xa9\0\0\0\x02ba\0\0\0\x05error\0\0\0\x02ba",
    ),
    stream("frame", "NUL, newline and ESC are text", b"\x20\0\0\x03\0\n\x1b", b"\0\0\0\x03\x1b\n\0"),
    stream("frame", "an end inside a header", b"\x20\0\0\x01a\x08\0", b"\0\0\0\x01a\0\0\0\x05error"),
    stream("frame", "an end behind a header", b"\x20\0\0\x01a\x08\0\0\x05", b"\0\0\0\x01a\0\0\0\x05error"),
    stream("frame", "an end inside a message", b"\x08\0\0\x05abcd", b"\0\0\0\x05error"),
    stream("frame", "an end inside a refused message", b"\x18\0\0\x05abcd", b"\0\0\0\x05error"),
    stream("frame-2021", "reverse", b"\x40\0\0\x13The LAN Before Time", b"\0\0\0\x13emiT erofeB NAL ehT"),
    stream("frame-2021", "title-case", b"\x20\0\0\x0bit's a TRAP", b"\0\0\0\x0bIt'S A Trap"),
    stream("frame-2021", "uppercase and lowercase", b"\x08\0\0\x01a\x10\0\0\x01B", b"\0\0\0\x01A\0\0\0\x01b"),
    stream("frame-2021", "shuffle", b"\x80\0\0\x03aaa", b"\0\0\0\x03aaa"),
    stream("frame-2021", "action 5 does not exist", b"\x28\0\0\x01a", b"\0\0\0\x05error"),
    stream(
        "text",
        "two requests, nothing between them",
        b"reverse 11 Hello Worlduppercase 11 Hello World",
        b"11 dlroW olleH11 HELLO WORLD",
    ),
    stream(
        "text",
        "every action",
        b"uppercase 1 alowercase 1 Atitle-case 5 ab cdshuffle 2 aareverse 2 abrandom 0 ",
        b"1 A1 a5 Ab Cd2 aa2 ba0 ",
    ),
    stream(
        "text",
        "text that grows",
        "uppercase 2 ßuppercase 2 ΐlowercase 1 A".as_bytes(),
        b"2 SS6 \xce\x99\xcc\x88\xcc\x811 a",
    ),
    stream("text", "an unknown action is consumed", b"scream 5 helloreverse 2 ab", b"5 error2 ba"),
    stream("text", "names are written in small letters", b"Reverse 2 ab 2 xyreverse 2 ab", b"5 error5 error2 ba"),
    stream("text", "text that is not UTF-8", b"reverse 2 \xc3(reverse 2 ab", b"5 error2 ba"),
    stream("text", "a length that is none ends it", b"reverse x abreverse 2 ab", b"5 error"),
    stream("text", "a missing length ends it", b"reverse  abreverse 2 ab", b"5 error"),
    stream("text", "a negative length ends it", b"reverse 2 abreverse -2 ab", b"2 ba5 error"),
    stream("text", "a length over the limit ends it", b"reverse 134217728 ab", b"5 error"),
    stream("text", "no space in 32 bytes ends it", b"abcdefghijklmnopqrstuvwxyzabcdef 2 ab", b"5 error"),
    stream("text", "leading zeros", b"reverse 0000000002 abreverse 2 cd", b"2 ba2 dc"),
    stream("text", "an end inside a header", b"reverse 2 abreverse 2", b"2 ba5 error"),
    stream("text", "an end inside a message", b"reverse 3 ab", b"5 error"),
    stream("text", "an end inside a message of an unknown action", b"scream 3 ab", b"5 error"),
    stream("text", "nothing", b"", b""),
    stream("echo", "every byte value matters", b"\0\x01\n\r\x7f\x80\xff text", b"\0\x01\n\r\x7f\x80\xff text"),
    stream("echo", "nothing", b"", b""),
    chunk("echo-prefix", "a chunk", b"hello\n", b"Echo: hello\n"),
    stream("ack", "anything", b"anything", b"Message received!"),
    stream("ack", "nothing", b"", b""),
    chunk("respond", "upper case", b"hello\n", b"Response: HELLO\n"),
    chunk("respond", "all of Unicode", "straße ŉ".as_bytes(), "Response: STRASSE ʼN".as_bytes()),
    chunk("respond", "not UTF-8", b"a\xffb", b"Error: Invalid UTF-8 encoding"),
    chunk("respond", "a code point that is never completed", b"a\xe2\x82", b"Response: AError: Invalid UTF-8 encoding"),
    stream("respond", "a code point in pieces", "€".as_bytes(), "Response: €".as_bytes()),
    chunk("upper", "white space is stripped", b" \t\n\x0b\x0c\rab c\xe9\r\n", b"AB C\xe9"),
    chunk("upper", "nothing but white space", b" \n", b""),
    chunk("upper", "one chunk", b"a\nb", b"A\nB"),
    stream("upper-line", "a line", b" hello world \r\nmore", b"HELLO WORLD"),
    stream("upper-line", "an unfinished line", b" hello\tworld ", b"HELLO\tWORLD"),
    stream("upper-line", "an empty line", b"\nmore", b""),
    stream("upper-line", "bytes, not text", b"\xe9a\xff\x0b\n", b"\xe9A\xff"),
    stream("length-prefix", "two messages", b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c", b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"),
    stream("length-prefix", "an end inside a message", b"\0\0\0\x01a\0\0\0\x02b", b"\0\0\0\x01a"),
    stream("length-prefix", "longer than any limit", b"\0\0\0\x01a\xff\xff\xff\xffb", b"\0\0\0\x01a"),
    chunk("record", "a chunk", b"hello", b"hello"),
    stream("discard", "anything", b"anything", b""),
];
