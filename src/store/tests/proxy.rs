//! What is decided about the requests of an app: it survives a start, belongs to its app and goes with it.

use super::*;
use crate::model::{HttpAuth, Maintenance, Network, PageName, UserName};

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn maintenance_begins_once_may_change_and_ends() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let begun = Maintenance {
        since: at(5),
        retry_after: Duration::from_secs(600),
        allow: networks(&["192.0.2.0/24", "2001:db8::1"]),
    };
    let set = async |store: &Store, maintenance: Option<Maintenance>| {
        store.set_maintenance(shop.id, maintenance).await.unwrap()
    };
    assert!(!set(&fixture.store, None).await);
    assert!(set(&fixture.store, Some(begun.clone())).await);
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(
        store.maintenance(shop.id).await.unwrap(),
        Some(begun.clone())
    );
    let changed = Maintenance {
        since: at(9),
        allow: Vec::new(),
        ..begun.clone()
    };
    set(store, Some(changed)).await;
    let expected = Maintenance {
        allow: Vec::new(),
        ..begun
    };
    assert_eq!(
        store.maintenance(shop.id).await.unwrap(),
        Some(expected.clone())
    );
    let desired = store.desired().await.unwrap();
    assert_eq!(desired.proxy[&shop.id].maintenance, Some(expected));
    assert!(set(store, None).await);
    assert_eq!(store.maintenance(shop.id).await.unwrap(), None);
}

#[tokio::test]
async fn users_are_kept_while_their_app_does_not_ask_for_them() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let store = &fixture.store;
    let (me, you): (UserName, UserName) = (parse("me"), parse("you"));
    for (user, hash) in [(&me, "one"), (&you, "two"), (&me, "three")] {
        let hash = Secret::new(hash);
        store.add_http_auth_user(shop.id, user, hash).await.unwrap();
    }
    assert_eq!(store.desired().await.unwrap().proxy, BTreeMap::new());
    assert!(store.set_http_auth(shop.id, true).await.unwrap());
    assert!(!store.set_http_auth(shop.id, true).await.unwrap());
    assert!(store.remove_http_auth_user(shop.id, &you).await.unwrap());
    assert!(!store.remove_http_auth_user(shop.id, &you).await.unwrap());
    let expected = HttpAuth {
        is_on: true,
        users: BTreeMap::from([(me, Secret::new("three"))]),
    };
    assert_eq!(store.http_auth(shop.id).await.unwrap(), expected);
    let desired = store.desired().await.unwrap();
    assert_eq!(desired.proxy[&shop.id].auth, expected);
    assert!(store.set_http_auth(shop.id, false).await.unwrap());
    assert_eq!(store.desired().await.unwrap().proxy, BTreeMap::new());
}

#[tokio::test]
async fn a_page_that_is_replaced_is_seen_at_once() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    let store = &fixture.store;
    let name = PageName::Status(502);
    let set = async |app, name, html: Option<&str>| {
        let html = html.map(str::to_owned);
        store.set_proxy_page(app, name, html).await.unwrap()
    };
    let seen = async || {
        let desired = store.desired().await.unwrap();
        let mut found = Vec::new();
        for (app, decided) in &desired.proxy {
            for (name, html) in &decided.pages {
                found.push(format!("{} {name} {html}", app.0));
            }
        }
        found
    };
    assert!(set(shop.id, name, Some("one")).await);
    assert!(set(blog.id, PageName::Maintenance, Some("later")).await);
    assert_eq!(seen().await, ["1 502 one", "2 maintenance later"]);
    assert!(set(shop.id, name, Some("zwei")).await);
    assert_eq!(seen().await, ["1 502 zwei", "2 maintenance later"]);
    let sizes = store.proxy_pages(shop.id).await.unwrap();
    assert_eq!(sizes, BTreeMap::from([(name, 4)]));
    assert!(set(shop.id, name, None).await);
    assert!(!set(shop.id, name, None).await);
    store.destroy_app(blog.id).await.unwrap();
    assert_eq!(seen().await, [""; 0]);
}

#[tokio::test]
async fn nothing_is_decided_about_an_app_that_is_gone() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let shop = fixture.app("shop").await;
    store.destroy_app(shop.id).await.unwrap();
    let maintenance = Maintenance {
        since: at(1),
        retry_after: Duration::from_secs(1),
        allow: Vec::new(),
    };
    let hash = Secret::new("x");
    let name = PageName::Maintenance;
    let html = Some("x".to_owned());
    let refused = [
        store
            .set_maintenance(shop.id, Some(maintenance))
            .await
            .map(drop),
        store.set_http_auth(shop.id, true).await.map(drop),
        store.add_http_auth_user(shop.id, &parse("me"), hash).await,
        store.set_proxy_page(shop.id, name, html).await.map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
}
