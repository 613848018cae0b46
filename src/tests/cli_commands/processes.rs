//! The processes of an app: how many, stopped, started.

use mini::engine::ProcessState;

use super::House;
use super::git::said;

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_scaled_stopped_and_started() {
    let mut house = House::new();
    transcript!(
        "ps_undeployed",
        house,
        [
            "apps:create blog",
            "ps:scale blog",
            "ps:scale blog web=2 worker=1",
            "ps:scale blog web=x",
            "ps:scale blog web=5000",
            "ps:report blog --deployed",
            "ps:restart blog",
            "ps:rebuild blog",
            "ps:start blog",
            "logs blog",
            "run blog ls",
            "builds:list blog",
            "builds:output blog",
            "builds:info blog 123",
            "builds:cancel blog",
            "releases blog",
            "releases blog --format json",
            "checks:report blog",
        ]
    );
    house
        .deploy("shop", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    transcript!(
        "ps",
        house,
        [
            "ps:scale shop",
            "ps:scale shop web=2 worker=1",
            "ps:scale shop --format json",
            "ps:scale shop clock=1",
            "ps:report shop --running",
            "ps:report shop --processes",
            "ps:restart shop worker",
            "ps:restart shop clock",
            "ps:stop shop",
            "ps:report shop --running",
            "ps:start shop",
            "ps:report shop --running",
            "checks:report shop",
            "checks:report shop --format json",
            "ps:stop nope",
        ]
    );
}

/// `ps:start` said that it starts what was given up, and did nothing about it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_started_again_by_ps_start() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    said(&mut house, "ps:scale blog worker=1", b"", 0).await;
    let worker = house.process("blog", "worker", 1).await;
    let mut view = house.platform.reconciler.view();
    let state = |house: &House| {
        let view = house.platform.reconciler.view();
        let view = view.borrow();
        let mut processes = view.processes.iter();
        let process = processes.find(|process| process.id == worker.id);
        process.map(|process| process.state.clone())
    };
    let is_given_up = |house: &House| {
        let troubles = house.platform.reconciler.troubles(&worker.app);
        troubles.iter().any(|trouble| trouble.is_given_up)
    };
    while !is_given_up(&house) {
        if state(&house) == Some(ProcessState::Running) {
            house.engine.crash(&worker.id, 3);
        }
        view.changed().await.unwrap();
    }
    said(&mut house, "ps:start blog", b"", 0).await;
    assert_eq!(state(&house), Some(ProcessState::Running));
}

/// `ps:restart` said that it restarted what did not run.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_is_not_said_to_be_restarted() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    let text = said(&mut house, "ps:restart blog worker", b"", 0).await;
    assert!(text.contains("`ps:scale blog worker=1`"), "{text}");
    said(&mut house, "ps:scale blog worker=1", b"", 0).await;
    said(&mut house, "ps:stop blog", b"", 0).await;
    let text = said(&mut house, "ps:restart blog worker", b"", 0).await;
    assert!(text.contains("blog is stopped"), "{text}");
    assert!(!text.contains("Restarting"), "{text}");
    let text = said(&mut house, "ps:scale blog worker=1 worker=2", b"", 2).await;
    assert!(text.contains("`worker` is given twice"), "{text}");
}
