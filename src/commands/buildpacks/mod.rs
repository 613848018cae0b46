//! `buildpacks:*`: what mini makes of a repository. They look at a folder of the caller's own machine, so no server has
//! a part in them and the list of commands does not hold them.

mod detect;

pub use detect::{Detect, detect};
