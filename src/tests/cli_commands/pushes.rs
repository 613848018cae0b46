//! What hooks report, and what follows from it.

use mini::deploy::{Push, RefUpdate};
use mini::git::CommitNote;
use mini::model::{AppName, Caller, Timestamp};

use super::git::house_with;

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_was_stored_does_not_stand_for_the_branch() {
    let house = house_with("shop").await;
    let app: AppName = "shop".parse().unwrap();
    let text = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let note = CommitNote {
        message: "One".to_owned(),
        actor: "ann".to_owned(),
        at: Timestamp::now(),
        parent: None,
    };
    let mut commit = house
        .platform
        .repositories
        .begin_commit(&app, &note)
        .unwrap();
    let size_bytes = text.len() as u64;
    commit
        .file(b"Dockerfile", false, size_bytes, &mut text.as_bytes())
        .unwrap();
    let commit = commit.finish().unwrap();
    let push = Push {
        id: "1".to_owned(),
        app,
        caller: Caller::Console,
        options: Vec::new(),
    };
    let update = |reference: &str| RefUpdate {
        reference: reference.to_owned(),
        old: "0".repeat(40).parse().unwrap(),
        new: commit.clone(),
    };
    let deploys = &house.platform.deploys;
    let main = update("refs/heads/main");
    let prepared = deploys.prepare(&push, &main).await.unwrap();
    prepared.outcome.await.unwrap();
    // git could not move the branch, and says so of it alone.
    let tag = update("refs/tags/v1");
    assert!(
        deploys
            .commit(&push, std::slice::from_ref(&tag))
            .await
            .unwrap()
            .is_none()
    );
    let promoted = deploys.commit(&push, &[tag, main]).await.unwrap();
    promoted.unwrap().outcome.await.unwrap();
}
