//! Writes every file that is derived from the list of protocols: `cargo run --example generate`, or `make generate`.
//!
//! These are the tables in README.md, retortd.protocols(7) and docs/metrics.md, the socket units, the examples for the
//! system test, and the fuzzing corpus, which also has saved connections, the PROXY headers of the tests and requests
//! for metrics. They are committed; `tests/documentation.rs` fails when one is out of date.

mod files;

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = files::generated(root);
    for path in files::stale(root, &generated) {
        fs::remove_file(root.join(&path))?;
        println!("removed {path}");
    }
    for (path, content) in generated {
        let path = root.join(path);
        if fs::read(&path).is_ok_and(|present| present == content) {
            continue;
        }
        fs::create_dir_all(path.parent().expect("a file below the root"))?;
        fs::write(&path, content)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
