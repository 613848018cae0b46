//! Every method of `Store` against a real file.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::model::{
    App, AppId, AppName, AppProxy, Check, ConfigKey, ConfigVars, Deploy, DeployFailure, DeployId,
    DeployStatus, Domain, FailureReason, ImageId, Kind, Problem, ProxyOptions, ProxySetting,
    Release, ReleaseStatus, ReleaseVersion, Scale, Secret, SshKey, Step, Timestamp, Trigger,
};

mod apps;
mod builder;
mod certificates;
mod copies;
pub(crate) mod fixtures;
mod opening;
mod orders;
mod pipeline;
mod ports;
mod proxy;
mod releases;
mod routing;
mod sealed;

struct Fixture {
    folder: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Fixture { folder, store }
    }

    /// The same folder after a stop and a start.
    async fn reopened(self) -> Fixture {
        self.store.close().await.unwrap();
        let store = Store::open(self.folder.path()).unwrap();
        Fixture { store, ..self }
    }

    async fn app(&self, name: &str) -> App {
        self.store.create_app(&parse(name), at(1)).await.unwrap()
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A moment that survives rounding.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn image(number: u32) -> ImageId {
    parse(&format!("sha256:{number:064x}"))
}

fn vars(pairs: &[(&str, &str)]) -> ConfigVars {
    pairs
        .iter()
        .map(|(key, value)| (parse::<ConfigKey>(key), Secret::new(*value)))
        .collect()
}

fn release(app: AppId, image_number: u32) -> Release {
    let check = Check::listening(Duration::from_millis(1500));
    Release {
        app,
        version: ReleaseVersion(0),
        status: ReleaseStatus::Candidate,
        image: image(image_number),
        commit: Some(parse(&"ab".repeat(20))),
        processes: BTreeMap::from([
            (parse("web"), None),
            (parse("worker"), Some("npm run worker".to_owned())),
        ]),
        release_command: Some("npm run migrate".to_owned()),
        postdeploy_command: None,
        formation: None,
        start_command: None,
        port: 5000,
        checks: BTreeMap::from([(parse("web"), vec![check])]),
        config: vars(&[("TOKEN", "hunter2"), ("EMPTY", "")]),
        trigger: Trigger::Push,
        description: "Deploy abababa".to_owned(),
        actor: "me".to_owned(),
        created_at: at(2),
        drain_until: None,
    }
}

fn deploy(app: AppId, number: u16) -> Deploy {
    Deploy {
        id: DeployId::new(at(i64::from(number)), 0),
        app,
        trigger: Trigger::Push,
        commit: Some(parse(&"cd".repeat(20))),
        actor: "me".to_owned(),
        step: Step::Received,
        status: DeployStatus::Running,
        release: None,
        started_at: at(i64::from(number)),
        finished_at: None,
        failure: None,
        reason: None,
    }
}

fn key(name: &str, fingerprint: &str) -> SshKey {
    SshKey {
        name: parse(name),
        fingerprint: fingerprint.to_owned(),
        public_key: "ssh-ed25519 AAAA".to_owned(),
        created_at: at(3),
    }
}

#[tokio::test]
async fn deploys_go_through_their_steps_and_the_oldest_are_forgotten() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    let first = deploy(shop.id, 1);
    assert_eq!(store.add_deploy(&first).await.unwrap(), []);
    let taken = store.add_deploy(&first).await;
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    assert_eq!(store.deploy(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(
        store.unfinished_deploys().await.unwrap(),
        std::slice::from_ref(&first)
    );

    store.set_deploy_step(&first.id, Step::Build).await.unwrap();
    let failure = DeployFailure {
        why: "no process type `web`".to_owned(),
        reason: Some(FailureReason::Timeout),
    };
    let given = Some(failure.clone());
    store
        .finish_deploy(&first.id, DeployStatus::Failed, given, at(5))
        .await
        .unwrap();
    let failed = Deploy {
        step: Step::Build,
        status: DeployStatus::Failed,
        release: None,
        finished_at: Some(at(5)),
        failure: Some(failure.why),
        reason: failure.reason,
        ..first
    };
    assert_eq!(
        store.deploy(&failed.id).await.unwrap(),
        Some(failed.clone())
    );
    assert_eq!(store.unfinished_deploys().await.unwrap(), []);

    let other = deploy(blog.id, 40);
    store.add_deploy(&other).await.unwrap();
    for number in 2..=21 {
        let next = deploy(shop.id, number);
        assert_eq!(store.add_deploy(&next).await.unwrap(), []);
        store
            .finish_deploy(&next.id, DeployStatus::Succeeded, None, at(50))
            .await
            .unwrap();
    }
    let last = deploy(shop.id, 22);
    assert_eq!(store.add_deploy(&last).await.unwrap(), [failed.id]);
    let newest: Vec<_> = store
        .deploys(shop.id, 2)
        .await
        .unwrap()
        .into_iter()
        .map(|d| d.id)
        .collect();
    assert_eq!(newest, [last.id.clone(), deploy(shop.id, 21).id]);
    assert_eq!(store.deploys(shop.id, usize::MAX).await.unwrap().len(), 21);
    assert_eq!(store.unfinished_deploys().await.unwrap(), [last, other]);
}

#[tokio::test]
async fn ssh_keys_are_unique_by_name_and_by_fingerprint() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (one, two) = (key("one", "SHA256:1"), key("two", "SHA256:2"));
    store.add_ssh_key(&two).await.unwrap();
    store.add_ssh_key(&one).await.unwrap();
    for again in [
        key("one", "SHA256:3"),
        key("three", "SHA256:1"),
        key("one", "SHA256:2"),
    ] {
        let taken = store.add_ssh_key(&again).await;
        assert!(matches!(taken, Err(StoreError::Taken { .. })), "{again:?}");
    }
    assert_eq!(store.ssh_keys().await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(
        store.ssh_key_by_fingerprint("SHA256:2").await.unwrap(),
        Some(two)
    );
    assert_eq!(
        store.ssh_key_by_fingerprint("SHA256:9").await.unwrap(),
        None
    );
    assert!(store.remove_ssh_key(&one.name).await.unwrap());
    assert!(!store.remove_ssh_key(&one.name).await.unwrap());
}

#[tokio::test]
async fn a_pause_outlives_a_restart_and_ends_when_it_is_told_to() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    fixture.store.pause(shop.id, at(20)).await.unwrap();
    fixture.store.pause(shop.id, at(30)).await.unwrap();
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(store.paused_until(shop.id).await.unwrap(), Some(at(30)));
    assert_eq!(store.paused_until(blog.id).await.unwrap(), None);
    let pauses = store.desired().await.unwrap().pauses.clone();
    assert_eq!(pauses, BTreeMap::from([(shop.id, at(30))]));
    assert_eq!(store.resume(shop.id).await.unwrap(), Some(at(30)));
    assert_eq!(store.resume(shop.id).await.unwrap(), None);
    assert!(store.desired().await.unwrap().pauses.is_empty());
    let nobody = store.pause(AppId(99), at(1)).await.unwrap_err();
    assert_eq!(Problem::from(nobody).kind, Kind::NotFound);
}

#[tokio::test]
async fn desired_has_all_that_is_wanted_and_nothing_else() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    store
        .add_domain(shop.id, &parse("shop.test"))
        .await
        .unwrap();
    let scale = Scale(BTreeMap::from([(parse("web"), 3)]));
    store.set_scale(blog.id, &scale).await.unwrap();
    // The clock is put back between the two.
    for second in [8, 7] {
        store
            .request_restart(shop.id, &parse("web"), at(second))
            .await
            .unwrap();
    }
    for status in ReleaseStatus::ALL {
        let made = store.add_release(release(shop.id, 1)).await.unwrap();
        store
            .set_release_status(shop.id, made.version, *status)
            .await
            .unwrap();
    }
    let desired = store.desired().await.unwrap();
    assert_eq!(desired.apps, store.apps().await.unwrap());
    assert_eq!(desired.apps[1].current, Some(ReleaseVersion(3)));
    let domain = Domain {
        app: shop.id,
        name: parse("shop.test"),
    };
    assert_eq!(desired.domains, [domain]);
    assert_eq!(desired.scales, [(blog.id, scale)]);
    assert_eq!(desired.restarts, [(shop.id, parse("web"), at(7))]);
    let wanted: Vec<_> = desired
        .releases
        .iter()
        .map(|release| release.status)
        .collect();
    assert_eq!(
        wanted,
        [
            ReleaseStatus::Candidate,
            ReleaseStatus::Prepared,
            ReleaseStatus::Current,
            ReleaseStatus::Draining
        ]
    );
    assert_eq!(desired.releases[0].config, release(shop.id, 1).config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_every_write_that_was_answered_before_it() {
    let fixture = Fixture::new();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                let name: AppName = parse(&format!("app-{task}"));
                let app = store.create_app(&name, at(1)).await.unwrap();
                for round in 0..20 {
                    let value = format!("{task}/{round}");
                    store
                        .set_config(app.id, vars(&[("ROUND", &value)]), vec![])
                        .await
                        .unwrap();
                    assert_eq!(
                        store.config(app.id).await.unwrap(),
                        vars(&[("ROUND", &value)])
                    );
                    let made = store.add_release(release(app.id, round)).await.unwrap();
                    assert_eq!(made.version, ReleaseVersion(round + 1));
                    assert_eq!(store.releases(app.id).await.unwrap()[0], made);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fixture.store.apps().await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let fixture = Fixture::new();
    let clone = fixture.store.clone();
    fixture.store.close().await.unwrap();
    clone.close().await.unwrap();
    assert!(matches!(clone.apps().await, Err(StoreError::Closed)));
    let created = clone.create_app(&parse("shop"), at(1)).await;
    assert!(matches!(created, Err(StoreError::Closed)));
}

#[tokio::test]
async fn a_panic_in_a_closure_undoes_it_and_leaves_the_store_working() {
    let fixture = Fixture::new();
    let outcome = fixture.store.write::<()>(|tx| {
        tx.execute("INSERT INTO apps (name, created_at) VALUES ('half', 0)", [])?;
        panic!("on purpose");
    });
    assert!(matches!(outcome.await, Err(StoreError::Closed)));
    assert_eq!(fixture.store.apps().await.unwrap(), []);
    fixture.app("shop").await;
}

#[tokio::test]
async fn settings_of_the_proxy_are_kept_by_app_and_go_with_it() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    let size = ProxySetting::named("max-body-size").unwrap();
    let wait = ProxySetting::named("first-byte-timeout").unwrap();
    let set = async |store: &Store, app, setting, value: Option<&str>| {
        let value = value.map(str::to_owned);
        store.set_proxy_setting(app, setting, value).await
    };
    for (app, setting, value) in [
        (shop.id, size, Some("1m")),
        (shop.id, size, Some("2m")),
        (shop.id, wait, Some("5s")),
        (blog.id, wait, Some("6s")),
        (blog.id, wait, None),
        (blog.id, size, None),
    ] {
        set(&fixture.store, app, setting, value).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    let own = store.proxy_settings(shop.id).await.unwrap();
    let expected = [("max-body-size", "2m"), ("first-byte-timeout", "5s")];
    assert_eq!(own, expected.map(|(n, v)| (n, v.to_owned())).into());
    let desired = store.desired().await.unwrap();
    let options = ProxyOptions {
        max_body_bytes: Some(2 << 20),
        first_byte_timeout: Duration::from_secs(5),
        ..ProxyOptions::default()
    };
    let decided = AppProxy {
        options,
        ..AppProxy::default()
    };
    assert_eq!(desired.proxy, BTreeMap::from([(shop.id, decided)]));

    store.destroy_app(shop.id).await.unwrap();
    assert_eq!(store.desired().await.unwrap().proxy, BTreeMap::new());
    let gone = set(store, shop.id, size, Some("1m")).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { .. }), "{gone:?}");
}
