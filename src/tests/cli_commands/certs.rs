//! `certs:*` as it is typed.

use std::time::{Duration, SystemTime};

use mini::commands::{self, AnyCommand, Cut, Session};
use mini::model::{Caller, CertificateOrigin, NewCertificate, Secret, Timestamp};
use mini_proxy::{Certificate, SelfSigned};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::house::House;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn made(names: &[&str]) -> SelfSigned {
    Certificate::self_signed(names, SystemTime::now(), DAY * 90).unwrap()
}

/// A tar archive with these files.
fn archive(files: &[(&str, &str)]) -> String {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    String::from_utf8(builder.into_inner().unwrap()).unwrap()
}

fn archive_of(pair: &SelfSigned) -> String {
    archive(&[
        ("server.crt", &pair.chain_pem),
        ("server.key", &pair.key_pem),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_added_reported_and_removed() {
    let mut house = House::new();
    transcript!(
        "certs_none",
        house,
        [
            "apps:create blog",
            "certs:report blog",
            "certs:show blog crt",
            "certs:show blog key --format json",
            "certs:show blog pem",
            "certs:remove blog",
            "certs:add blog",
            "certs:add blog server.crt server.key",
            "certs:add blog server.crt",
            "certs:add nope",
            "certs:generate nope a.test",
            "certs:generate blog",
            "certs:generate blog 'not a host'",
            "certs:renew blog",
            "certs:renew nope",
            "certs:report nope",
            "certs:remove nope",
            "certs:show nope key",
        ]
    );
    transcript!(
        "certs_generated",
        house,
        [
            "certs:generate blog elsewhere.test",
            "url blog",
            "certs:generate blog blog.localhost",
            "certs:report blog",
            "certs blog --ssl-origin",
            "certs:report blog --ssl-dir",
            "certs:report --format json",
            "urls blog",
        ]
    );
    let wildcard = archive_of(&made(&["www.example.com", "*.example.com"]));
    for line in ["certs:add blog", "domains:add blog www.example.com"] {
        house.types_with(line, &wildcard).await;
    }
    house
        .types_with("certs:update blog --format json", &wildcard)
        .await;
    for line in [
        "certs:generate blog www.example.com",
        "urls blog",
        "urls blog --format json",
        "certs:report blog",
        "apps:rename blog news",
        "certs:report news --ssl-served-hostnames",
        "certs:remove news",
        "certs:remove news --format json",
        "urls news",
    ] {
        house.types(line).await;
    }
    insta::assert_snapshot!("certs", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_refused_with_the_reason() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let (pair, other) = (made(&["blog.localhost"]), made(&["blog.localhost"]));
    let long_ago = SystemTime::now() - DAY * 30;
    let expired = Certificate::self_signed(&["blog.localhost"], long_ago, DAY).unwrap();
    let soon = SystemTime::now() + DAY;
    let early = Certificate::self_signed(&["blog.localhost"], soon, DAY).unwrap();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let both = format!("{}{}", other.chain_pem, pair.chain_pem);
    for files in [
        [
            ("a.crt", pair.chain_pem.as_str()),
            ("a.key", &other.key_pem),
        ],
        [("a.crt", &pair.chain_pem), ("a.key", encrypted)],
        [("a.crt", &pair.chain_pem), ("a.key", "nothing")],
        [("a.crt", "nothing"), ("a.key", &pair.key_pem)],
        [("a.crt", &both), ("a.key", &pair.key_pem)],
        [("a.crt", &pair.chain_pem), ("b.crt", &pair.chain_pem)],
        [("a.crt", &expired.chain_pem), ("a.key", &expired.key_pem)],
    ] {
        let archive = archive(&files);
        assert_eq!(house.types_with("certs:add blog", &archive).await, 1);
    }
    house.types("certs:report blog --ssl-enabled").await;
    for pair in [expired, early] {
        let archive = archive_of(&pair);
        house.types_with("certs:add blog --force", &archive).await;
    }
    house
        .types_with("certs:add blog", &"x".repeat(1 << 21))
        .await;
    insta::assert_snapshot!("certs_refused", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_halves_are_shown_as_they_were_added() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let pair = made(&["blog.localhost"]);
    let whole = format!("{}{}", pair.key_pem, pair.chain_pem);
    let archive = archive(&[
        ("tls/server.pem", &whole),
        ("tls/server.key", &pair.key_pem),
    ]);
    house.types_with("certs:add blog", &archive).await;
    house.transcript();
    house.types("certs:show blog crt").await;
    house.types("certs:show blog key").await;
    // Letters of a key may look like a duration.
    let text = house.verbatim();
    let key = pair.key_pem.replace('\r', "");
    let chain = pair.chain_pem.replace('\r', "");
    assert_eq!(
        text,
        format!("$ certs:show blog crt\n{chain}$ certs:show blog key\n{key}")
    );
    let json = house.json("certs:show blog crt --format json").await;
    assert_eq!(json, json!({ "crt": chain }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_come_as_json() {
    let house = House::new();
    let answer = async |command: &str, arguments: serde_json::Value| {
        let command = json!({"command": command, "arguments": arguments});
        let command: AnyCommand = serde_json::from_value(command).unwrap();
        let (output, mut said) = mpsc::channel(16);
        tokio::spawn(async move { while said.recv().await.is_some() {} });
        let session = Session {
            caller: Caller::Console,
            stdin: mpsc::channel(1).1,
            cut: Cut::default(),
            output,
            terminal: watch::channel(None).1,
            hidden: None,
        };
        commands::answer(&house.platform, command, session).await
    };
    answer("apps:create", json!({"app": "blog"})).await.unwrap();
    let pair = made(&["blog.localhost"]);
    let half = json!({"app": "blog", "certificate": pair.chain_pem});
    let refused = answer("certs:add", half).await.unwrap_err();
    assert!(refused.what.contains("given together"), "{refused}");
    let whole = json!({"app": "blog", "certificate": pair.chain_pem, "key": pair.key_pem});
    let added = answer("certs:add", whole).await.unwrap();
    assert_eq!(added["served"], json!(["blog.localhost"]));
    assert_eq!(added["origin"], "custom");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_certificate_is_reported_and_can_be_replaced() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let store = &house.platform.store;
    let app = store.app(&"blog".parse().unwrap()).await.unwrap().unwrap();
    let damaged = NewCertificate {
        app: Some(app.id),
        origin: CertificateOrigin::Custom,
        chain: "no certificate any more".to_owned(),
        key: Secret::new(made(&["blog.localhost"]).key_pem),
        created_at: Timestamp::now(),
    };
    store.replace_certificate(damaged).await.unwrap();
    house.platform.reconciler.wait_for(|_| true).await;
    house.types("certs:report blog --ssl-error").await;
    house.types("urls blog").await;
    let archive = archive_of(&made(&["blog.localhost"]));
    house.types_with("certs:add blog", &archive).await;
    house.types("urls blog").await;
    insta::assert_snapshot!("certs_damaged", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_needs_no_docker() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.engine.go_down();
    house.types("certs:generate blog blog.localhost").await;
    house
        .types("certs:report blog --ssl-served-hostnames")
        .await;
    house.types("certs:remove blog").await;
    house
        .types("certs:report blog --ssl-served-hostnames")
        .await;
    insta::assert_snapshot!("certs_without_docker", house.transcript());
}
