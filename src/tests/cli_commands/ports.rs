//! `ports:*` as it is typed.

use std::net::{SocketAddr, TcpListener, TcpStream};

use mini::model::Trigger;

use crate::house::House;
use crate::house::next_said;

/// A port that nobody listens on. Below those that the system gives away by itself, so that none takes it meanwhile.
fn free_port() -> u16 {
    let mut bytes = [0; 2];
    let mut tries = 0;
    loop {
        getrandom::fill(&mut bytes).unwrap();
        let port = 20_000 + u16::from_ne_bytes(bytes) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
        tries += 1;
        assert!(tries < 1000, "all ports are taken");
    }
}

/// What was typed and came back, with these ports by other numbers, and this test's process by a name.
fn shown(house: &mut House, ports: &[(u16, &str)]) -> String {
    let mut text = house.transcript();
    for (port, shown) in ports {
        text = text.replace(&port.to_string(), shown);
    }
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let me = format!("{} (process {})", comm.trim(), std::process::id());
    text.replace(&me, "some program (process 812)")
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_opened_listed_shared_and_closed() {
    let mut house = House::new();
    // Lists are in the order of the ports.
    let mut ports = [free_port(), free_port()];
    ports.sort_unstable();
    let [one, two] = ports;
    let names = [(one, "10001"), (two, "10002")];
    for line in [
        "apps:create shop",
        "apps:create blog",
        "ports:list shop",
        "ports:list shop --format json",
        "ports:report shop",
        &format!("ports:add shop http:{one}:5000"),
        &format!("ports:add shop http:{one}:5000 https:{two}:5000 --format json"),
        "ports:list shop",
        "ports:list shop --format json",
        "ports:report shop",
        "ports:report shop --ports-map",
        "ports:report shop --format json",
        &format!("ports:add blog https:{one}:5000"),
        &format!("ports:add blog http:{one}:5000"),
        "urls shop",
        "urls shop --format json",
    ] {
        house.types(line).await;
    }
    insta::assert_snapshot!("ports_added", shown(&mut house, &names));
    assert!(is_open(one) && is_open(two));

    for line in [
        &format!("ports:remove shop http:{two}:5001"),
        &format!("ports:remove shop {two}"),
        &format!("ports:set shop https:{two}:7000"),
        "ports:report",
        "ports:clear shop",
        "ports:clear shop --format json",
    ] {
        house.types(line).await;
    }
    insta::assert_snapshot!("ports_removed", shown(&mut house, &names));
    assert!(!is_open(two), "nobody has it");
    assert!(is_open(one), "blog has it still");
    house.types("--force apps:destroy blog").await;
    house.json("ports:report shop --format json").await;
    assert!(!is_open(one), "it went with its app");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_that_cannot_be_are_refused_and_nothing_is_changed() {
    let mut house = House::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let (held_port, free) = (held.local_addr().unwrap().port(), free_port());
    for line in [
        "apps:create shop",
        "config:set shop PORT=4000",
        "ports:add shop",
        "ports:add shop 8080",
        "ports:add shop tcp:6697:6697",
        "ports:add shop http:0:5000",
        "ports:add nope http:9999:5000",
        "ports:add shop http:2222:5000",
        "ports:add shop https:80:5000",
        "ports:add shop http:8443:5000",
        "ports:add shop http:80:5000 https:443:5001",
        "ports:add shop http:80:5000",
        &format!("ports:add shop http:{free}:5000 http:{free}:5001"),
        &format!("ports:add shop http:{free}:5000 http:{held_port}:5000"),
        &format!("ports:add shop http:{held_port}:5000 --format json"),
        "ports:remove shop x",
        "ports:list shop",
    ] {
        house.types(line).await;
    }
    let names = [(held_port, "10001"), (free, "10002")];
    insta::assert_snapshot!("ports_refused", shown(&mut house, &names));
    assert!(!is_open(free));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_answered_by_the_app_asked_for_and_alone_by_its_only_one() {
    let mut house = House::new();
    let port = free_port();
    for app in ["shop", "blog", "news"] {
        house.types(&format!("apps:create {app}")).await;
    }
    let visit = async |house: &House, host: &str| {
        let answer = house.visit_at(port, host, "/", "me").await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    // An app that was not deployed yet answers 502; 404 is for hosts of nobody, or of nobody here.
    let bare = format!("127.0.0.1:{port}");
    house
        .types(&format!("ports:add shop http:{port}:5000"))
        .await;
    for host in ["shop.localhost", &bare, "any.test"] {
        assert_eq!(visit(&house, host).await, "502", "{host}");
    }
    assert_eq!(visit(&house, "blog.localhost").await, "404");
    house
        .types(&format!("ports:add blog http:{port}:5000"))
        .await;
    for (host, status) in [
        ("shop.localhost", "502"),
        ("blog.localhost", "502"),
        ("news.localhost", "404"),
        (&bare, "404"),
    ] {
        assert_eq!(visit(&house, host).await, status, "{host}");
    }
    house
        .types("redirects:set blog blog.localhost https://blog.test")
        .await;
    let mut log = house.begins("proxy:access-logs blog -n 0 -t");
    assert_eq!(visit(&house, "blog.localhost").await, "301");
    let record = next_said(&mut log).await;
    assert!(record.contains(&format!(r#""port":{port},"#)), "{record}");
    drop(log);
    house.types("apps:rename shop store").await;
    assert_eq!(visit(&house, "store.localhost").await, "502");
    assert_eq!(visit(&house, "shop.localhost").await, "404");

    house.transcript();
    house.types("domains:disable store").await;
    house.types("ports:report store").await;
    house.types("ports:remove blog http:1:1").await;
    assert_eq!(visit(&house, &bare).await, "502", "blog has it alone");
    house.types("domains:disable blog").await;
    assert!(!is_open(port));
    house
        .types(&format!("ports:set blog http:{port}:5001"))
        .await;
    house.types("domains:enable blog").await;
    assert!(is_open(port));
    insta::assert_snapshot!("ports_hidden", shown(&mut house, &[(port, "10001")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_held_at_the_start_is_told_and_opened_when_it_is_free() {
    let mut house = House::new();
    let port = free_port();
    house.types("apps:create shop").await;
    house.types("domains:disable shop").await;
    house
        .types(&format!("ports:add shop http:{port}:5000"))
        .await;
    let held = TcpListener::bind(("127.0.0.1", port)).unwrap();
    house.types("domains:enable shop").await;
    house.types("ports:report shop --ports-closed").await;
    let findings = house.json("doctor --format json").await;
    let check = format!("port {port} of shop");
    let mut findings = findings.as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["check"] == check).unwrap();
    assert_eq!(finding["status"], "failed", "{finding}");
    drop(held);
    house.types("domains:enable shop").await;
    house.types("ports:report shop --ports-closed").await;
    assert!(is_open(port));
    insta::assert_snapshot!("ports_held", shown(&mut house, &[(port, "10001")]));
}

/// A mapping was taken that had no effect: the release got the PORT that all apps have.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_all_apps_have_is_in_the_way_of_a_mapping() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "serve")]).await;
    let port = house.port;
    house
        .types("config:set --global PORT=1 --no-restart --quiet")
        .await;
    house.types(&format!("ports:set blog http:80:{port}")).await;
    // What the app has of its own goes before it.
    for line in [
        &format!("config:set blog PORT={port} --no-restart --quiet"),
        &format!("ports:set blog http:80:{port}"),
    ] {
        assert_eq!(house.types(line).await, 0, "{}", house.verbatim());
    }
    insta::assert_snapshot!("ports_of_all", shown(&mut house, &[(port, "50001")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_of_port_80_is_the_port_of_the_next_release() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "serve")]).await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (before, after) = (house.port, other.local_addr().unwrap().port());
    let extra = free_port();
    for line in [
        &format!("ports:add blog http:80:{before}"),
        &format!("ports:set blog http:80:{after}"),
        "ports:report blog",
        &format!("ports:add blog http:{extra}:7000"),
        "config:set blog PORT=1 --no-restart",
        "ports:set blog http:8080:2",
        "config:unset blog PORT --no-restart",
    ] {
        house.types(line).await;
    }
    // Nothing listens there: the app keeps what it had.
    let nobody = free_port();
    house
        .types(&format!("ports:set blog https:443:{nobody}"))
        .await;
    house.types("ports:list blog").await;
    house.types("ports:clear blog").await;
    let names = [
        (before, "50001"),
        (after, "50002"),
        (nobody, "50003"),
        (extra, "10001"),
    ];
    insta::assert_snapshot!("ports_standard", shown(&mut house, &names));
    let app = house
        .platform
        .store
        .app(&"blog".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let releases = house.platform.store.releases(app.id).await.unwrap();
    let current = releases
        .iter()
        .find(|release| Some(release.version) == app.current)
        .unwrap();
    assert_eq!(
        (current.port, &current.trigger),
        (before, &Trigger::Restart)
    );
}
