//! Detects a directory several times and prints what that took, as one line of JSON: what `make bench-detect` measures with.
//!
//! `cargo run --release -p mini-buildpacks --example detect -- DIR [TIMES]`

use std::cell::Cell;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use mini_buildpacks::{DirTree, Options, Tree, TreeError, detect};
use serde_json::json;

/// A tree that notes how much is read of it.
struct Counting {
    tree: DirTree,
    files: Cell<usize>,
    reads: Cell<usize>,
    bytes: Cell<usize>,
    largest_bytes: Cell<usize>,
}

impl Counting {
    fn note(
        &self,
        content: Result<Option<Vec<u8>>, TreeError>,
    ) -> Result<Option<Vec<u8>>, TreeError> {
        if let Ok(Some(content)) = &content {
            self.reads.set(self.reads.get() + 1);
            self.bytes.set(self.bytes.get() + content.len());
            self.largest_bytes
                .set(self.largest_bytes.get().max(content.len()));
        }
        content
    }
}

impl Tree for Counting {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        let files = self.tree.files()?;
        self.files.set(files.len());
        Ok(files)
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.note(self.tree.read(path, limit_bytes))
    }

    fn beginning(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.note(self.tree.beginning(path, limit_bytes))
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(dir) = words.next() else {
        eprintln!("usage: detect DIR [TIMES]");
        return ExitCode::from(2);
    };
    let times: usize = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(1)
        .max(1);
    let mut milliseconds = Vec::new();
    let mut last = None;
    for _ in 0..times {
        let begun = Instant::now();
        let tree = match DirTree::open(&dir) {
            Ok(tree) => Counting {
                tree,
                files: Cell::default(),
                reads: Cell::default(),
                bytes: Cell::default(),
                largest_bytes: Cell::default(),
            },
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        };
        let found = detect(&tree, &Options::default());
        milliseconds.push(begun.elapsed().as_secs_f64() * 1000.0);
        last = Some((tree, found));
    }
    let Some((tree, found)) = last else {
        return ExitCode::FAILURE;
    };
    let (language, start, refused) = match &found {
        Ok(detection) => (
            Some(detection.language.clone()),
            detection
                .start
                .clone()
                .or_else(|| detection.static_root.clone()),
            None,
        ),
        Err(error) => (None, None, Some(error.what())),
    };
    let answer = json!({
        "milliseconds": milliseconds, "files": tree.files.get(), "reads": tree.reads.get(), "bytes": tree.bytes.get(),
        "largest_bytes": tree.largest_bytes.get(), "language": language, "start": start, "refused": refused,
    });
    match writeln!(std::io::stdout(), "{answer}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
