//! Certificates from a real authority, `pebble`, for names that its DNS server points to a proxy of ours.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod advising;
mod memory;
mod pebble;
mod site;

use advising::Advising;
use memory::Memory;
use mini_proxy::acme::{
    AcmeSettings, Authority, Binding, ChallengeKind, DnsHook, Origin, certificate_id,
};
use site::Site;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn names_are_proved_on_port_80_and_visitors_see_a_chain_that_is_valid() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    let store = Memory::new(site.handle.clone(), &["shop.test", "www.shop.test"]);
    let engine = site.engine(site.settings(&pebble), &store);
    let root = pebble.issuing_root();
    for name in ["shop.test", "www.shop.test"] {
        let issued = store.until_issued(name, 1).await;
        assert_eq!(issued.certificate.names(), [name]);
        let shown = site.visit(name, &root).await;
        assert_eq!(issued.certificate.chain()[0], shown);
    }
    engine.stop().await;
    assert!(!site.shows_challenges(&["shop.test", "www.shop.test"]));
    assert!(store.state().claims.is_empty());
    // The account is kept: another engine, started later, uses it.
    store.state().wanted.push("later.test".parse().unwrap());
    let made = store.state().accounts_made;
    let engine = site.engine(site.settings(&pebble), &store);
    store.until_issued("later.test", 1).await;
    engine.stop().await;
    assert_eq!(store.state().accounts_made, made);
    assert_eq!(store.state().placed.len(), 3, "one order for each name");
}

#[tokio::test]
async fn a_server_that_is_reached_on_port_443_only_proves_names_there() {
    let site = Site::start();
    // Nobody is on the authority's port for HTTP-01.
    let mut pebbled = site.pebbled();
    pebbled.http_port = 9;
    let pebble = pebbled.start();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    let mut settings = site.settings(&pebble);
    settings.self_check.as_mut().unwrap().http_port = 9;
    let engine = site.engine(settings, &store);
    store.until_issued("shop.test", 1).await;
    site.visit("shop.test", &pebble.issuing_root()).await;
    engine.stop().await;
    assert!(!site.shows_challenges(&["shop.test"]));
    assert_eq!(store.state().placed.len(), 1);
}

#[tokio::test]
async fn a_name_that_points_elsewhere_is_not_ordered_and_says_where_it_points() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    pebble.point("shop.test", "127.0.0.9");
    let store = Memory::new(site.handle.clone(), &["shop.test", "good.test"]);
    let engine = site.engine(site.settings(&pebble), &store);
    let failed = store.until_failed("shop.test").await;
    assert!(
        failed.reason.starts_with("shop.test does not reach this server: it points to 127.0.0.9, where nothing answers on port"),
        "{}",
        failed.reason
    );
    assert_eq!(failed.failures, 1);
    assert!(failed.next_try >= failed.at + Duration::from_secs(60));
    // It holds back no other.
    store.until_issued("good.test", 1).await;
    let of_shop = |placed: &[(mini_proxy::acme::CertName, SystemTime)]| {
        let of_shop = placed
            .iter()
            .filter(|(name, _)| name.as_str() == "shop.test");
        of_shop.count()
    };
    assert_eq!(of_shop(&store.state().placed), 0);
    // Once it points here and its time has come, it gets its certificate.
    pebble.point_here("shop.test");
    store.hurry("shop.test");
    store.wake.notify_one();
    store.until_issued("shop.test", 1).await;
    assert!(store.state().failed.is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn a_challenge_that_fails_is_told_in_the_authority_s_words_and_the_old_certificate_stays() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    pebble.point("shop.test", "127.0.0.9");
    let store = Memory::new(site.handle.clone(), &["shop.test", "blocked.test"]);
    store.hold("shop.test", 80 * DAY, None);
    let mut settings = site.settings(&pebble);
    settings.self_check = None;
    let engine = site.engine(settings, &store);
    let failed = store.until_failed("shop.test").await;
    assert!(
        failed
            .reason
            .starts_with("the authority could not validate shop.test by http-01: "),
        "{}",
        failed.reason
    );
    assert!(failed.reason.contains("127.0.0.9"), "{}", failed.reason);
    let blocked = store.until_failed("blocked.test").await;
    assert!(
        blocked
            .reason
            .starts_with("the authority refused the order: ")
            && blocked.reason.contains("rejectedIdentifier"),
        "{}",
        blocked.reason
    );
    engine.stop().await;
    assert!(!site.shows_challenges(&["shop.test"]));
    let state = store.state();
    let held = &state.held[&"shop.test".parse().unwrap()];
    assert!(held.not_after > SystemTime::now(), "the old one is kept");
    assert_eq!(state.placed.len(), 2, "no second try at once");
}

#[tokio::test]
async fn a_certificate_near_its_end_is_renewed_without_a_restart() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    let engine = site.engine(site.settings(&pebble), &store);
    let first = store.until_issued("shop.test", 1).await;
    // Had it been issued two months ago, it would be due.
    let id = certificate_id(&first.certificate);
    assert!(id.is_some());
    store.hold("shop.test", 70 * DAY, id);
    store.wake.notify_one();
    let second = store.until_issued("shop.test", 2).await;
    assert_ne!(first.certificate, second.certificate);
    let shown = site.visit("shop.test", &pebble.issuing_root()).await;
    assert_eq!(second.certificate.chain()[0], shown);
    engine.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_away_is_tried_again_later_and_nothing_is_lost() {
    let site = Site::start();
    let mut pebble = site.pebbled().start();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    let engine = site.engine(site.settings(&pebble), &store);
    let first = store.until_issued("shop.test", 1).await;
    let root = pebble.issuing_root();
    pebble.stop();
    store.hold("shop.test", 70 * DAY, certificate_id(&first.certificate));
    store.wake.notify_one();
    let failed = store.until_failed("shop.test").await;
    assert!(
        failed.reason.contains("the authority cannot be reached"),
        "{}",
        failed.reason
    );
    assert!(failed.next_try >= failed.at + Duration::from_secs(60));
    assert_eq!(store.state().placed.len(), 1, "no order could be placed");
    let shown = site.visit("shop.test", &root).await;
    assert_eq!(first.certificate.chain()[0], shown);
    engine.stop().await;
}

#[tokio::test]
async fn a_wildcard_is_proved_by_the_dns_hook_and_carries_the_names_below_it() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    let (hook, log) = pebble.dns_hook();
    let store = Memory::new(site.handle.clone(), &["a.apps.test", "*.apps.test"]);
    let mut settings = site.settings(&pebble);
    settings.dns_hook = Some(DnsHook::new(hook));
    let engine = site.engine(settings, &store);
    let issued = store.until_issued("*.apps.test", 1).await;
    assert_eq!(issued.certificate.names(), ["*.apps.test"]);
    site.visit("b.apps.test", &pebble.issuing_root()).await;
    engine.stop().await;
    assert_eq!(store.state().placed.len(), 1, "none for the name below");
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "present _acme-challenge.apps.test\ncleanup _acme-challenge.apps.test\n"
    );
}

#[tokio::test]
async fn an_authority_that_wants_accounts_bound_gets_ours_bound() {
    const KEY: &[u8] = b"a key of two and thirty letters.";
    let site = Site::start();
    let mut pebbled = site.pebbled();
    pebbled.binding = Some(("kid-1", "YSBrZXkgb2YgdHdvIGFuZCB0aGlydHkgbGV0dGVycy4"));
    let pebble = pebbled.start();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    let mut settings = site.settings(&pebble);
    let engine = site.engine(settings.clone(), &store);
    let failed = store.until_failed("shop.test").await;
    assert!(
        failed.reason.contains("externalAccountRequired"),
        "{}",
        failed.reason
    );
    engine.stop().await;
    settings.authority.binding = Some(Binding {
        key_id: "kid-1".to_owned(),
        hmac_key: Zeroizing::new(KEY.to_vec()),
    });
    store.hurry("shop.test");
    let engine = site.engine(settings, &store);
    store.until_issued("shop.test", 1).await;
    engine.stop().await;
}

#[tokio::test]
async fn nonces_that_are_refused_often_cost_no_order() {
    let site = Site::start();
    let mut pebbled = site.pebbled();
    pebbled.refused_nonces = 30;
    let pebble = pebbled.start();
    let names = ["a.test", "b.test", "c.test"];
    let store = Memory::new(site.handle.clone(), &names);
    let engine = site.engine(site.settings(&pebble), &store);
    for name in names {
        store.until_issued(name, 1).await;
    }
    engine.stop().await;
    assert_eq!(store.state().placed.len(), 3);
}

#[tokio::test]
async fn two_engines_never_order_the_same_name() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    let names: Vec<String> = (0..8).map(|n| format!("n{n}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = Memory::new(site.handle.clone(), &names);
    // Each shows its challenges through a proxy of its own; the authority asks the first one only.
    let (one, other) = (Site::start(), &site);
    let engines = [
        one.engine(site.settings(&pebble), &store),
        other.engine(site.settings(&pebble), &store),
    ];
    let tried = |state: &memory::State| {
        let mut names = state.wanted.iter();
        names
            .all(|name| state.held.contains_key(name) || state.failed.contains_key(name))
            .then_some(())
    };
    store.until("each name tried by one of them", tried).await;
    for engine in engines {
        engine.stop().await;
    }
    let state = store.state();
    for name in &state.wanted {
        let orders = state.placed.iter().filter(|(of, _)| of == name).count();
        let failed = state.failed.get(name).map_or(0, |failed| failed.failures);
        assert_eq!(
            orders,
            usize::from(state.held.contains_key(name)),
            "{name}: {failed} failed"
        );
        assert_eq!(
            u32::from(state.held.contains_key(name)) + failed,
            1,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_authority_that_advises_is_asked_and_its_window_decides() {
    let authority = Advising::start("2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z").await;
    let site = Site::start();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    // Ten days old: nobody would renew it yet.
    store.hold("shop.test", 10 * DAY, Some("aki.serial".to_owned()));
    let account = authority.account();
    let directory = authority.directory.clone();
    store.state().accounts.insert(directory.clone(), account);
    let mut settings = AcmeSettings::new(Authority {
        directory,
        email: "ops@example.com".to_owned(),
        binding: None,
        roots: Some(authority.roots.clone()),
    });
    settings.self_check = None;
    let engine = site.engine(settings, &store);
    // The window is past, so it is ordered at once; this authority takes no orders.
    let failed = store.until_failed("shop.test").await;
    assert!(
        failed
            .reason
            .starts_with("the authority refused the order: "),
        "{}",
        failed.reason
    );
    engine.stop().await;
    let state = store.state();
    let Origin::Ordered { advice, .. } = &state.held[&"shop.test".parse().unwrap()].origin else {
        panic!("it was ordered");
    };
    let advice = advice.unwrap();
    let window = advice.window.unwrap();
    assert_eq!(window.end.duration_since(window.start).unwrap(), DAY);
    let asked_again = advice.ask_again.duration_since(SystemTime::now()).unwrap();
    assert!(
        asked_again > Duration::from_secs(5 * 60 * 60),
        "Retry-After was six hours"
    );
}

#[tokio::test]
async fn an_engine_that_is_stopped_amid_an_order_leaves_nothing_behind() {
    let site = Site::start();
    let pebble = site.pebbled().start();
    let folder = tempfile::tempdir().unwrap();
    let (hook, log) = (folder.path().join("hook"), folder.path().join("log"));
    let script = format!(
        "#!/bin/sh\necho $1 >> {}\n[ $1 = cleanup ] || sleep 600\n",
        log.display()
    );
    std::fs::write(&hook, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    let store = Memory::new(site.handle.clone(), &["shop.test"]);
    let mut settings = site.settings(&pebble);
    settings.challenges = vec![ChallengeKind::Dns01];
    settings.dns_hook = Some(DnsHook::new(hook));
    let engine = site.engine(settings, &store);
    let lines = |count: usize| {
        let log = log.clone();
        async move {
            while std::fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .count()
                < count
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    lines(1).await;
    engine.stop().await;
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "present\ncleanup\n");
    let state = store.state();
    assert!(state.claims.is_empty() && state.failed.is_empty());
}
