//! The `mini` binary: `boot` knows what to do with the words.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    ExitCode::from(mini::boot::run(words))
}
