use std::collections::BTreeMap;
use std::time::Duration;

use mini_proxy::Certificate;

use super::*;
use crate::model::{App, Automatic, Domain};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn app(id: i64, name: &str) -> App {
    App {
        id: AppId(id),
        name: name.parse().unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        deploy_branch: None,
        is_stopped: false,
        current: None,
    }
}

fn domain(app: i64, name: &str) -> Domain {
    Domain {
        app: AppId(app),
        name: name.parse().unwrap(),
    }
}

fn kept(app: impl Into<Option<i64>>, origin: CertificateOrigin, names: &[&str]) -> Kept {
    let made = Certificate::self_signed(names, SystemTime::now(), DAY * 90).unwrap();
    Kept {
        app: app.into().map(AppId),
        id: CertificateId(1),
        origin,
        certificate: Arc::new(made.certificate),
    }
}

fn look(kept: Vec<Kept>) -> Look {
    look_at(kept, desired(), false)
}

fn desired() -> Desired {
    Desired {
        apps: vec![app(1, "shop"), app(2, "blog")].into(),
        domains: vec![
            domain(1, "shop.test"),
            domain(1, "www.shop.test"),
            domain(2, "*.shop.test"),
            domain(2, "blog.test"),
        ]
        .into(),
        ..Desired::default()
    }
}

fn look_at(kept: Vec<Kept>, desired: Desired, has_wildcards: bool) -> Look {
    let rules = Rules {
        stop_grace: DAY,
        drain: DAY,
        limits: crate::engine::Limits {
            memory_bytes: None,
            pids: 1024,
        },
        restart_limit: 10,
        base_domains: vec!["localhost".parse().unwrap(), "apps.test".parse().unwrap()],
        https_port: Some(443),
        has_wildcards,
        standard: Default::default(),
    };
    Look {
        wanted: wanted(&desired, &rules),
        kept,
        book: OrderBook::default(),
    }
}

#[test]
fn every_name_an_authority_can_certify_is_wanted_once() {
    let world = look(Vec::new()).world();
    let wanted: Vec<&str> = world.wanted.iter().map(CertName::as_str).collect();
    assert_eq!(
        wanted,
        [
            "shop.test",
            "www.shop.test",
            "shop.apps.test",
            "*.shop.test",
            "blog.test",
            "blog.apps.test"
        ]
    );
}

#[test]
fn a_name_below_another_app_s_wildcard_gets_its_own() {
    let world = look(Vec::new()).world();
    let alone: Vec<&str> = world.alone.iter().map(CertName::as_str).collect();
    assert_eq!(alone, ["www.shop.test"]);
}

#[test]
fn a_certificate_counts_for_names_of_its_own_app_and_a_self_signed_one_for_none() {
    let world = look(vec![
        kept(1, CertificateOrigin::Custom, &["*.test", "blog.apps.test"]),
        kept(2, CertificateOrigin::SelfSigned, &["blog.test"]),
        kept(2, CertificateOrigin::Acme, &["gone.test"]),
    ])
    .world();
    let held: Vec<(Vec<&str>, bool)> = world
        .held
        .iter()
        .map(|held| {
            let names = held.names.iter().map(CertName::as_str).collect();
            (names, held.origin == Origin::Given)
        })
        .collect();
    assert_eq!(
        held,
        [(vec!["shop.test"], true), (vec!["gone.test"], false)]
    );
}

#[test]
fn failures_of_names_that_nobody_wants_are_forgotten() {
    let failed = |name: &str| FailedOrder {
        name: name.to_owned(),
        failures: 3,
        reason: String::new(),
        failed_at: Timestamp::UNIX_EPOCH,
        next_try: Timestamp::UNIX_EPOCH,
    };
    let mut look = look(Vec::new());
    look.book.failed = vec![failed("shop.test"), failed("gone.test")];
    assert_eq!(look.unwanted(), ["gone.test"]);
    let world = look.world();
    assert_eq!(world.tries.len(), 1);
    assert_eq!(world.tries[&"shop.test".parse().unwrap()].failures, 3);
}

fn names(world: &World) -> Vec<&str> {
    world.wanted.iter().map(CertName::as_str).collect()
}

#[test]
fn one_wildcard_of_the_server_stands_for_the_names_in_front_of_a_base_domain() {
    let acme = CertificateOrigin::Acme;
    let world = look_at(vec![kept(None, acme, &["*.apps.test"])], desired(), true).world();
    assert_eq!(names(&world)[0], "*.apps.test", "{:?}", world.wanted);
    let shared: Vec<&str> = world.shared.iter().map(CertName::as_str).collect();
    assert_eq!(shared, ["*.apps.test"], "nobody can have *.localhost");
    let covered: Vec<&str> = world.held[0].names.iter().map(CertName::as_str).collect();
    assert_eq!(covered, ["*.apps.test", "shop.apps.test", "blog.apps.test"]);
    assert_eq!(world.alone.len(), 1, "{:?}", world.alone);

    // Nothing is below it, or it cannot be had.
    let mut hidden = desired();
    hidden.exposures =
        BTreeMap::from([(AppId(1), (true, false)), (AppId(2), (false, true))]).into();
    let world = look_at(Vec::new(), hidden, true).world();
    assert_eq!(names(&world), ["shop.test", "www.shop.test"]);
    assert!(look(Vec::new()).world().shared.is_empty());

    // An app's own domain, which the server's certificate covers.
    let mut own = desired();
    own.domains.push(domain(2, "*.apps.test"));
    let world = look_at(Vec::new(), own, true).world();
    let count = names(&world)
        .iter()
        .filter(|name| **name == "*.apps.test")
        .count();
    assert_eq!((count, world.alone.len()), (1, 1), "{:?}", world.wanted);
}

#[test]
fn nothing_is_ordered_for_an_app_it_was_turned_off_for() {
    let off = |is_default_on, apps: &[(i64, bool)]| {
        let mut desired = desired();
        desired.automatic = Automatic {
            is_default_on,
            apps: apps
                .iter()
                .map(|(app, is_on)| (AppId(*app), *is_on))
                .collect(),
        }
        .into();
        look_at(Vec::new(), desired, true).world()
    };
    assert_eq!(
        names(&off(true, &[(2, false)])),
        [
            "*.apps.test",
            "shop.test",
            "www.shop.test",
            "shop.apps.test"
        ]
    );
    assert_eq!(
        names(&off(false, &[(2, true)])),
        ["*.apps.test", "*.shop.test", "blog.test", "blog.apps.test"]
    );
    assert!(off(false, &[]).wanted.is_empty());
}
