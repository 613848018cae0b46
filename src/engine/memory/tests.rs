//! The contract on the in-memory engine, and what only it can do.

use futures_util::StreamExt;

use super::MemoryEngine;
use crate::engine::contract::{self, Bench};
use crate::engine::{ContainerEngine, EngineError, ProcessState, Stream};

macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $test() -> anyhow::Result<()> {
            let engine = MemoryEngine::new();
            contract::$test(&bench(&engine)).await
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

fn bench(engine: &MemoryEngine) -> Bench<'_> {
    engine.add_image("base", &[]);
    Bench {
        engine,
        app: "shop".parse().unwrap(),
        base: "base",
    }
}

#[tokio::test]
async fn what_runs_goes_on_while_the_engine_is_down() {
    let engine = MemoryEngine::new();
    let bench = bench(&engine);
    let image = bench.image().await.unwrap();
    let group = bench.group(&image, Some("sleep 1")).unwrap();
    let process = engine.start(&group, 1).await.unwrap();
    let mut changes = engine.changes();
    changes.next().await.unwrap();
    engine.go_down();
    changes.next().await.unwrap();
    assert!(matches!(
        engine.observe().await,
        Err(EngineError::Unavailable { .. })
    ));
    engine.come_back();
    changes.next().await.unwrap();
    assert_eq!(engine.observe().await.unwrap(), [process]);
}

#[tokio::test]
async fn a_test_decides_how_a_process_ends_and_what_it_says() {
    let engine = MemoryEngine::new();
    let bench = bench(&engine);
    let image = bench.image().await.unwrap();
    let group = bench.group(&image, None).unwrap();
    let process = engine.start(&group, 1).await.unwrap();
    engine.say(&process.id, Stream::Stderr, "help");
    engine.run_out_of_memory(&process.id);
    let seen = engine.observe().await.unwrap();
    assert!(matches!(
        seen.first().map(|p| &p.state),
        Some(ProcessState::Exited {
            code: 137,
            is_out_of_memory: true,
            ..
        })
    ));
    let mut log = engine.logs(&process.id, Default::default()).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().text, "help");
}
