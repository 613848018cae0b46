//! The `mini` binary.
fn main() {}
