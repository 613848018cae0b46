//! Each command as it is typed: what it prints when it succeeds and when it refuses, as text and as JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "cli_commands/house.rs"]
mod house;

use house::House;

/// Types lines one after the other and compares the whole transcript.
macro_rules! transcript {
    ($name:literal, $house:expr, [$($line:expr),+ $(,)?]) => {
        $($house.types($line).await;)+
        insta::assert_snapshot!($name, $house.transcript());
    };
}

#[path = "cli_commands/api.rs"]
mod api;
#[path = "cli_commands/app_json.rs"]
mod app_json;
#[path = "cli_commands/apps.rs"]
mod apps;
#[path = "cli_commands/at_once.rs"]
mod at_once;
#[path = "cli_commands/builder.rs"]
mod builder;
#[path = "cli_commands/certs.rs"]
mod certs;
#[path = "cli_commands/config.rs"]
mod config;
#[path = "cli_commands/domains.rs"]
mod domains;
#[path = "cli_commands/git.rs"]
mod git;
#[path = "cli_commands/git_ssh.rs"]
mod git_ssh;
#[path = "cli_commands/git_sync.rs"]
mod git_sync;
#[path = "cli_commands/keys.rs"]
mod keys;
#[path = "cli_commands/logs.rs"]
mod logs;
#[path = "cli_commands/ports.rs"]
mod ports;
#[path = "cli_commands/process_settings.rs"]
mod process_settings;
#[path = "cli_commands/processes.rs"]
mod processes;
#[path = "cli_commands/proxy.rs"]
mod proxy;
#[path = "cli_commands/pushes.rs"]
mod pushes;
#[path = "cli_commands/restored.rs"]
mod restored;
#[path = "cli_commands/routes.rs"]
mod routes;
#[path = "cli_commands/run.rs"]
mod run;
#[path = "cli_commands/server.rs"]
mod server;
