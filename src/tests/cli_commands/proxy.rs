//! What visitors of an app meet, as it is set by typing: `proxy:*`, `maintenance:*`, `http-auth:*`, and what is on record of it.

use std::time::Duration;

use mini::commands::AnyCommand;
use mini::model::{Permission, Timestamp};

use crate::house::House;
use crate::house::next_said;

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_set_for_an_app() {
    let mut house = House::new();
    transcript!(
        "proxy",
        house,
        [
            "apps:create blog",
            "proxy:set blog max-body-size 50mb",
            "proxy:set blog first-byte-timeout 120 --format json",
            "proxy:set blog client-max-body-size 1G",
            "proxy:report blog",
            "proxy:report blog --proxy-computed-connect-timeout",
            "proxy:report blog --nonsense",
            "proxy:report blog --format json",
            "proxy:set blog max-body-size",
            "proxy:set blog first-byte-timeout --format json",
            "proxy:report blog --proxy-max-body-size",
            "proxy:set blog max-body-size huge",
            "proxy:set blog connect-timeout 1y",
            "proxy:set blog max-bdy-size 1m",
            "proxy:set blog xyzzy 1m",
            "proxy:set blog",
            "proxy:set nope max-body-size 1m",
            "proxy:report nope",
        ]
    );
    transcript!(
        "proxy_pause",
        house,
        [
            "proxy:resume blog",
            "proxy:pause blog",
            "proxy:pause blog --max 5m",
            "proxy:resume blog",
            "proxy:report blog --proxy-paused-until",
            "proxy:resume blog --format json",
            "proxy:pause blog --max 2h",
            "proxy:pause nope",
            "proxy:resume nope",
        ]
    );
    let paused = house.json("proxy:pause blog --format json").await;
    let until = house.json("proxy:report blog --format json").await["proxy-paused-until"].clone();
    assert_eq!(paused["max"], "30s");
    assert_eq!(paused["until"], until);
    assert!(
        until.as_str().is_some_and(|until| !until.is_empty()),
        "{until}"
    );
    house.types("proxy:set blog max-body-size 2m").await;
    house.types("apps:rename blog news").await;
    house.transcript();
    house.types("proxy:report news --proxy-max-body-size").await;
    assert_eq!(
        house.transcript(),
        "$ proxy:report news --proxy-max-body-size\n2m\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_closed_for_maintenance_and_opened_again() {
    let mut house = House::new();
    transcript!(
        "maintenance",
        house,
        [
            "apps:create blog",
            "maintenance:on blog",
            "maintenance:on blog --retry-after 2h --allow 192.0.2.7,10.0.0.0/8",
            "maintenance:on blog --retry-after soon",
            "maintenance:on blog --allow everybody",
            "maintenance:report blog --maintenance-allow",
            "maintenance:report blog --maintenance-retry-after-seconds",
            "maintenance:on blog --retry-after 90s --format json",
            "maintenance:off blog",
            "maintenance:off blog",
            "maintenance:disable blog --format json",
            "maintenance:report blog",
            "maintenance:report --format json",
            "maintenance:custom-page blog",
            "maintenance:custom-page blog --remove",
            "maintenance:on nope",
        ]
    );
    let page = "<h1>Back soon</h1>";
    house.types_with("maintenance:custom-page blog", page).await;
    house
        .types("maintenance:report blog --maintenance-custom-page")
        .await;
    house.types("maintenance:custom-page blog --remove").await;
    house.types_with("proxy:error-page blog 502", page).await;
    house.types_with("proxy:error-page blog 200", page).await;
    house
        .types("proxy:error-page blog 502 --remove --format json")
        .await;
    house.types("proxy:error-page blog 502 --remove").await;
    insta::assert_snapshot!("proxy_pages", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_app_has_its_host_at_once_and_whatever_is_written_is_followed() {
    let mut house = House::new();
    let has_host =
        |house: &House, host: &str| house.platform.proxy.table().choose(host, "/").is_ok();
    house.types("apps:create blog").await;
    assert!(has_host(&house, "blog.localhost"));
    // Whoever writes need not think of the reconciler.
    let mut view = house.platform.reconciler.view();
    let name = "shop".parse().unwrap();
    let made = house.platform.store.create_app(&name, Timestamp::now());
    made.await.unwrap();
    let followed = async {
        while !has_host(&house, "shop.localhost") {
            view.changed().await.unwrap();
        }
    };
    // Less than it looks again after by itself.
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, followed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_visitors_to_an_app_without_being_allowed_to() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.transcript();
    assert_eq!(house.types("routes:add blog /api --to nope").await, 20);
    let text = house.transcript();
    assert!(text.contains("App nope does not exist"), "{text}");
    let add = r#"{"command": "routes:add", "arguments": {"app": "blog", "address": "/api", "to": "shop"}}"#;
    let add: AnyCommand = serde_json::from_str(add).unwrap();
    assert_eq!(
        add.permissions(),
        (
            Permission::ChangeApp("blog".parse().unwrap()),
            Some(Permission::ChangeApp("shop".parse().unwrap()))
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_asks_for_passwords_which_are_never_shown() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.types("http-auth:on blog").await;
    let line = "http-auth:add-user blog me";
    house.types_with(line, "open sesame\n").await;
    house.types_with(line, "hunter2").await;
    house.types_with(line, "\n").await;
    house.types(line).await;
    house.types_at_terminal(line, &["sesame", "sesame"]).await;
    house.types_at_terminal(line, &["sesame", "seseme"]).await;
    house.types_at_terminal(line, &[""]).await;
    house.types_with("http-auth:add-user blog a:b", "x").await;
    house
        .types_with("http-auth:add-user blog you --format json", "hunter2\n")
        .await;
    transcript!(
        "http_auth",
        house,
        [
            "http-auth:add-user blog me hunter2",
            "http-auth:on blog",
            "http-auth:report blog",
            "http-auth:report blog --http-auth-users",
            "http-auth:remove-user blog you",
            "http-auth:remove-user blog you",
            "http-auth:off blog",
            "http-auth:off blog",
            "http-auth:report blog --format json",
            "http-auth:on nope",
        ]
    );
    house.types_with(line, "hunter2").await;
    let text = house.transcript();
    assert!(text.contains("does not ask for passwords yet"), "{text}");
    let desired = house.platform.store.desired().await.unwrap();
    assert!(!format!("{desired:?}").contains("argon2"), "{desired:?}");
}

/// A line of an access log, with what differs from run to run taken out.
fn steadied_record(line: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
    for varying in ["time", "duration_ms"] {
        record[varying].take();
    }
    record.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_on_record_with_their_app_until_it_goes() {
    let mut house = House::new();
    transcript!(
        "access_logs",
        house,
        [
            "apps:create blog",
            "proxy:access-logs blog",
            "proxy:access-logs blog --format json",
            "proxy:access-logs --unrouted",
            "proxy:access-logs",
            "proxy:access-logs blog --unrouted",
            "proxy:access-logs nope",
            "proxy:access-logs blog -n many",
            "proxy:stats",
            "proxy:stats nope",
        ]
    );
    house.platform.reconciler.wait_for(|_| true).await;
    let mut said = house.begins("nginx:access-logs blog -t");
    let answer = house
        .visit("blog.localhost", "/a?token=secret", "first")
        .await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let line = next_said(&mut said).await;
    insta::assert_snapshot!(steadied_record(&line));
    house.visit("blog.localhost", "/b", "second").await;
    assert!(next_said(&mut said).await.contains(r#""id":"second""#));

    let records = house.json("proxy:access-logs blog --format json").await;
    let ids: Vec<&str> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["first", "second"]);
    let last = house
        .json("proxy:access-logs blog -n 1 --format json")
        .await;
    assert_eq!(last[0]["path"], "/b");

    let mut unrouted = house.begins("proxy:access-logs --unrouted -t");
    house.visit("nobody.localhost", "/", "third").await;
    let line = next_said(&mut unrouted).await;
    assert!(line.contains(r#""host":"nobody.localhost""#), "{line}");

    let stats = house.json("proxy:stats blog --format json").await;
    assert_eq!(
        (&stats[0]["requests"], &stats[0]["errors"]),
        (&2.into(), &2.into())
    );
    assert_eq!(stats[0]["error_share"], 1.0);
    assert!(stats[0]["p99_ms"].as_f64().unwrap() > 0.0);

    house.types("apps:rename blog news").await;
    assert!(
        said.recv().await.is_none(),
        "a log that moves is followed no more"
    );
    let moved = house.json("proxy:access-logs news --format json").await;
    assert_eq!(moved.as_array().map(Vec::len), Some(2));
    house.types("apps:destroy news --force").await;
    house.types("apps:create news").await;
    let after = house.json("proxy:access-logs news --format json").await;
    assert_eq!(after, serde_json::json!([]));
}
