//! Releases from candidate to forgotten.

use super::*;

/// Adds a release and brings it to `status` by the way a deploy takes.
async fn add(
    store: &Store,
    app: AppId,
    image_number: u32,
    status: ReleaseStatus,
) -> ReleaseVersion {
    let version = store
        .add_release(release(app, image_number))
        .await
        .unwrap()
        .version;
    match status {
        ReleaseStatus::Candidate => {}
        ReleaseStatus::Prepared | ReleaseStatus::Failed => {
            store
                .set_release_status(app, version, status)
                .await
                .unwrap();
        }
        ReleaseStatus::Current => {
            store.promote(app, version, at(100), false).await.unwrap();
        }
        ReleaseStatus::Draining | ReleaseStatus::Retired => {
            store.promote(app, version, at(100), false).await.unwrap();
            store
                .set_release_status(app, version, status)
                .await
                .unwrap();
        }
    }
    version
}

async fn versions(store: &Store, app: AppId) -> Vec<u32> {
    let releases = store.releases(app).await.unwrap();
    releases.iter().map(|release| release.version.0).collect()
}

#[tokio::test]
async fn a_release_is_read_back_as_it_was_recorded() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let first = fixture
        .store
        .add_release(release(shop.id, 1))
        .await
        .unwrap();
    let mut bare = release(shop.id, 2);
    bare.commit = None;
    bare.release_command = None;
    bare.config = ConfigVars::new();
    bare.drain_until = Some(at(7));
    let second = fixture.store.add_release(bare.clone()).await.unwrap();
    bare.version = ReleaseVersion(2);
    assert_eq!(second, bare);

    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(
        store.releases(shop.id).await.unwrap(),
        [second, first.clone()]
    );
    assert_eq!(
        store.release(shop.id, ReleaseVersion(1)).await.unwrap(),
        Some(first)
    );
    assert_eq!(
        store.release(shop.id, ReleaseVersion(3)).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_moment_finer_than_a_microsecond_is_answered_as_it_is_kept() {
    let fixture = Fixture::new();
    let fine = Timestamp::new(1_790_000_000, 123_456_789).unwrap();
    let app = fixture
        .store
        .create_app(&parse("shop"), fine)
        .await
        .unwrap();
    assert_eq!(
        fixture.store.apps().await.unwrap(),
        std::slice::from_ref(&app)
    );
    let mut made = release(app.id, 1);
    made.created_at = fine;
    let made = fixture.store.add_release(made).await.unwrap();
    assert_eq!(fixture.store.releases(app.id).await.unwrap(), [made]);
}

#[tokio::test]
async fn promotion_drains_the_one_before_and_can_be_repeated() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let one = add(store, shop.id, 1, ReleaseStatus::Prepared).await;
    let two = add(store, shop.id, 2, ReleaseStatus::Candidate).await;
    store.set_stopped(shop.id, true).await.unwrap();

    assert_eq!(
        store.promote(shop.id, one, at(50), false).await.unwrap(),
        None
    );
    let app = store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!((app.current, app.is_stopped), (Some(one), true));

    assert_eq!(
        store.promote(shop.id, two, at(60), true).await.unwrap(),
        Some(one)
    );
    assert_eq!(
        store.promote(shop.id, two, at(70), true).await.unwrap(),
        None
    );
    let app = store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!((app.current, app.is_stopped), (Some(two), false));
    let old = store.release(shop.id, one).await.unwrap().unwrap();
    assert_eq!(
        (old.status, old.drain_until),
        (ReleaseStatus::Draining, Some(at(60)))
    );

    store
        .set_release_status(shop.id, one, ReleaseStatus::Retired)
        .await
        .unwrap();
    let old = store.release(shop.id, one).await.unwrap().unwrap();
    assert_eq!(
        (old.status, old.drain_until),
        (ReleaseStatus::Retired, None)
    );
}

#[tokio::test]
async fn only_a_release_that_waits_can_be_promoted() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let mut refused = vec![ReleaseVersion(99)];
    for status in [
        ReleaseStatus::Draining,
        ReleaseStatus::Retired,
        ReleaseStatus::Failed,
    ] {
        refused.push(add(store, shop.id, 1, status).await);
    }
    let current = add(store, shop.id, 2, ReleaseStatus::Current).await;
    store.set_stopped(shop.id, true).await.unwrap();
    for version in refused {
        let outcome = store.promote(shop.id, version, at(1), true).await;
        assert!(
            matches!(outcome, Err(StoreError::NotFound { .. })),
            "{version}"
        );
    }
    let app = store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!(
        (app.current, app.is_stopped),
        (Some(current), true),
        "nothing changed"
    );
}

#[tokio::test]
async fn pruning_keeps_the_newest_images_and_all_that_is_in_use() {
    use ReleaseStatus::{Candidate, Current, Draining, Failed, Prepared, Retired};
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let history = [
        (1, Retired),   // v1: image beyond the limit
        (2, Draining),  // v2: in use, although old
        (3, Retired),   // v3: kept, its image is the second newest
        (9, Failed),    // v4: older than the newest that served
        (3, Retired),   // v5
        (4, Current),   // v6: the newest that served
        (8, Failed),    // v7: newer than that, stays to be looked at
        (5, Prepared),  // v8
        (6, Candidate), // v9
    ];
    for (image_number, status) in history {
        add(store, shop.id, image_number, status).await;
    }
    // Promotions moved v2 on only as far as `add` says.
    let mut images = store.prune_releases(shop.id, 2).await.unwrap();
    images.sort();
    assert_eq!(versions(store, shop.id).await, [9, 8, 7, 6, 5, 3, 2]);
    assert_eq!(images, [2, 3, 4, 5, 6, 8].map(image));

    let again = store.prune_releases(shop.id, 2).await.unwrap();
    assert_eq!(again.len(), images.len(), "a second time changes nothing");
    store.prune_releases(shop.id, 0).await.unwrap();
    assert_eq!(versions(store, shop.id).await, [9, 8, 7, 6, 2]);
}

#[tokio::test]
async fn pruning_leaves_other_apps_alone_and_counts_their_images() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    add(store, blog.id, 7, ReleaseStatus::Retired).await;
    add(store, shop.id, 7, ReleaseStatus::Retired).await;
    add(store, shop.id, 8, ReleaseStatus::Current).await;
    let mut images = store.prune_releases(shop.id, 1).await.unwrap();
    images.sort();
    assert_eq!(images, [7, 8].map(image));
    assert_eq!(versions(store, shop.id).await, [2]);
    assert_eq!(versions(store, blog.id).await, [1]);
}

#[tokio::test]
async fn many_releases_of_one_image_are_not_remembered_for_ever() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    for _ in 0..103 {
        let made = store.add_release(release(shop.id, 1)).await.unwrap();
        store
            .promote(shop.id, made.version, at(1), false)
            .await
            .unwrap();
        store
            .set_release_status(shop.id, made.version, ReleaseStatus::Retired)
            .await
            .unwrap();
    }
    add(store, shop.id, 1, ReleaseStatus::Current).await;
    store.prune_releases(shop.id, 5).await.unwrap();
    assert_eq!(
        versions(store, shop.id).await,
        (4..=104).rev().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_forgotten_number_does_not_come_back() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    for _ in 0..2 {
        add(store, shop.id, 1, ReleaseStatus::Retired).await;
    }
    store.prune_releases(shop.id, 0).await.unwrap();
    assert_eq!(versions(store, shop.id).await, [] as [u32; 0]);
    let next = add(store, shop.id, 1, ReleaseStatus::Candidate).await;
    assert_eq!(next, ReleaseVersion(3));
}

#[tokio::test]
async fn everything_is_counted_by_what_it_is() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.census().await.unwrap(), Census::default());
    let shop = fixture.app("shop").await;
    fixture.app("blog").await;
    add(&fixture.store, shop.id, 1, ReleaseStatus::Retired).await;
    add(&fixture.store, shop.id, 2, ReleaseStatus::Failed).await;
    add(&fixture.store, shop.id, 3, ReleaseStatus::Current).await;
    let census = fixture.store.census().await.unwrap();
    let counts = |pairs: [(&str, u32); 3]| pairs.map(|(status, count)| (status.to_owned(), count));
    assert_eq!(census.apps, 2);
    let releases = counts([("retired", 1), ("failed", 1), ("current", 1)]);
    assert_eq!(census.releases, releases.into());
    assert_eq!(census.deploys, BTreeMap::new());
}

#[tokio::test]
async fn a_formation_is_the_scale_as_soon_as_its_release_serves() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let scale = |pairs: &[(&str, u16)]| {
        let pairs = pairs.iter();
        Scale(
            pairs
                .map(|(name, quantity)| (parse(name), *quantity))
                .collect(),
        )
    };
    let by_hand = scale(&[("web", 3), ("clock", 1)]);
    store.set_scale(shop.id, &by_hand).await.unwrap();
    let formation = scale(&[("web", 2), ("worker", 1)]);
    let brings = Release {
        formation: Some(formation.clone()),
        postdeploy_command: Some("npm run tell".to_owned()),
        start_command: Some("npm start".to_owned()),
        ..release(shop.id, 1)
    };
    let made = store.add_release(brings).await.unwrap();
    assert_eq!(
        store.releases(shop.id).await.unwrap(),
        std::slice::from_ref(&made)
    );
    assert_eq!(store.scale(shop.id).await.unwrap(), by_hand);
    let promoted = store.promote(shop.id, made.version, at(5), false);
    promoted.await.unwrap();
    assert_eq!(store.scale(shop.id).await.unwrap(), formation);
    // One without leaves it as it is.
    let made = store.add_release(release(shop.id, 2)).await.unwrap();
    let promoted = store.promote(shop.id, made.version, at(6), false);
    promoted.await.unwrap();
    assert_eq!(store.scale(shop.id).await.unwrap(), formation);
}

#[tokio::test]
async fn the_first_deploy_of_an_app_is_noted_once() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    assert!(fixture.store.begin_set_up(shop.id).await.unwrap());
    fixture.store.take_back_set_up(shop.id).await.unwrap();
    assert!(fixture.store.begin_set_up(shop.id).await.unwrap());
    assert!(!fixture.store.begin_set_up(shop.id).await.unwrap());
    let copy = fixture
        .store
        .clone_app(shop.id, &parse("copy"), &[], &[], at(2))
        .await
        .unwrap();
    assert!(!fixture.store.begin_set_up(copy.id).await.unwrap());
}
