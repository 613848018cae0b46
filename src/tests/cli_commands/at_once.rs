//! What happens to a deploy when something else is done to its app at the same time, or has been done before.

use mini::commands;
use mini::engine::ContainerEngine;
use mini::engine::contract::within;
use mini::model::{ReleaseStatus, ReleaseVersion};
use tokio::sync::mpsc;

use super::House;
use super::git::{house_with, name, said};

/// Waits until a line that goes on has said this.
async fn until(text: &str, line: &mut mpsc::Receiver<(mini::engine::Stream, bytes::Bytes)>) {
    let mut all = String::new();
    while !all.contains(text) {
        let piece = within(&format!("{text:?} after {all:?}"), line.recv()).await;
        let (_, piece) = piece.unwrap().expect("it ended before");
        all.push_str(&String::from_utf8_lossy(&piece));
    }
}

/// What a line has said that is over.
fn drained(mut heard: mpsc::Receiver<(mini::engine::Stream, bytes::Bytes)>) -> Vec<String> {
    let mut said = Vec::new();
    while let Ok((_, piece)) = heard.try_recv() {
        said.push(String::from_utf8_lossy(&piece).into_owned());
    }
    said
}

/// A deploy waited for the routes of an app that has none, with its turn in hand, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_no_visitor_reaches_is_deployed_all_the_same() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house.types("domains:disable blog").await;
    let text = said(&mut house, "ps:restart blog", b"", 0).await;
    assert!(
        text.contains("=====> Application deployed: v2, without an address to visit"),
        "{text}"
    );
}

/// A deploy waited for a process that nobody wanted any more, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_goes_on_without_what_was_scaled_down_meanwhile() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    house.types("ps:scale blog web=2 worker=1").await;
    house.engine.hold_starts();
    let mut restart = house.begins("ps:restart blog");
    until("Starting worker", &mut restart).await;
    let mut scale = house.begins("ps:scale blog web=1 worker=0");
    until("worker.1 is no longer wanted", &mut restart).await;
    house.engine.go_on_starting();
    until("Application deployed", &mut restart).await;
    while within("the end of ps:scale", scale.recv())
        .await
        .unwrap()
        .is_some()
    {}
    house.platform.deploys.idle().await;
    house.retires("blog").await;
    let processes = house.engine.observe().await.unwrap();
    let left: Vec<String> = processes
        .iter()
        .map(|process| {
            format!(
                "{}.{} {}",
                process.process_type, process.index, process.release
            )
        })
        .collect();
    assert_eq!(left, ["web.1 v2"]);
}

/// What was stopped while a config var was set ran again at the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_stopped_while_its_config_changes_stays_stopped() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house.engine.hold_starts();
    let mut set = house.begins("config:set blog A=b");
    until("Starting web", &mut set).await;
    let mut stop = house.begins("ps:stop blog");
    until("web.1 is no longer wanted", &mut set).await;
    house.engine.go_on_starting();
    until("Application deployed: v2, no web process runs", &mut set).await;
    while within("the end of ps:stop", stop.recv())
        .await
        .unwrap()
        .is_some()
    {}
    house.platform.deploys.idle().await;
    let text = said(&mut house, "apps:report blog --app-stopped", b"", 0).await;
    assert!(text.contains("true"), "{text}");
}

/// What was left of a renamed app became the first release of the next app with its name.
#[tokio::test(flavor = "multi_thread")]
async fn processes_of_an_app_with_the_same_name_before_are_not_taken_for_those_of_the_new_one() {
    let mut house = House::new();
    house.deploy("shop", &[("web", "sleep")]).await;
    let old = house.process("shop", "web", 1).await;
    // It takes its time, as one does with requests in flight.
    house.engine.hold_fast(&old.id);
    house
        .engine
        .set_address(&name("old"), [127, 0, 0, 1].into());
    said(&mut house, "apps:rename shop old", b"", 0).await;
    said(&mut house, "apps:create shop", b"", 0).await;
    house.engine.publish("nginx:alpine", &[house.port]);
    let mut deploy = house.begins("git:from-image shop nginx:alpine");
    until("Waiting for an app that had this name before", &mut deploy).await;
    house.engine.let_loose(&old.id);
    until("Application deployed", &mut deploy).await;
    let new = house.process("shop", "web", 1).await;
    assert_eq!(new.release, ReleaseVersion(1));
    assert_ne!(new.id, old.id);
}

/// `ps:stop` and `ps:scale` waited without an end where Docker would not stop a container.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_be_stopped_is_named_and_waited_for_no_longer() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    said(&mut house, "ps:scale blog worker=1", b"", 0).await;
    let worker = house.process("blog", "worker", 1).await;
    house.engine.hold_fast(&worker.id);
    let stuck = format!(
        "worker.1 of v1 (container {0}) could not be stopped: Docker refused: the container {0} is stuck",
        worker.id.short()
    );
    let text = said(&mut house, "ps:scale blog worker=0", b"", 1).await;
    assert!(
        text.contains("blog does not run as it was asked to"),
        "{text}"
    );
    assert!(text.contains(&stuck), "{text}");
    let text = said(&mut house, "ps:stop blog", b"", 1).await;
    assert!(text.contains("blog is not stopped yet"), "{text}");
    assert!(text.contains(&stuck), "{text}");
    let text = said(&mut house, "ps:report blog --status-worker-1", b"", 0).await;
    assert!(text.contains("could not be stopped"), "{text}");
    // Wanted again, there is nothing wrong with it.
    said(&mut house, "ps:scale blog worker=1", b"", 1).await;
    said(&mut house, "ps:start blog", b"", 0).await;
    house.engine.let_loose(&worker.id);
}

/// For up to a minute it was refused with what Docker had said before.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_container_can_be_stopped_again_is_stopped_at_once() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let web = house.process("blog", "web", 1).await;
    house.engine.hold_fast(&web.id);
    let text = said(&mut house, "ps:stop blog", b"", 1).await;
    assert!(text.contains("is stuck"), "{text}");
    house.engine.let_loose(&web.id);
    said(&mut house, "ps:stop blog", b"", 0).await;
}

/// Everything that waited for processes failed when Docker was restarted, or had no answer for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_for_a_moment_fails_nothing() {
    let house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    let mut view = house.platform.reconciler.view();
    house.engine.go_down();
    let seen = view.wait_for(|view| view.engine_problem.is_some());
    let before = within("the outage", seen).await.unwrap().unwrap().answers;
    let mut scale = house.begins("ps:scale blog worker=1");
    let asked = view.wait_for(|view| view.answers > before);
    drop(within("an answer to it", asked).await.unwrap().unwrap());
    house.engine.come_back();
    let mut text = String::new();
    while let Some((_, piece)) = within("its end", scale.recv()).await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(!text.contains("does not run as it was asked to"), "{text}");
    house.process("blog", "worker", 1).await;

    house.engine.hold_starts();
    let mut restart = house.begins("ps:restart blog");
    until("Starting worker", &mut restart).await;
    house.engine.go_down();
    let seen = view.wait_for(|view| view.engine_problem.is_some());
    drop(within("the outage", seen).await.unwrap().unwrap());
    house.engine.come_back();
    house.engine.go_on_starting();
    until("Application deployed", &mut restart).await;
}

/// `ps:scale` failed although a second try, a second later, went well.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_stopped_at_the_second_try_fails_nothing() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    said(&mut house, "ps:scale blog worker=1", b"", 0).await;
    let worker = house.process("blog", "worker", 1).await;
    house.engine.refuse_once(&worker.id);
    said(&mut house, "ps:scale blog worker=0", b"", 0).await;
    let processes = house.engine.observe().await.unwrap();
    assert!(processes.iter().all(|process| process.id != worker.id));
}

/// It went on as if all were stopped, at the first word of trouble and without one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_says_what_it_has_to_end_by_force() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let web = house.process("blog", "web", 1).await;
    house.engine.hold_fast(&web.id);
    let text = said(&mut house, "--force apps:destroy blog", b"", 0).await;
    let warning = "Processes of blog are ended by force: web.1 of v1 (container";
    assert!(text.contains(warning), "{text}");
    house.deploy("shop", &[("web", "sleep")]).await;
    let web = house.process("shop", "web", 1).await;
    house.engine.refuse_once(&web.id);
    let text = said(&mut house, "--force apps:destroy shop", b"", 0).await;
    assert!(!text.contains("by force"), "{text}");
}

/// What is left of the release before is not waited for either, by those who did not ask for its end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stuck_of_an_old_release_keeps_nobody_from_scaling() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let old = house.process("blog", "web", 1).await;
    house.engine.hold_fast(&old.id);
    said(&mut house, "ps:restart blog", b"", 0).await;
    said(&mut house, "ps:scale blog web=2", b"", 0).await;
    let text = said(&mut house, "ps:stop blog", b"", 1).await;
    assert!(text.contains("web.1 of v1"), "{text}");
    said(&mut house, "ps:start blog", b"", 0).await;
    // As what a deploy has left that failed.
    let store = &house.platform.store;
    let app = store.app(&name("blog")).await.unwrap().unwrap();
    let failed = store.set_release_status(app.id, old.release, ReleaseStatus::Failed);
    failed.await.unwrap();
    said(&mut house, "ps:scale blog web=1", b"", 0).await;
    house.engine.let_loose(&old.id);
}

/// A server that was killed in the middle of a destruction left a repository that the next app of the name had for its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_that_is_cut_short_leaves_no_repository_for_the_next_app() {
    let mut house = house_with("shop").await;
    house.engine.publish("nginx:alpine", &[house.port]);
    said(&mut house, "git:from-image shop nginx:alpine", b"", 0).await;
    let before = house.platform.store.app(&name("shop")).await;
    let before = before.unwrap().unwrap();
    let ended = {
        let (session, _said) = house.silent();
        let destroy = commands::run_words(&house.platform, "--force apps:destroy shop", session);
        let mut destroy = std::pin::pin!(destroy);
        let database = rusqlite::Connection::open(house.database()).unwrap();
        let has_row = || {
            let count = "SELECT count(*) FROM apps WHERE id = ?1";
            let count = database.query_row(count, [before.id.0], |row| row.get::<_, i64>(0));
            count.unwrap() > 0
        };
        // Whatever wakes it: it goes on only as long as the row is there.
        let killed = std::future::poll_fn(|context| match has_row() {
            true => destroy.as_mut().poll(context).map(Some),
            false => std::task::Poll::Ready(None),
        });
        within("the end of the row", killed).await.unwrap()
    };
    assert_eq!(ended, None, "it ended before it was killed");
    assert!(!house.platform.repositories.path(&name("shop")).exists());
    said(&mut house, "apps:create shop", b"", 0).await;
    let branch = "main".parse().unwrap();
    let repositories = &house.platform.repositories;
    let tip = repositories.tip(&name("shop"), &branch).await.unwrap();
    assert_eq!(tip, None);
}

/// Source for the new name that came while the repository was copied was lost, or the clone was.
#[tokio::test(flavor = "multi_thread")]
async fn source_for_an_app_that_is_being_cloned_comes_after_the_repository() {
    let mut house = house_with("shop").await;
    house.engine.publish("nginx:alpine", &[house.port]);
    said(&mut house, "git:from-image shop nginx:alpine", b"", 0).await;
    let branch = "main".parse().unwrap();
    let repositories = &house.platform.repositories;
    let tip = repositories.tip(&name("shop"), &branch).await.unwrap();
    let (session, heard) = house.silent();
    let clone = commands::run_words(
        &house.platform,
        "apps:clone shop copy --skip-deploy",
        session,
    );
    let mut clone = std::pin::pin!(clone);
    let database = rusqlite::Connection::open(house.database()).unwrap();
    let has_row = || {
        let count = "SELECT count(*) FROM apps WHERE name = 'copy'";
        let count = database.query_row(count, [], |row| row.get::<_, i64>(0));
        count.unwrap() > 0
    };
    let until_row = std::future::poll_fn(|context| {
        let ended = clone.as_mut().poll(context);
        assert!(ended.is_pending(), "it ended before the source came");
        match has_row() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    within("the row", until_row).await.unwrap();
    let copy = name("copy");
    let both = async { tokio::join!(house.platform.deploys.branch_tip(&copy), clone) };
    let (given, code) = within("both", both).await.unwrap();
    assert_eq!(code, 0, "{:?}", drained(heard));
    assert_eq!(given.unwrap().at, tip);
    assert_eq!(repositories.tip(&copy, &branch).await.unwrap(), tip);
}

/// An app was left without the images of its releases when another was destroyed that had got its earlier name.
#[tokio::test(flavor = "multi_thread")]
async fn images_of_an_app_that_was_renamed_outlive_the_next_app_with_its_name() {
    let mut house = house_with("shop").await;
    for _ in 0..2 {
        house.engine.publish("nginx:alpine", &[house.port]);
        said(&mut house, "git:from-image shop nginx:alpine", b"", 0).await;
    }
    house
        .engine
        .set_address(&name("old"), [127, 0, 0, 1].into());
    said(&mut house, "apps:rename shop old", b"", 0).await;
    said(&mut house, "apps:create shop", b"", 0).await;
    said(&mut house, "git:from-image shop nginx:alpine", b"", 0).await;
    said(&mut house, "--force apps:destroy shop", b"", 0).await;
    let app = house
        .platform
        .store
        .app(&name("old"))
        .await
        .unwrap()
        .unwrap();
    let releases = house.platform.store.releases(app.id).await.unwrap();
    assert_eq!(releases.len(), 3);
    for release in releases {
        let image = house.engine.image(release.image.as_str()).await.unwrap();
        assert!(image.is_some(), "the image of {}", release.version);
    }
}

/// Nothing was started, stopped or routed any more, and every deploy was lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_reconciler_survives_a_panic() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house.engine.panic_once();
    house.types("apps:create shop").await;
    said(&mut house, "ps:restart blog", b"", 0).await;
    let web = house.process("blog", "web", 1).await;
    let view = house.platform.reconciler.wait_for(|_| true).await.unwrap();
    assert!(view.routed.contains(&web.id));
    let answer = house.visit("shop.localhost", "/", "me").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}
