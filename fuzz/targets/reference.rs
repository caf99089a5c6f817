//! The transforms by means of the standard library.

/// The correct reply. Outer `None`: chance decides. Inner `None`: the reply is an error.
pub fn reply(action: &str, message: &[u8]) -> Option<Option<Vec<u8>>> {
    let Ok(text) = std::str::from_utf8(message) else { return Some(None) };
    let reply = match action {
        "uppercase" => text.to_uppercase(),
        "lowercase" => text.to_lowercase(),
        "reverse" => text.chars().rev().collect(),
        _ if text.is_empty() => String::new(),
        _ => return None,
    };
    Some(Some(reply.into_bytes()))
}
