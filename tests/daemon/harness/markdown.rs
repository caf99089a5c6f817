//! The indented blocks of a document.

/// The parts of indented blocks that begin with a line with this marker, such as `$ `: the rest of that line, and the
/// lines below it, up to the next such line or the end of the block. Empty lines may follow.
pub fn marked_blocks(text: &str, marker: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        let indented = line.strip_prefix("    ");
        if let Some(rest) = indented.and_then(|line| line.strip_prefix(marker)) {
            blocks.push((rest.to_string(), String::new()));
            in_block = true;
        } else if indented.is_none() && !line.is_empty() {
            in_block = false;
        } else if let Some((_, block)) = blocks.last_mut().filter(|_| in_block) {
            block.push_str(indented.unwrap_or_default());
            block.push('\n');
        }
    }
    blocks
}
