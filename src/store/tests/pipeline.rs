//! The rows of a deploy and of its release, and what the reconciler is told of them.

use std::sync::Arc;

use super::*;

async fn step(store: &Store, deploy: &Deploy) -> (Step, Option<ReleaseVersion>) {
    let found = store.deploy(&deploy.id).await.unwrap().unwrap();
    (found.step, found.release)
}

#[tokio::test]
async fn a_deploy_and_its_release_go_together() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let deploy = deploy(shop.id, 1);
    fixture.store.add_deploy(&deploy).await.unwrap();
    let next = fixture.store.next_version(shop.id).await.unwrap();
    let made = fixture
        .store
        .add_candidate(&deploy.id, release(shop.id, 1))
        .await
        .unwrap();
    let one = Some(made.version);
    assert_eq!(made.version, next);
    assert_eq!(step(&fixture.store, &deploy).await, (Step::Check, one));

    let main = parse("main");
    let adopted = fixture
        .store
        .prepare(&deploy.id, shop.id, made.version, &main)
        .await;
    assert_eq!(adopted.unwrap(), main);
    assert_eq!(step(&fixture.store, &deploy).await, (Step::Prepared, one));

    // What was written soon is there after an orderly end, too.
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    let app = store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!(app.deploy_branch, Some(main));
    let prepared = store.release(shop.id, made.version).await.unwrap().unwrap();
    assert_eq!(prepared.status, ReleaseStatus::Prepared);

    let which = (shop.id, made.version);
    let promoted = store.promote_by(&deploy.id, which, at(9), true).await;
    assert_eq!(promoted.unwrap(), None);
    assert_eq!(step(store, &deploy).await, (Step::Route, one));
    let app = store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!(app.current, one);
}

#[tokio::test]
async fn a_release_for_another_branch_is_not_prepared() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let deploy = deploy(shop.id, 1);
    store.add_deploy(&deploy).await.unwrap();
    store.adopt_branch(shop.id, &parse("main")).await.unwrap();
    let made = store
        .add_candidate(&deploy.id, release(shop.id, 1))
        .await
        .unwrap();
    let adopted = store
        .prepare(&deploy.id, shop.id, made.version, &parse("master"))
        .await;
    assert_eq!(adopted.unwrap(), parse("main"));
    assert_eq!(step(store, &deploy).await.0, Step::Check);
    let status = |version| async move {
        let found = store.release(shop.id, version).await.unwrap();
        found.unwrap().status
    };
    assert_eq!(status(made.version).await, ReleaseStatus::Candidate);

    store.fail_unfinished(shop.id).await.unwrap();
    assert_eq!(status(made.version).await, ReleaseStatus::Failed);
}

#[tokio::test]
async fn a_deploy_that_is_forgotten_leaves_no_release() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let unknown = deploy(shop.id, 1).id;
    let refused = store.add_candidate(&unknown, release(shop.id, 1)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    assert_eq!(store.releases(shop.id).await.unwrap(), []);
    let made = store.add_release(release(shop.id, 1)).await.unwrap();
    let which = (shop.id, made.version);
    let refused = store.promote_by(&unknown, which, at(9), true).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    assert_eq!(store.app(&shop.name).await.unwrap().unwrap().current, None);
}

#[tokio::test]
async fn what_is_desired_is_read_again_only_after_a_write() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let made = store.add_release(release(shop.id, 1)).await.unwrap();
    let first = store.desired().await.unwrap();
    assert_eq!(first.releases, std::slice::from_ref(&made));
    assert!(Arc::ptr_eq(&first, &store.desired().await.unwrap()));

    let mut other = release(shop.id, 2);
    other.config = vars(&[("TOKEN", "changed")]);
    let other = store.add_release(other).await.unwrap();
    let second = store.desired().await.unwrap();
    assert_eq!(second.releases, [made.clone(), other.clone()]);

    // Nothing but the caller holds on to a config that is not wanted any more.
    drop(second);
    let first = {
        let kept = Arc::downgrade(&first);
        drop(first);
        kept
    };
    assert!(first.upgrade().is_none());
    let retired = ReleaseStatus::Retired;
    store
        .set_release_status(shop.id, made.version, retired)
        .await
        .unwrap();
    let third = store.desired().await.unwrap();
    assert_eq!(third.releases, [other]);
    let third = {
        let kept = Arc::downgrade(&third);
        drop(third);
        kept
    };
    store.close().await.unwrap();
    assert!(third.upgrade().is_none());
}

#[tokio::test]
async fn a_config_that_was_opened_does_not_open_elsewhere() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    for number in [1, 2] {
        store.add_release(release(shop.id, number)).await.unwrap();
    }
    store.desired().await.unwrap();
    let moved = store.write(|tx| {
        tx.execute(
            "UPDATE releases SET config = (SELECT config FROM releases WHERE version = 1)",
            [],
        )?;
        Ok(())
    });
    moved.await.unwrap();
    let read = store.desired().await;
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
}
