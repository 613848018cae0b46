//! A real browser over HTTPS: headless Chromium loads a page that tries all it can do through the proxy, and reports.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod browser;
mod network;
#[path = "../proxy/secure.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod secure;
mod site;
#[path = "../proxy/world.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod world;

use browser::Browser;
use mini_proxy::{AccessLogOptions, Policy, Service};
use secure::{SecureWorld, certificate};
use serde_json::json;
use site::Site;
use std::sync::Arc;

const HOST: &str = "browser.test";

#[tokio::test]
async fn a_browser_loads_streams_uploads_and_speaks_over_sockets() {
    if network::is_left_to_own("a_browser_loads_streams_uploads_and_speaks_over_sockets") {
        return;
    }
    let mut site = Site::start().await;
    let world = SecureWorld::start(world::settings(2), &[&certificate(&[HOST])]);
    let policy = Policy {
        compression: true,
        ..Policy::default()
    };
    let service = Service {
        policy: Arc::new(policy),
        ..Service::serving("app", [site.app.upstream.clone()])
    };
    let mut log = world.handle.access_log(AccessLogOptions::default());
    world.serve(&[HOST], service);
    let browser = Browser::open(HOST, world.https);
    let report = site.report(&browser).await;
    let expected = json!({
        "protocol": "h2",
        "requests": true,
        "packed": [100_000, true],
        "socket": ["chat", "hello", [200_000, true], 1000, "done"],
        "events": ["one 1", "two 2", "three 3"],
        "upload": [5_000_000, true],
        "gone": 404,
    });
    if report != expected {
        let mut records = String::new();
        while let Some(batch) = log.try_next() {
            for record in batch.iter() {
                let ended = (
                    record.status,
                    record.fault,
                    record.cut,
                    record.request_bytes,
                );
                records += &format!("{} {ended:?}\n", record.path);
            }
        }
        let errors = browser.network_errors();
        panic!("{report:#}\n{records}\n{errors:?}\n{}", browser.log());
    }
    drop(browser);
    // The socket came over HTTP/2 as well, as an extended CONNECT (RFC 8441): its record is there once it has ended.
    let mut socket = None;
    while socket.is_none() {
        let batch = world::patiently("the record of the socket", log.next()).await;
        let batch = batch.unwrap();
        let records = batch.iter().filter(|record| record.path == "/socket");
        socket = records.map(|record| (record.version, record.status)).next();
    }
    assert_eq!(socket, Some((mini_proxy::HttpVersion::HTTP_2, Some(200))));
}
