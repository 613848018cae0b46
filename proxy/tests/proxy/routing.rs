//! Which app gets a request, what it sees of the path, and redirects.

use crate::world::{App, GET, Reply, World, header, patiently, settings};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use mini_proxy::{PathRoute, Policy, Redirect, RedirectStatus, RouteTable, Service, Target};
use std::sync::Arc;

/// An app that answers with its name, the target it was asked for and the prefix it was told.
async fn telling(name: &'static str) -> App {
    App::http(name, move |request| async move {
        let prefix = request.headers().get_all("x-forwarded-prefix").iter();
        let prefix: Vec<&str> = prefix.map(|value| value.to_str().unwrap()).collect();
        let text = format!("{name} {} {}", request.uri(), prefix.join("+"));
        Response::new(Full::<Bytes>::from(text))
    })
    .await
}

fn to(app: &App) -> Target {
    let name = app.upstream.id.as_ref();
    Target::Service(Arc::new(Service::serving(name, [app.upstream.clone()])))
}

fn redirect(status: RedirectStatus, to: &str) -> Target {
    Target::Redirect(Arc::new(Redirect {
        name: "shop".to_owned(),
        status,
        to: to.parse().unwrap(),
        hsts: None,
        policy: Arc::default(),
    }))
}

fn path(prefix: &str, is_stripped: bool, target: Target) -> PathRoute {
    PathRoute {
        prefix: prefix.parse().unwrap(),
        is_stripped,
        target,
    }
}

async fn get(world: &World, host: &str, target: &str) -> Reply {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Prefix: /forged\r\n\r\n");
    world.ask(&request).await
}

#[tokio::test]
async fn paths_of_a_host_go_to_different_apps_with_or_without_their_prefix() {
    let (shop, api, docs) = (
        telling("shop").await,
        telling("api").await,
        telling("docs").await,
    );
    let world = World::start(settings(1));
    let mut table = RouteTable::default();
    let host = || "a.test".parse().unwrap();
    table.insert_target(host(), to(&shop));
    table.insert_path(host(), path("/api", true, to(&api)));
    table.insert_path(host(), path("/api/docs", false, to(&docs)));
    world.handle.set_table(table);
    let check = async |target: &str, expected: &str| {
        assert_eq!(
            get(&world, "a.test", target).await.body,
            expected,
            "{target}"
        );
    };
    check("/", "shop / ").await;
    check("/apis?x=1", "shop /apis?x=1 ").await;
    check("/api", "api / /api").await;
    check("/api?x=1", "api /?x=1 /api").await;
    check("/%61pi/a%2Fb?x=/api", "api /a%2Fb?x=/api /api").await;
    check("/api//evil.test/x", "api /evil.test/x /api").await;
    check("http://a.test/api/x?y", "api /x?y /api").await;
    check("/api/docs/x", "docs /api/docs/x ").await;
    let refused = get(&world, "a.test", "/api/../x").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("path of this request is not clear"),
        "{refused:?}"
    );
    let options = world
        .ask("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await;
    assert_eq!(options.body, "shop * ");
}

#[tokio::test]
async fn a_wildcard_gets_what_no_exact_name_has() {
    let (shop, any) = (telling("shop").await, telling("any").await);
    let world = World::start(settings(1));
    let mut table = RouteTable::default();
    table.insert_target("www.a.test".parse().unwrap(), to(&shop));
    table.insert_target("*.a.test".parse().unwrap(), to(&any));
    world.handle.set_table(table);
    assert_eq!(get(&world, "www.a.test", "/").await.body, "shop / ");
    for host in ["x.a.test", "Y.A.TEST.:80", "x.a.test"] {
        assert_eq!(get(&world, host, "/").await.body, "any / ", "{host}");
    }
    assert_eq!(get(&world, "a.test", "/").await.status, 404);
    assert_eq!(get(&world, "x.y.a.test", "/").await.status, 404);
    assert_eq!(world.handle.counters().services["any"].requests(), 3);
}

#[tokio::test]
async fn a_redirect_names_the_new_address_and_is_counted() {
    let shop = telling("shop").await;
    let world = World::start(settings(1));
    let mut table = RouteTable::default();
    let canonical = redirect(RedirectStatus::Permanent, "a.test");
    table.insert_target("www.a.test".parse().unwrap(), canonical);
    table.insert_target("a.test".parse().unwrap(), to(&shop));
    let moved = redirect(RedirectStatus::Found, "https://b.test/new/*");
    table.insert_path("a.test".parse().unwrap(), path("/old", false, moved));
    world.handle.set_table(table);
    let check = async |host: &str, target: &str, status: u16, location: &str| {
        let reply = get(&world, host, target).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(header(&reply.head, "location"), Some(location));
        assert_eq!(reply.body, format!("This has moved to {location}\n"));
    };
    check("www.a.test", "/x?y=z", 308, "http://a.test/x?y=z").await;
    check("WWW.a.test:8080", "/", 308, "http://a.test:8080/").await;
    check("a.test", "/old/x?y", 302, "https://b.test/new/x?y").await;
    check("a.test", "/old", 302, "https://b.test/new/").await;
    let mut client = world.client().await;
    client
        .send("HEAD /x HTTP/1.1\r\nHost: www.a.test\r\nConnection: close\r\n\r\n")
        .await;
    let head = client.rest().await;
    assert!(head.starts_with("HTTP/1.1 308 "), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(get(&world, "a.test", "/older").await.body, "shop /older ");
    let counts = world.handle.counters().services["shop"];
    assert_eq!(counts.by_class, [0, 1, 5, 0, 0]);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_shows_the_page_of_the_app_that_has_the_host() {
    let (api, docs) = (telling("api").await, telling("docs").await);
    let page = |text: &str| {
        Arc::new(Policy {
            pages: [(404, Arc::from(text)), (400, Arc::from("not so"))].into(),
            ..Policy::default()
        })
    };
    let world = World::start(settings(1));
    let mut table = RouteTable::default();
    let served = Service {
        policy: page("<p>none of the api</p>"),
        ..Service::serving("api", [api.upstream.clone()])
    };
    let service = Target::Service(Arc::new(served));
    let route = |table: &mut RouteTable, host: &str, route| {
        table.insert_path(host.parse().unwrap(), route);
    };
    route(&mut table, "a.test", path("/api", false, service.clone()));
    route(&mut table, "a.test", path("/docs", false, to(&docs)));
    // The path is of another app, the host and the redirect are the shop's.
    route(&mut table, "b.test", path("/api", false, service));
    let Target::Redirect(plain) = redirect(RedirectStatus::Found, "/new") else {
        unreachable!();
    };
    let own = Redirect {
        policy: page("<p>none of the shop</p>"),
        ..Redirect::clone(&plain)
    };
    route(
        &mut table,
        "b.test",
        path("/old", false, Target::Redirect(Arc::new(own))),
    );
    world.handle.set_table(table);
    let check = async |host: &str, path: &str, status: u16, body: &str| {
        let reply = get(&world, host, path).await;
        assert_eq!((reply.status, &*reply.body), (status, body), "{host}{path}");
    };
    check("a.test", "/nowhere", 404, "<p>none of the api</p>").await;
    check("b.test", "/nowhere", 404, "<p>none of the shop</p>").await;
    check("a.test", "/docs/../api", 400, "not so").await;
    let reply = get(&world, "c.test", "/nowhere").await;
    assert!(
        reply.body.contains("No app lives at this address"),
        "{reply:?}"
    );
    let json = "GET /x HTTP/1.1\r\nHost: b.test\r\nAccept: application/json\r\n\r\n";
    let reply = world.ask(json).await;
    assert!(
        reply.body.contains("Nothing lives at this path"),
        "{reply:?}"
    );
    assert!(reply.body.contains("\"app\":\"shop\""), "{reply:?}");
}

#[tokio::test]
async fn one_route_is_changed_and_the_others_do_not_notice() {
    let (one, two) = (App::named("one").await, App::named("two").await);
    let world = World::start(settings(1));
    let service = |app: &App| {
        let name = app.upstream.id.as_ref();
        Arc::new(Service::serving(name, [app.upstream.clone()]))
    };
    for (host, app) in [("app", &one), ("other.test", &two)] {
        world
            .handle
            .update(|table| table.insert(host.parse().unwrap(), service(app)));
    }
    assert_eq!(world.ask(GET).await.body, "one");
    assert_eq!(get(&world, "other.test", "/").await.body, "two");
    world.handle.update(|table| {
        table.remove(&"app".parse().unwrap());
    });
    assert_eq!(world.ask(GET).await.status, 404);
    patiently("the drain", world.handle.wait_drained("one")).await;
    assert_eq!(get(&world, "other.test", "/").await.body, "two");
    assert_eq!(two.connections(), 1, "its kept connection stays");
    let before = world.handle.table();
    world.handle.update(|_| {});
    assert!(Arc::ptr_eq(&before, &world.handle.table()));
    assert!(!world.handle.counters().services.contains_key("one"));

    // What two stands for has no name for a while.
    world.handle.remember(["two"]);
    let requests = |world: &World| {
        let counters = world.handle.counters();
        counters.services.get("two").map(|counts| counts.requests())
    };
    world.handle.update(|table| {
        table.remove(&"other.test".parse().unwrap());
    });
    patiently("the drain", world.handle.wait_drained("two")).await;
    assert_eq!(requests(&world), Some(2));
    world
        .handle
        .update(|table| table.insert("app".parse().unwrap(), service(&two)));
    assert_eq!(world.ask(GET).await.body, "two");
    assert_eq!(requests(&world), Some(3));
}
