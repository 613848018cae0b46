//! The `mini` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    mini::boot::main()
}
