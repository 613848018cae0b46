//! Where ports of apps lead.

use super::*;
use crate::model::{Address, AppPort, AppRedirect, Route, StandardPorts};
use mini_proxy::Protocol;

fn port(app: i64, mapping: &str) -> AppPort {
    AppPort {
        app: AppId(app),
        mapping: mapping.parse().unwrap(),
    }
}

fn table(world: &Desired) -> RouteTable {
    let observed = Observed {
        ready: ["shop-web", "shop-api", "blog-web"]
            .map(|id| ProcessId(id.to_owned()))
            .into(),
        ..seen(vec![
            process("shop-web", "shop", 1, "web", 1),
            process("shop-api", "shop", 1, "api", 1),
            process("blog-web", "blog", 1, "web", 1),
        ])
    };
    let rules = Rules {
        standard: StandardPorts {
            http: vec!["0.0.0.0:80".parse().unwrap()],
            https: vec!["0.0.0.0:443".parse().unwrap()],
        },
        ..rules()
    };
    super::table(world, &observed, &rules, at(10))
}

/// A shop with an API below `/api`, and a blog.
fn world() -> Desired {
    let mut world = desired(
        vec![app(1, "shop"), app(2, "blog")],
        vec![
            release(1, 1, ReleaseStatus::Current, &["web", "api"]),
            release(2, 1, ReleaseStatus::Current, &["web"]),
        ],
    );
    let api = Scale(BTreeMap::from([(process_type("api"), 1)]));
    *world.scales = vec![(AppId(1), api)];
    *world.routes = vec![Route {
        app: AppId(1),
        address: "/api".parse::<Address>().unwrap(),
        to: AppId(1),
        process_type: process_type("api"),
        is_stripped: false,
    }];
    world
}

#[track_caller]
fn check(table: &RouteTable, port: u16, host: &str, path: &str, expected: &str) {
    let found = match table.choose_at(port, host, path) {
        Ok(chosen) => match chosen.service() {
            Some(service) => service
                .upstreams
                .iter()
                .map(|upstream| format!("{}:{}", upstream.id, upstream.address.port()))
                .collect::<Vec<_>>()
                .join(" "),
            None => "elsewhere".to_owned(),
        },
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(found, expected, "{host}{path} at {port}");
}

#[test]
fn the_port_of_the_release_is_the_same_house_and_another_one_its_own() {
    let mut world = world();
    *world.ports = vec![
        port(1, "http:80:5000"),
        port(1, "http:8080:5000"),
        port(1, "https:8443:9090"),
    ];
    *world.redirects = vec![AppRedirect {
        app: AppId(1),
        address: "/old".parse().unwrap(),
        to: "https://example.com/".parse().unwrap(),
        code: 301,
    }];
    let all = table(&world);
    let ports: Vec<u16> = all.ports().map(|(port, _)| port).collect();
    assert_eq!(ports, [8080, 8443], "80 is the server's own");
    check(&all, 8080, "shop.localhost:8080", "/", "shop-web:5000");
    check(&all, 8080, "shop.localhost:8080", "/api/x", "shop-api:5000");
    check(&all, 8080, "shop.localhost:8080", "/old", "elsewhere");
    check(&all, 8080, "192.0.2.1:8080", "/", "shop-web:5000");
    for path in ["/", "/api/x", "/old"] {
        check(&all, 8443, "shop.localhost", path, "shop-web:9090");
        check(&all, 8443, "192.0.2.1", path, "shop-web:9090");
    }
    for port in [8080, 8443] {
        check(&all, port, "blog.localhost", "/", "Unknown");
    }
    world.exposures.insert(AppId(1), (false, true));
    assert_eq!(table(&world).ports().count(), 0, "nobody is to reach it");
}

#[test]
fn apps_that_share_a_port_are_told_apart_by_host() {
    let mut world = world();
    *world.ports = vec![port(1, "http:8080:5000"), port(2, "http:8080:7000")];
    let all = table(&world);
    check(&all, 8080, "shop.localhost", "/", "shop-web:5000");
    check(&all, 8080, "blog.localhost", "/", "blog-web:7000");
    check(&all, 8080, "192.0.2.1", "/", "Unknown");
    // A name in front of a base domain may be the domain of another.
    *world.domains = vec![Domain {
        app: AppId(2),
        name: "shop.localhost".parse().unwrap(),
    }];
    check(&table(&world), 8080, "shop.localhost", "/", "blog-web:7000");
    *world.ports = vec![port(1, "http:8080:5000"), port(1, "http:9090:1")];
    let all = table(&world);
    for port in [8080, 9090] {
        check(&all, port, "shop.localhost", "/", "Unknown");
        check(
            &all,
            port,
            "192.0.2.1",
            "/",
            if port == 8080 {
                "shop-web:5000"
            } else {
                "shop-web:1"
            },
        );
    }
}

#[test]
fn a_port_of_an_app_without_a_release_says_so() {
    let mut world = desired(vec![app(1, "shop")], vec![]);
    *world.ports = vec![port(1, "http:8080:9090")];
    let all = table(&world);
    let chosen = all.choose_at(8080, "shop.localhost", "/").unwrap();
    let state = chosen.service().unwrap().state;
    assert_eq!(state, mini_proxy::ServiceState::NotDeployed);
}

#[test]
fn the_scheme_of_a_port_says_nothing_of_how_processes_are_spoken_to() {
    let mut world = world();
    *world.ports = vec![
        port(1, "http:8080:5000"),
        port(1, "https:8443:5000"),
        port(1, "https:9443:9090"),
    ];
    for (word, expected) in [
        ("auto", Protocol::ByRequest),
        ("http1", Protocol::Http1),
        ("h2c", Protocol::H2c),
    ] {
        let mut decided = AppProxy::default();
        decided.options.set("upstream-protocol", word).unwrap();
        *world.proxy = [(AppId(1), decided)].into();
        let all = table(&world);
        for port in [8080, 8443, 9443] {
            let chosen = all.choose_at(port, "shop.localhost", "/").unwrap();
            let protocol = chosen.service().map(|service| service.protocol);
            assert_eq!(protocol, Some(expected), "{word} at {port}");
        }
        let chosen = all.choose("shop.localhost", "/").unwrap();
        let protocol = chosen.service().map(|service| service.protocol);
        assert_eq!(protocol, Some(expected), "{word}");
    }
}
