//! mini: a git-push platform as a service. `README.md` beside this file draws how the modules stand to each other; a
//! module imports only from those below it in this list.

pub mod access_log;
pub mod backup;
pub mod boot;
pub mod commands;
pub mod deploy;
pub mod engine;
pub mod events;
pub mod git;
pub mod http;
pub mod model;
pub mod reconcile;
pub mod ssh;
pub mod store;

/// Which mini this is: the version of the package, or what the build was told in `MINI_BUILD_VERSION` (`0.2.0+3f2c91a`), so that
/// two builds of one version can be told apart.
pub const VERSION: &str = match option_env!("MINI_BUILD_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
