//! Ports of the host that lead to apps.

use super::{Fixture, parse};
use crate::model::PortMapping;
use crate::store::StoreError;

fn mappings(list: &[&str]) -> Vec<PortMapping> {
    list.iter().map(|text| parse(text)).collect()
}

#[tokio::test]
async fn ports_are_set_as_a_whole_by_who_knows_what_was_there() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await.id;
    let first = mappings(&["http:8080:5000", "https:8443:5000"]);
    assert!(fixture.store.set_ports(shop, &[], &first).await.unwrap());
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(store.ports(shop).await.unwrap(), first);
    let second = mappings(&["http:9090:5001"]);
    assert!(!store.set_ports(shop, &second, &second).await.unwrap());
    assert_eq!(store.ports(shop).await.unwrap(), first);
    assert!(store.set_ports(shop, &first, &second).await.unwrap());
    assert_eq!(store.ports(shop).await.unwrap(), second);
    let desired = store.desired().await.unwrap();
    assert_eq!(desired.ports[0].app, shop);
    assert_eq!(desired.ports[0].mapping, second[0]);
}

#[tokio::test]
async fn a_port_speaks_one_scheme_and_goes_with_its_app() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await.id, fixture.app("blog").await.id);
    let store = &fixture.store;
    let shared = mappings(&["http:8080:5000"]);
    store.set_ports(shop, &[], &shared).await.unwrap();
    assert!(store.set_ports(blog, &[], &shared).await.unwrap());
    let other = mappings(&["http:9090:5000", "https:8080:5000"]);
    let refused = store.set_ports(blog, &shared, &other).await;
    assert!(
        matches!(&refused, Err(StoreError::Taken { name, by: Some(by) })
            if name == "8080" && by.as_str() == "shop"),
        "{refused:?}"
    );
    assert_eq!(store.ports(blog).await.unwrap(), shared);
    store.rename_app(blog, &parse("news")).await.unwrap();
    assert_eq!(store.ports(blog).await.unwrap(), shared);
    store.destroy_app(shop).await.unwrap();
    assert!(store.set_ports(blog, &shared, &other).await.unwrap());
    store.destroy_app(blog).await.unwrap();
    assert!(store.desired().await.unwrap().ports.is_empty());
}
