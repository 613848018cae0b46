//! Apps, their domains and their scale.

use super::*;

#[tokio::test]
async fn apps_are_created_renamed_stopped_and_destroyed() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let blog = fixture.app("blog").await;
    assert_eq!(shop.current, None);
    let taken = fixture.store.create_app(&parse("shop"), at(9)).await;
    assert!(matches!(taken, Err(StoreError::Taken { name, .. }) if name == "shop"));

    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(store.apps().await.unwrap(), [blog.clone(), shop.clone()]);
    assert_eq!(store.app(&parse("shop")).await.unwrap(), Some(shop.clone()));
    assert_eq!(store.app(&parse("none")).await.unwrap(), None);

    let taken = store.rename_app(shop.id, &parse("blog")).await;
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    store.rename_app(shop.id, &parse("shop")).await.unwrap();
    store.rename_app(shop.id, &parse("store")).await.unwrap();
    store.set_stopped(shop.id, true).await.unwrap();
    let stopped = App {
        name: parse("store"),
        is_stopped: true,
        ..shop.clone()
    };
    assert_eq!(store.app(&parse("store")).await.unwrap(), Some(stopped));

    store.destroy_app(shop.id).await.unwrap();
    assert_eq!(store.apps().await.unwrap(), [blog]);
    let again = fixture.app("shop").await;
    assert!(again.id > shop.id, "an id is not given twice");
}

#[tokio::test]
async fn the_first_branch_is_adopted() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let adopt = async |branch: &str| {
        let branch = fixture.store.adopt_branch(shop.id, &parse(branch)).await;
        branch.unwrap().to_string()
    };
    assert_eq!(adopt("master").await, "master");
    assert_eq!(adopt("main").await, "master");
    let shop = fixture.store.app(&shop.name).await.unwrap().unwrap();
    assert_eq!(shop.deploy_branch, Some(parse("master")));
}

#[tokio::test]
async fn what_is_changed_for_an_app_that_is_gone_is_not_found() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    store.destroy_app(shop.id).await.unwrap();
    let id = shop.id;
    let check = |what: &str, error: StoreError| {
        assert!(
            matches!(error, StoreError::NotFound { .. }),
            "{what}: {error:?}"
        );
        assert_eq!(Problem::from(error).kind, Kind::NotFound);
    };
    check("destroy", store.destroy_app(id).await.unwrap_err());
    check("stop", store.set_stopped(id, true).await.unwrap_err());
    check(
        "rename",
        store.rename_app(id, &parse("x")).await.unwrap_err(),
    );
    check(
        "branch",
        store.adopt_branch(id, &parse("main")).await.unwrap_err(),
    );
    check(
        "domain",
        store.add_domain(id, &parse("a.b")).await.unwrap_err(),
    );
    check(
        "config",
        store
            .set_config(id, vars(&[("A", "1")]), vec![])
            .await
            .unwrap_err(),
    );
    let scale = Scale(BTreeMap::from([(parse("web"), 2)]));
    check("scale", store.set_scale(id, &scale).await.unwrap_err());
    check(
        "restart",
        store
            .request_restart(id, &parse("web"), at(1))
            .await
            .unwrap_err(),
    );
    check(
        "release",
        store.add_release(release(id, 1)).await.unwrap_err(),
    );
    check(
        "deploy",
        store.add_deploy(&deploy(id, 1)).await.unwrap_err(),
    );
    let version = ReleaseVersion(1);
    let status = ReleaseStatus::Failed;
    check(
        "status",
        store
            .set_release_status(id, version, status)
            .await
            .unwrap_err(),
    );
    check(
        "promote",
        store.promote(id, version, at(1), true).await.unwrap_err(),
    );
    let gone = DeployId::new(at(1), 0);
    check(
        "step",
        store.set_deploy_step(&gone, Step::Build).await.unwrap_err(),
    );
    let ended = store.finish_deploy(&gone, DeployStatus::Failed, None, at(1));
    check("finish", ended.await.unwrap_err());
}

#[tokio::test]
async fn a_domain_belongs_to_one_app() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    assert!(store.add_domain(shop.id, &parse("b.test")).await.unwrap());
    assert!(store.add_domain(shop.id, &parse("a.test")).await.unwrap());
    assert!(!store.add_domain(shop.id, &parse("a.test")).await.unwrap());
    let taken = store.add_domain(blog.id, &parse("a.test")).await;
    assert!(matches!(taken, Err(StoreError::Taken { by: Some(by), .. }) if by == shop.name));
    assert_eq!(
        store.domains(shop.id).await.unwrap(),
        [parse("a.test"), parse("b.test")]
    );

    assert!(
        !store
            .remove_domain(blog.id, &parse("a.test"))
            .await
            .unwrap()
    );
    assert!(
        store
            .remove_domain(shop.id, &parse("a.test"))
            .await
            .unwrap()
    );
    assert!(store.add_domain(blog.id, &parse("a.test")).await.unwrap());
    store.destroy_app(shop.id).await.unwrap();
    assert!(store.add_domain(blog.id, &parse("b.test")).await.unwrap());
}

#[tokio::test]
async fn scale_keeps_the_types_it_is_not_told_about() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    let scale = |pairs: &[(&str, u16)]| {
        Scale(
            pairs
                .iter()
                .map(|(name, quantity)| (parse(name), *quantity))
                .collect(),
        )
    };
    assert_eq!(store.scale(shop.id).await.unwrap(), Scale::default());
    store
        .set_scale(shop.id, &scale(&[("web", 2), ("worker", u16::MAX)]))
        .await
        .unwrap();
    store
        .set_scale(shop.id, &scale(&[("web", 0)]))
        .await
        .unwrap();
    let expected = scale(&[("web", 0), ("worker", u16::MAX)]);
    assert_eq!(store.scale(shop.id).await.unwrap(), expected);
}
