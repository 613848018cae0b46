//! The engine on a real Docker: the contract every engine keeps, and what only Docker can show.
//!
//! Needs Docker and the stand-in base image; without them these tests fail and say so. Each test is an installation of
//! its own and removes what it made.

#[path = "docker_engine/images.rs"]
mod images;
#[path = "docker_engine/networks.rs"]
mod networks;
#[path = "docker_engine/one_offs.rs"]
mod one_offs;
#[path = "docker_engine/podman.rs"]
mod podman;
#[path = "docker_engine/processes.rs"]
mod processes;
#[path = "docker_engine/site.rs"]
mod site;

use anyhow::Result;
use mini::engine::contract;

use self::site::on_docker;

macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $test() -> Result<()> {
            on_docker(stringify!($test), async |_site, bench| contract::$test(bench).await).await
        })+
    };
}

contract!(
    process_lives_and_goes,
    exit_is_seen,
    image_command_is_run,
    changes_are_told,
    log_is_kept,
    missing_image_is_said,
    build_makes_an_image,
    build_failure_is_told,
    one_off_runs,
    removal_is_whole,
    archive_is_loaded,
    other_archives_are_refused,
);
