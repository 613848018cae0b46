//! Domains of the server, switches, routes and redirects.

use super::{Fixture, parse};
use crate::model::{Address, AppId, AppRedirect, DomainName, Exposure, ProcessType, Route};
use crate::store::StoreError;

fn names(list: &[&str]) -> Vec<DomainName> {
    list.iter().map(|name| parse(name)).collect()
}

fn route(app: AppId, address: &str, to: AppId, process_type: &str) -> Route {
    Route {
        app,
        address: parse(address),
        to,
        process_type: parse(process_type),
        is_stripped: true,
    }
}

fn redirect(app: AppId, source: &str, to: &str, code: u16) -> AppRedirect {
    AppRedirect {
        app,
        address: parse(source),
        to: parse(to),
        code,
    }
}

#[tokio::test]
async fn an_exposure_is_what_was_said_last() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await.id;
    let store = &fixture.store;
    assert_eq!(store.exposure(shop).await.unwrap(), Exposure::default());
    store.add_domain(shop, &parse("a.test")).await.unwrap();
    assert!(store.add_global_domain(&parse("apps.test")).await.unwrap());
    assert!(!store.add_global_domain(&parse("apps.test")).await.unwrap());
    store.set_public(shop, false).await.unwrap();
    let names_now = names(&["*.b.test", "b.test"]);
    store.set_domains(shop, &names_now).await.unwrap();
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    let expected = Exposure {
        own: names_now,
        global: names(&["apps.test"]),
        is_public: false,
        has_global: false,
    };
    assert_eq!(store.exposure(shop).await.unwrap(), expected);
    store.clear_domains(shop, true).await.unwrap();
    store.set_public(shop, true).await.unwrap();
    store.set_global_domains(&[]).await.unwrap();
    assert_eq!(store.exposure(shop).await.unwrap(), Exposure::default());
    assert!(
        !store
            .remove_global_domain(&parse("apps.test"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn setting_domains_is_whole_or_not_at_all() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await.id, fixture.app("blog").await.id);
    let store = &fixture.store;
    store.add_domain(shop, &parse("old.test")).await.unwrap();
    store.add_domain(blog, &parse("blog.test")).await.unwrap();
    let refused = store
        .set_domains(shop, &names(&["new.test", "blog.test"]))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Taken { name, by: Some(by) })
        if name == "blog.test" && by.as_str() == "blog")
    );
    assert_eq!(store.domains(shop).await.unwrap(), names(&["old.test"]));
    assert!(store.exposure(shop).await.unwrap().has_global);
}

#[tokio::test]
async fn routes_are_kept_by_address_and_go_with_either_app() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await.id, fixture.app("blog").await.id);
    let store = &fixture.store;
    let (first, second) = (
        route(shop, "/api", blog, "api"),
        route(shop, "/api", shop, "api"),
    );
    assert_eq!(store.set_route(&first).await.unwrap(), None);
    assert_eq!(store.set_route(&second).await.unwrap(), Some(first));
    let to_blog = route(shop, "*.shop.test/x", blog, "web");
    store.set_route(&to_blog).await.unwrap();
    let routes = store.routes(shop).await.unwrap();
    assert_eq!(routes, [second.clone(), to_blog]);
    assert_eq!(
        store.routed_types(shop).await.unwrap(),
        [parse::<ProcessType>("api")]
    );
    assert_eq!(store.desired().await.unwrap().routes.len(), 2);
    store.destroy_app(blog).await.unwrap();
    assert_eq!(
        store.routes(shop).await.unwrap(),
        std::slice::from_ref(&second)
    );
    let address: Address = parse("/api");
    assert_eq!(
        store.remove_route(shop, &address).await.unwrap(),
        Some(second)
    );
    assert_eq!(store.remove_route(shop, &address).await.unwrap(), None);
}

#[tokio::test]
async fn a_redirected_domain_belongs_to_one_app() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await.id, fixture.app("blog").await.id);
    let store = &fixture.store;
    let old = redirect(shop, "www.shop.test", "shop.test", 301);
    let new = redirect(shop, "www.shop.test", "https://shop.test/new/*", 308);
    store.set_redirect(&old).await.unwrap();
    store.set_redirect(&new).await.unwrap();
    let kept = store.redirects(shop).await.unwrap();
    assert_eq!(kept, std::slice::from_ref(&new));
    let taken = store.add_domain(blog, &parse("www.shop.test")).await;
    assert!(matches!(taken, Err(StoreError::Taken { by: Some(by), .. }) if by.as_str() == "shop"));
    let taken = store
        .set_redirect(&redirect(blog, "www.shop.test/x", "/y", 302))
        .await;
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    // Each app has paths of its own.
    store
        .set_redirect(&redirect(blog, "/x", "/y", 302))
        .await
        .unwrap();
    store
        .set_redirect(&redirect(shop, "/x", "/z", 302))
        .await
        .unwrap();
    assert_eq!(store.desired().await.unwrap().redirects.len(), 3);
    assert!(store.remove_redirect(shop, &new.address).await.unwrap());
    assert!(!store.remove_redirect(shop, &new.address).await.unwrap());
    assert!(
        store
            .add_domain(blog, &parse("www.shop.test"))
            .await
            .unwrap()
    );
}
