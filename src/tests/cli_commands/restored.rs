//! Images that are gone from Docker are built again.

use mini::engine::contract::within;
use mini::engine::{ContainerEngine, ProcessState};
use tokio::sync::watch;

use super::House;
use super::git::{name, said};

/// What was set for the next deploy decided about the image of the release that runs already.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_gone_is_built_as_it_was_the_first_time() {
    let mut house = House::new();
    let dockerfile = format!(
        "FROM base AS one\nRUN echo alpha\nEXPOSE {}\nCMD sleep\nFROM one AS two\nRUN echo omega\n",
        house.port
    );
    let app_json = r#"{"env": {"GREETING": "hello"}}"#;
    let files = [("Dockerfile", dockerfile.as_str()), ("app.json", app_json)];
    house.deploy_source("blog", &files).await;
    let set = "config:set blog --no-restart";
    said(&mut house, &format!("{set} MINI_BUILD_TARGET=one"), b"", 0).await;
    let text = said(&mut house, "ps:rebuild blog", b"", 0).await;
    assert!(text.contains("alpha") && !text.contains("omega"), "{text}");
    house.retires("blog").await;

    said(&mut house, &format!("{set} MINI_BUILD_TARGET=two"), b"", 0).await;
    let unset = "config:unset blog --no-restart GREETING";
    said(&mut house, unset, b"", 0).await;
    said(&mut house, "ps:stop blog", b"", 0).await;
    house.engine.remove_app(&name("blog"), &[]).await.unwrap();
    let deploys = house.platform.deploys.clone();
    let (_stays, leaving) = watch::channel(false);
    let keeper = tokio::spawn(async move { deploys.keep_images(leaving).await });
    house.types("ps:start blog").await;
    let runs = house.platform.reconciler.wait_for(|view| {
        let mut processes = view.processes.iter();
        processes.any(|process| process.state == ProcessState::Running)
    });
    within("the new image", runs).await.unwrap().unwrap();
    house.platform.deploys.idle().await;
    keeper.abort();
    let text = said(&mut house, "builds:output blog", b"", 0).await;
    assert!(text.contains("v2 of blog is restored"), "{text}");
    assert!(text.contains("alpha") && !text.contains("omega"), "{text}");
    // Nor does it change what is set for the next one.
    assert!(!text.contains("app.json sets"), "{text}");
    let text = said(&mut house, "config:keys blog", b"", 0).await;
    assert!(!text.contains("GREETING"), "{text}");
}
