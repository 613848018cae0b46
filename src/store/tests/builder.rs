//! How apps are built: what was set survives a start, belongs to its app and goes with it.

use super::*;
use crate::model::{BuildCache, Builder, BuilderSetting};

#[tokio::test]
async fn what_was_set_is_kept_for_its_app_until_it_goes() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let blog = fixture.app("blog").await;
    let store = &fixture.store;
    let set = async |setting, value: Option<&str>| {
        let value = value.map(str::to_owned);
        store.set_builder_setting(shop.id, setting, value).await
    };
    for value in ["web", "apps/web"] {
        set(BuilderSetting::BuildDir, Some(value)).await.unwrap();
    }
    set(BuilderSetting::Target, Some("x")).await.unwrap();
    set(BuilderSetting::Target, None).await.unwrap();
    for (name, value) in [("A", "1"), ("B", "2"), ("A", "3")] {
        let value = value.to_owned();
        store
            .set_build_argument(shop.id, parse(name), value)
            .await
            .unwrap();
    }
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    let builder = store.builder(shop.id).await.unwrap();
    let settings = [(BuilderSetting::BuildDir, "apps/web".to_owned())];
    assert_eq!(builder.settings, settings.into());
    let arguments = [(parse("A"), "3".to_owned()), (parse("B"), "2".to_owned())];
    assert_eq!(builder.arguments, arguments.into());
    assert_eq!(store.builder(blog.id).await.unwrap(), Builder::default());
    for expected in [1, 0] {
        let removed = store
            .remove_build_arguments(shop.id, Some(parse("A")))
            .await;
        assert_eq!(removed.unwrap(), expected);
    }
    let removed = store.remove_build_arguments(shop.id, None).await;
    assert_eq!(removed.unwrap(), 1);
    store.destroy_app(shop.id).await.unwrap();
    assert_eq!(store.builder(shop.id).await.unwrap(), Builder::default());
    let refused = store
        .set_builder_setting(shop.id, BuilderSetting::Target, Some("x".to_owned()))
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_purged_cache_is_cold_until_something_was_built_with_it() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let store = &fixture.store;
    let cache = async || store.builder(shop.id).await.unwrap().cache;
    let of = |generation, is_cold| BuildCache {
        generation,
        is_cold,
    };
    assert_eq!(cache().await, of(0, false));
    store.purge_build_cache(shop.id).await.unwrap();
    let first = cache().await;
    assert_eq!(first, of(1, true));
    store.warm_build_cache(shop.id, first).await.unwrap();
    assert_eq!(cache().await, of(1, false));
    store.purge_build_cache(shop.id).await.unwrap();
    // A build that began before the purge says nothing about what came after.
    store.warm_build_cache(shop.id, first).await.unwrap();
    assert_eq!(cache().await, of(2, true));
}
