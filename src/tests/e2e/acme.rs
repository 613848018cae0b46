//! Certificates that mini orders by itself, from a real `pebble`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::http;
use crate::pebble::{Pebble, Pebbled};
use crate::process::{Ran, run};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::{wait_for, wait_until};

/// A server that orders certificates from an authority of its own.
struct House {
    server: Server,
    pebble: Pebble,
    root: PathBuf,
}

impl House {
    /// The authority may be changed, and the server's settings added to.
    fn new(
        change: impl FnOnce(&mut Pebbled),
        more: impl FnOnce(&Pebble) -> Vec<(&'static str, String)>,
    ) -> House {
        // The authority has to know where the server listens, and the server where the authority does.
        let mut server = Server::start();
        let (http, https) = (server.http().port(), server.https().port());
        let mut pebbled = Pebbled::validating(http, https);
        change(&mut pebbled);
        let pebble = pebbled.start();
        server.stop();
        let mut environment = vec![
            ("MINI_ACME_EMAIL", "ops@example.com".to_owned()),
            ("MINI_ACME_DIRECTORY", pebble.directory.clone()),
            ("MINI_ACME_CA_FILE", pebble.roots.display().to_string()),
            ("MINI_ACME_RESOLVER", pebble.dns.to_string()),
            ("MINI_ACME_SELF_CHECK", format!("{http}:{https}")),
        ];
        environment.extend(more(&pebble));
        server.set_environment(&environment);
        server.launch();
        let root = pebble.issuing_root();
        House {
            server,
            pebble,
            root,
        }
    }

    /// The body and the status, over HTTPS, of a host whose certificate the authority has issued.
    fn visit(&self, host: &str) -> Ran {
        curl(&self.server, host, &self.root)
    }

    fn report(&self, app: &str) -> Value {
        self.server.json(&["certs:report", app])
    }

    /// Waits until a fact about a host name is there, and answers it.
    #[track_caller]
    fn fact(&self, app: &str, host: &str, what: &str) -> String {
        let key = format!("ssl-hostname-{host}-{what}");
        wait_for(&key, || self.report(app)[&key].as_str().map(str::to_owned))
    }

    /// Waits until a host name is served with a certificate of the authority.
    #[track_caller]
    fn is_certified(&self, app: &str, host: &str) {
        wait_until(&format!("a certificate for {host}"), || {
            self.report(app)[format!("ssl-hostname-{host}-state")] == "valid (acme)"
        });
    }
}

fn curl(server: &Server, host: &str, root: &Path) -> Ran {
    let port = server.https().port();
    run(Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(root)
        .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
        .args(["--write-out", "%{http_code}"])
        .arg(format!("https://{host}:{port}/")))
}

#[test]
fn a_domain_gets_its_certificate_by_itself_and_keeps_it_when_the_authority_is_gone() {
    let mut house = House::new(|_| {}, |_| Vec::new());
    let server = &house.server;
    Repository::deployed(server, "shop", "one");
    server.ssh(&["domains:add", "shop", "shop.test"]).succeeds();
    house.is_certified("shop", "shop.test");
    assert_eq!(house.visit("shop.test").succeeds(), "version one\n200");
    let plain = http::get(server.http(), "shop.test", "/a?b=c").unwrap();
    assert_eq!(plain.status, 308);
    let report = house.report("shop");
    assert_eq!(report["ssl-automatic"], house.pebble.directory.as_str());
    assert_eq!(report["ssl-origin"], "acme");
    assert!(report["ssl-hostname-shop.test-renewal-at"].is_string());
    assert_eq!(
        report["ssl-hostname-shop.localhost-state"],
        "no certificate can be ordered: it means the machine of whoever asks"
    );

    // Another domain points elsewhere: it says so, nothing is ordered, and the first is none the worse.
    house.pebble.point("old.test", "127.0.0.9");
    server.ssh(&["domains:add", "shop", "old.test"]).succeeds();
    let reason = house.fact("shop", "old.test", "last-error");
    assert!(
        reason.starts_with("old.test does not reach this server: it points to 127.0.0.9,"),
        "{reason}"
    );
    house.fact("shop", "old.test", "next-try");
    server
        .ssh(&["certs:report", "shop"])
        .says(&[
            "old.test state:",
            "no certificate, orders fail",
            "old.test next try:",
        ])
        .succeeds();
    server.ssh(&["doctor"]).ends_with(1).says(&[
        "certificate old.test",
        "none: old.test does not reach this server",
        "it is tried again at",
    ]);
    // Once it points here, one word has it tried at once.
    house.pebble.point_here("old.test");
    server.ssh(&["certs:renew", "shop", "old.test"]).succeeds();
    house.is_certified("shop", "old.test");

    // Ordered anew on demand, without a restart, and one for one.
    let issued = |host: &str| house.fact("shop", host, "expires-at");
    let before = issued("shop.test");
    server.ssh(&["certs:renew", "shop", "shop.test"]).succeeds();
    wait_until("another certificate for shop.test", || {
        issued("shop.test") != before
    });
    assert_eq!(house.visit("shop.test").succeeds(), "version one\n200");

    // The authority goes: the certificates stay, and the trouble is told.
    house.pebble.stop();
    let server = &house.server;
    server.ssh(&["certs:renew", "shop", "shop.test"]).succeeds();
    wait_until("an order without an authority to fail", || {
        let report = server.json(&["certs:report", "shop"]);
        let reason = report["ssl-hostname-shop.test-last-error"].as_str();
        reason.is_some_and(|reason| reason.contains("the authority cannot be reached"))
    });
    server
        .ssh(&["doctor"])
        .says(&["warning", "certificate shop.test"]);
    let log = server.log();
    assert!(log.contains("no certificate could be had"), "{log}");
    assert_eq!(
        house.visit("shop.test").succeeds(),
        "version one
200"
    );
    server.stop();
    server.launch();
    assert_eq!(
        house.visit("shop.test").succeeds(),
        "version one
200"
    );
}

#[test]
fn a_certificate_that_ends_soon_is_renewed_while_the_server_runs() {
    let life = std::time::Duration::from_secs(20);
    let house = House::new(|pebbled| pebbled.validity = life, |_| Vec::new());
    house.server.ssh(&["apps:create", "shop"]).succeeds();
    house
        .server
        .ssh(&["domains:add", "shop", "shop.test"])
        .succeeds();
    let expires_at = || {
        let report = house.report("shop");
        let found = report["ssl-hostname-shop.test-expires-at"].as_str();
        found.map(str::to_owned)
    };
    let first = wait_for("a first certificate", expires_at);
    wait_until("a second certificate", || {
        expires_at().is_some_and(|second| second > first)
    });
    house.visit("shop.test").says(&["502"]).succeeds();
}

#[test]
fn domains_can_be_proved_by_tls_alone() {
    let only = |_: &Pebble| vec![("MINI_ACME_CHALLENGE", "tls-alpn-01".to_owned())];
    // There is nobody where the authority would look for HTTP-01.
    let house = House::new(|pebbled| pebbled.http_port = 9, only);
    house.server.ssh(&["apps:create", "shop"]).succeeds();
    house
        .server
        .ssh(&["domains:add", "shop", "shop.test"])
        .succeeds();
    house.is_certified("shop", "shop.test");
    house.visit("shop.test").says(&["502"]).succeeds();
}

#[test]
fn domains_and_wildcards_can_be_proved_by_dns_with_an_account_bound_to_another() {
    const KEY: &str = "YSBrZXkgb2YgdHdvIGFuZCB0aGlydHkgbGV0dGVycy4";
    let settings = |pebble: &Pebble| {
        let (hook, _) = pebble.dns_hook();
        vec![
            ("MINI_ACME_CHALLENGE", "dns-01".to_owned()),
            ("MINI_ACME_DNS_HOOK", hook.display().to_string()),
            ("MINI_ACME_EAB_KID", "kid-1".to_owned()),
            ("MINI_ACME_EAB_HMAC_KEY", KEY.to_owned()),
        ]
    };
    let house = House::new(|pebbled| pebbled.binding = Some(("kid-1", KEY)), settings);
    let server = &house.server;
    server.ssh(&["apps:create", "shop"]).succeeds();
    // It may point anywhere.
    house.pebble.point("shop.test", "127.0.0.9");
    server.ssh(&["domains:add", "shop", "shop.test"]).succeeds();
    house.is_certified("shop", "shop.test");
    house.visit("shop.test").says(&["502"]).succeeds();

    // A wildcard, which cannot be proved in another way.
    server
        .ssh(&["domains:add", "shop", "*.apps.test"])
        .succeeds();
    house.is_certified("shop", "*.apps.test");
    house.visit("any.apps.test").says(&["502"]).succeeds();

    // No key lies in the open.
    server.stop();
    let database = fs::read(server.data_dir().join("mini.db")).unwrap();
    for secret in ["key_pkcs8", "PRIVATE KEY", KEY] {
        let secret = secret.as_bytes();
        let is_there = database.windows(secret.len()).any(|part| part == secret);
        assert!(!is_there, "{}", String::from_utf8_lossy(secret));
    }
    let log = server.log();
    assert!(!log.contains(KEY) && !log.contains("PRIVATE KEY"));
}

/// The hook's own list of what it was called for, such as `present _acme-challenge.shop.test`.
fn calls(house: &House) -> Vec<String> {
    let (_, log) = house.pebble.dns_hook();
    let log = fs::read_to_string(log).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

fn proved(house: &House, name: &str) -> usize {
    let wanted = format!("present _acme-challenge.{name}");
    calls(house).iter().filter(|call| **call == wanted).count()
}

#[test]
fn all_apps_in_front_of_a_base_domain_share_one_wildcard() {
    let house = House::new(
        |_| {},
        |pebble| {
            let (hook, _) = pebble.dns_hook();
            let challenge = "dns-01".to_owned();
            vec![
                ("MINI_ACME_CHALLENGE", challenge),
                ("MINI_ACME_DNS_HOOK", hook.display().to_string()),
            ]
        },
    );
    let server = &house.server;
    server.ssh(&["domains:add-global", "apps.test"]).succeeds();
    for app in ["shop", "blog"] {
        server.ssh(&["apps:create", app]).succeeds();
    }
    for app in ["shop", "blog"] {
        let host = format!("{app}.apps.test");
        house.is_certified(app, &host);
        house.visit(&host).says(&["502"]).succeeds();
        let report = house.report(app);
        assert_eq!(
            report[format!("ssl-hostname-{host}-served-by")],
            "*.apps.test (the server's, for all apps)"
        );
        assert_eq!(report["ssl-hostnames"], "*.apps.test");
        assert_eq!(report["ssl-served-hostnames"], host);
    }
    // One that comes later is served at once, and nothing is ordered for it.
    server.ssh(&["apps:create", "late"]).succeeds();
    house.visit("late.apps.test").says(&["502"]).succeeds();
    // A name of its own gets a certificate of its own.
    server.ssh(&["domains:add", "late", "late.test"]).succeeds();
    house.is_certified("late", "late.test");
    assert_eq!(
        house.report("late")["ssl-hostname-late.test-served-by"],
        "late.test (the app's own)"
    );
    let count = |name: &str| proved(&house, name);
    assert_eq!((count("apps.test"), count("late.test")), (1, 1));
    assert_eq!(
        calls(&house)
            .iter()
            .filter(|call| call.starts_with("present"))
            .count(),
        2
    );
    // Who is nobody's name is shown no certificate.
    house.visit("nobody.apps.test").ends_with(35);
}

#[test]
fn an_app_for_which_it_is_turned_off_gets_no_certificate_and_keeps_what_it_has() {
    let house = House::new(|_| {}, |_| Vec::new());
    let server = &house.server;
    for app in ["quiet", "shop"] {
        server.ssh(&["apps:create", app]).succeeds();
    }
    server.ssh(&["certs:auto", "quiet", "off"]).succeeds();
    server
        .ssh(&["domains:add", "quiet", "quiet.test"])
        .succeeds();
    // That one is ordered which was added later says that the first will not be.
    server.ssh(&["domains:add", "shop", "shop.test"]).succeeds();
    house.is_certified("shop", "shop.test");
    let report = house.report("quiet");
    assert_eq!(
        report["ssl-hostname-quiet.test-state"],
        "no certificate: certs:auto is off"
    );
    assert_eq!(report["ssl-automatic"], "off");
    house.visit("quiet.test").ends_with(35);

    server.ssh(&["certs:auto", "quiet", "on"]).succeeds();
    house.is_certified("quiet", "quiet.test");
    house.visit("quiet.test").says(&["502"]).succeeds();
    server
        .ssh(&["certs:auto", "quiet", "off"])
        .says(&["`certs:remove quiet` removes them"])
        .succeeds();
    house.visit("quiet.test").says(&["502"]).succeeds();
    server.ssh(&["certs:renew", "quiet"]).says(&["turned off"]);
    server.ssh(&["certs:remove", "quiet"]).succeeds();
    house.visit("quiet.test").ends_with(35);
}
