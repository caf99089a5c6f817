//! Writes the corpus: the tables of the tests, in the form of each target.

#[path = "../tests/tables/mod.rs"]
#[allow(dead_code)] // only what is sent
mod tables;

use std::fs;
use std::io;
use std::path::Path;

use retortd::protocol::PROTOCOLS;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (number, exchange) in tables::EXAMPLES.iter().enumerate() {
        let name = format!("{}-{number:02}", exchange.protocol);
        let protocol = PROTOCOLS.iter().position(|entry| entry.name == exchange.protocol).expect("a name in the table");
        let write = |target: &str, prefix: &[u8]| {
            fs::create_dir_all(corpus.join(target))?;
            fs::write(corpus.join(target).join(&name), [prefix, exchange.send].concat())
        };
        write("protocols", &[protocol as u8])?;
        if ["frame", "text"].contains(&exchange.protocol) {
            write(exchange.protocol, &[])?;
            // in pieces of one byte, with interruptions; then repeated
            write("splits", &[protocol as u8, 2, 3, 0, 6, 2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2, 1])?;
        }
    }
    Ok(())
}
