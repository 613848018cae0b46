//! What a table chooses, and that its shortcuts do not show.

use super::{Chosen, PathRoute, RouteTable, Target, Unrouted};
use crate::redirect::{Redirect, RedirectStatus};
use crate::service::{Service, Upstream};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn upstream(id: &str, port: u16) -> Upstream {
    Upstream {
        id: id.into(),
        address: ([127, 0, 0, 1], port).into(),
    }
}

/// A service with one upstream of its own name.
fn service(name: &str) -> Arc<Service> {
    Arc::new(Service::serving(name, [upstream(name, 1000)]))
}

/// Each address, a host with or without a path, leads to a service of the same name.
fn table(addresses: &[&str]) -> RouteTable {
    let mut table = RouteTable::default();
    for address in addresses {
        insert(&mut table, address, service(address).into());
    }
    table
}

fn insert(table: &mut RouteTable, address: &str, target: Target) {
    match address.find('/') {
        None => table.insert_target(pattern(address), target),
        Some(at) => {
            let route = PathRoute {
                prefix: address[at..].parse().unwrap(),
                is_stripped: false,
                target,
            };
            table.insert_path(pattern(&address[..at]), route);
        }
    }
}

fn pattern(text: &str) -> super::HostPattern {
    text.parse().unwrap()
}

fn chosen<'a>(table: &'a RouteTable, host: &str, path: &str) -> Result<&'a str, Unrouted> {
    table.choose(host, path).map(|chosen| chosen.target.name())
}

#[test]
fn a_host_is_chosen_exactly() {
    let table = table(&["shop.localhost", "blog.localhost"]);
    let check =
        |header: &str, expected| assert_eq!(chosen(&table, header, "/x"), expected, "{header:?}");
    check("shop.localhost", Ok("shop.localhost"));
    check("SHOP.LOCALHOST.:8080", Ok("shop.localhost"));
    check("blog.localhost", Ok("blog.localhost"));
    check("localhost", Err(Unrouted::Unknown));
    check("x.shop.localhost", Err(Unrouted::Unknown));
    check("", Err(Unrouted::Malformed));
}

#[test]
fn a_wildcard_is_for_one_label_and_an_exact_name_goes_before_it() {
    let table = table(&["*.shop.test", "www.shop.test", "*.test"]);
    let check = |host: &str, expected| assert_eq!(chosen(&table, host, "/"), expected, "{host:?}");
    check("a.shop.test", Ok("*.shop.test"));
    check("A.Shop.Test.:80", Ok("*.shop.test"));
    check("www.shop.test", Ok("www.shop.test"));
    check("shop.test", Ok("*.test"));
    check("a.b.shop.test", Err(Unrouted::Unknown));
    check("test", Err(Unrouted::Unknown));
    check(".shop.test", Err(Unrouted::Unknown));
    check("*.shop.test", Ok("*.shop.test"));
}

#[test]
fn the_longest_path_is_chosen_and_the_rest_goes_on_as_it_was() {
    let table = table(&[
        "a.test",
        "a.test/api",
        "a.test/api/v2",
        "b.test/x",
        "*.test",
        "*.test/y",
    ]);
    let check = |host: &str, path: &str, expected| {
        assert_eq!(chosen(&table, host, path), expected, "{host}{path}");
    };
    check("a.test", "/", Ok("a.test"));
    check("a.test", "/apis", Ok("a.test"));
    check("a.test", "/api", Ok("a.test/api"));
    check("a.test", "/api/v1", Ok("a.test/api"));
    check("a.test", "/api/v2/x", Ok("a.test/api/v2"));
    check("a.test", "/y", Ok("a.test"));
    check("a.test", "*", Ok("a.test"));
    // What the exact name leaves open is the wildcard's.
    check("b.test", "/x", Ok("b.test/x"));
    check("b.test", "/y", Ok("*.test/y"));
    check("b.test", "/z", Ok("*.test"));
    check("c.test", "/y/z", Ok("*.test/y"));
}

#[test]
fn a_path_that_leads_to_two_places_is_refused() {
    let table = table(&["a.test", "a.test/api", "b.test"]);
    for path in ["/api/../x", "/x/../api", "/api%2fx", "//api", "/api;a/x"] {
        assert_eq!(
            chosen(&table, "a.test", path),
            Err(Unrouted::Ambiguous),
            "{path}"
        );
        assert_eq!(chosen(&table, "b.test", path), Ok("b.test"), "{path}");
    }
    assert_eq!(chosen(&table, "a.test", "/x/../y"), Ok("a.test"));
    assert_eq!(chosen(&table, "a.test", "/%61pi/a%2Fb"), Ok("a.test/api"));
}

#[test]
fn tables_are_compared_by_value_and_later_inserts_win() {
    assert_eq!(table(&["a", "b/c"]), table(&["b/c", "a"]));
    assert_ne!(table(&["a"]), table(&["a", "a/b"]));
    let mut table = table(&["a", "a/b"]);
    table.insert(pattern("A"), Arc::new(Service::serving("new", [])));
    insert(
        &mut table,
        "a/b/",
        Arc::new(Service::serving("path", [])).into(),
    );
    assert_eq!(chosen(&table, "a", "/"), Ok("new"));
    assert_eq!(chosen(&table, "a", "/b"), Ok("path"));
    assert_eq!(table.len(), 1);
    assert!(table.upstream_ids().is_empty());
    assert!(table.remove(&pattern("a")).is_some());
    assert!(table.is_empty() && table == RouteTable::default());
}

#[test]
fn a_redirect_is_a_target_without_upstreams() {
    let mut table = RouteTable::default();
    let redirect = Arc::new(Redirect {
        name: "shop".to_owned(),
        status: RedirectStatus::Permanent,
        to: "shop.test".parse().unwrap(),
        hsts: None,
        policy: Arc::default(),
    });
    insert(&mut table, "www.shop.test", redirect.clone().into());
    let Ok(Chosen { target, path }) = table.choose("www.shop.test", "/") else {
        panic!("nothing was chosen");
    };
    assert_eq!((target, path), (&Target::Redirect(redirect), None));
    assert!(table.upstream_ids().is_empty());
}

/// Addresses of few hosts and paths, so that they meet.
fn address() -> impl Strategy<Value = String> {
    let host = "(\\*\\.)?[ab](\\.[ab])?";
    prop_oneof![
        host,
        (host, "(/[ab]){1,2}").prop_map(|(host, path)| host + &path)
    ]
}

/// The rule, said in the plainest way: of all addresses that fit, the exact before the wildcard, then the longest.
fn expected<'a>(addresses: &'a BTreeSet<String>, host: &str, path: &str) -> Option<&'a String> {
    let fits = |address: &&String| {
        let (pattern, prefix) = address.split_once('/').unwrap_or((address, ""));
        let fits_host = match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => host == pattern,
        };
        fits_host && (prefix.is_empty() || format!("{path}/").starts_with(&format!("/{prefix}/")))
    };
    let rank = |address: &&String| (!address.starts_with('*'), address.len());
    addresses.iter().filter(fits).max_by_key(rank)
}

proptest! {
    #[test]
    fn a_table_chooses_by_the_rule_and_forgets_what_is_removed(
        addresses in proptest::collection::btree_set(address(), 0..12),
        removed in proptest::collection::btree_set("(\\*\\.)?[ab](\\.[ab])?", 0..3),
        host in "[ab](\\.[ab]){0,2}",
        path in "(/[abc]){1,3}",
    ) {
        let mut table = RouteTable::default();
        for address in &addresses {
            insert(&mut table, address, service(address).into());
        }
        let mut left = addresses;
        for host in &removed {
            table.remove(&pattern(host));
            left.retain(|address| address.split('/').next() != Some(host));
        }
        prop_assert_eq!(chosen(&table, &host, &path).ok(), expected(&left, &host, &path).map(String::as_str));
        let ids: BTreeSet<&str> = left.iter().map(String::as_str).collect();
        prop_assert_eq!(table.upstream_ids(), ids);
    }

    #[test]
    fn a_table_that_shares_with_another_is_what_it_was(
        old in proptest::collection::btree_map(address(), 0..3u16, 0..12),
        new in proptest::collection::btree_map(address(), 0..3u16, 0..12),
    ) {
        let build = |routes: &BTreeMap<String, u16>| {
            let mut table = RouteTable::default();
            for (address, version) in routes {
                let id = format!("{address} {version}");
                let service = Service::serving(address.as_str(), [upstream(&id, *version)]);
                insert(&mut table, address, Arc::new(service).into());
            }
            table
        };
        let (before, mut after) = (build(&old), build(&new));
        prop_assert_eq!(after.share_with(&before), old == new);
        prop_assert_eq!(&after, &build(&new));
        // Each host that differs is told, and what is told differs.
        let told: BTreeSet<String> = after.changed_since(&before).map(|(_, _, routes)| format!("{routes:?}")).collect();
        for (host, routes) in before.iter() {
            let now = after.iter().find(|(other, _)| *other == host).map(|(_, routes)| routes);
            prop_assert_eq!(told.contains(&format!("{routes:?}")), now != Some(routes));
        }
        let left: Vec<&str> = before.upstream_ids().into_iter().filter(|id| !after.upstream_ids().contains(id)).collect();
        let mut found: Vec<&str> = after.references().upstreams_gone_since(before.references()).map(|(id, _)| id.as_ref()).collect();
        found.sort();
        prop_assert_eq!(found, left);
        prop_assert!(before == build(&old));
    }
}
