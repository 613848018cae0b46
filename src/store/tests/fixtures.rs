//! Databases as released minis have left them: each opens, and everything in it reads as it was written.
//!
//! `fixtures/NNN.sql` holds the database of schema NNN, with rows in every table, as SQL. Before a release with a new schema:
//! extend [`fill`], run `MINI_WRITE_FIXTURE=1 cargo nextest run -p mini store::tests::fixtures`, and add the file to [`FIXTURES`].

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::*;
use crate::model::{
    AppRedirect, AuthorityAccount, BackupRecord, BackupSchedule, BackupStatus, BuilderSetting,
    CertificateOrigin, DeployFailure, FailedOrder, GitCredential, Maintenance, NewCertificate,
    PageName, RenewalAdvice, Route, StorageMount,
};
use crate::store::migrate;

/// Schema, and the database as SQL.
const FIXTURES: &[(usize, &str)] = &[
    (10, include_str!("fixtures/010.sql")),
    (14, include_str!("fixtures/014.sql")),
    (17, include_str!("fixtures/017.sql")),
];
/// The same of `events.db`; what is in them is read by `crate::events`, which makes them, too.
const EVENT_FIXTURES: &[(usize, &str)] = &[
    (1, include_str!("../../events/fixtures/001.sql")),
    (2, include_str!("../../events/fixtures/002.sql")),
];
/// What the sealed values of all fixtures are sealed with.
const KEY: [u8; 32] = [7; 32];
const DIRECTORY: &str = "https://ca.test/dir";

/// A store with rows in every table that a schema has.
async fn fill(folder: &Path, schema: usize) -> Store {
    fs::create_dir_all(folder.join("keys")).unwrap();
    fs::write(folder.join("keys/config.key"), KEY).unwrap();
    let store = Store::open(folder).unwrap();
    let shop = store.create_app(&parse("shop"), at(1)).await.unwrap().id;
    let blog = store.create_app(&parse("blog"), at(2)).await.unwrap().id;
    store.set_stopped(blog, true).await.unwrap();
    store.adopt_branch(shop, &parse("main")).await.unwrap();
    store.add_domain(shop, &parse("shop.test")).await.unwrap();
    store.add_global_domain(&parse("apps.test")).await.unwrap();
    store.set_public(blog, false).await.unwrap();
    let config = vars(&[("TOKEN", "hunter2"), ("EMPTY", "")]);
    store.set_config(shop, config, vec![]).await.unwrap();
    let scale = Scale(BTreeMap::from([(parse("web"), 2)]));
    store.set_scale(shop, &scale).await.unwrap();
    store
        .request_restart(shop, &parse("web"), at(9))
        .await
        .unwrap();
    for number in 1..=2 {
        let made = store.add_release(release(shop, number)).await.unwrap();
        store
            .promote(shop, made.version, at(100), false)
            .await
            .unwrap();
    }
    let begun = deploy(shop, 1);
    store.add_deploy(&begun).await.unwrap();
    let failure = Some(DeployFailure {
        why: "it did not start".to_owned(),
        reason: None,
    });
    store
        .finish_deploy(&begun.id, DeployStatus::Failed, failure, at(7))
        .await
        .unwrap();
    store.add_ssh_key(&key("me", "SHA256:one")).await.unwrap();
    let wait = ProxySetting::named("first-byte-timeout").unwrap();
    let value = Some("5s".to_owned());
    store.set_proxy_setting(shop, wait, value).await.unwrap();
    for app in [Some(shop), None] {
        let new = NewCertificate {
            app,
            origin: CertificateOrigin::Custom,
            chain: "chain".to_owned(),
            key: Secret::new("key of a certificate"),
            created_at: at(4),
        };
        store.replace_certificate(new).await.unwrap();
    }
    let route = Route {
        app: shop,
        address: parse("/api"),
        to: blog,
        process_type: parse("api"),
        is_stripped: true,
    };
    store.set_route(&route).await.unwrap();
    let redirect = AppRedirect {
        app: shop,
        address: parse("www.shop.test"),
        to: parse("https://shop.test/*"),
        code: 308,
    };
    store.set_redirect(&redirect).await.unwrap();
    let account = AuthorityAccount {
        email: "ops@example.com".to_owned(),
        credentials: Secret::new("credentials"),
    };
    store
        .keep_authority_account(DIRECTORY.to_owned(), Some(account))
        .await
        .unwrap();
    let failed = FailedOrder {
        name: "shop.test".to_owned(),
        failures: 2,
        reason: "it points elsewhere".to_owned(),
        failed_at: at(5),
        next_try: at(65),
    };
    store.fail_order(failed).await.unwrap();
    store.place_order(at(6)).await.unwrap();
    let advice = RenewalAdvice {
        window: Some((at(70), at(80))),
        ask_again: at(7),
    };
    store.keep_advice("aki.1".to_owned(), advice).await.unwrap();
    let maintenance = Maintenance {
        since: at(5),
        retry_after: Duration::from_secs(600),
        allow: vec!["192.0.2.0/24".parse().unwrap()],
    };
    store
        .set_maintenance(blog, Some(maintenance))
        .await
        .unwrap();
    store.set_http_auth(blog, true).await.unwrap();
    let hash = Secret::new("$argon2id$hash");
    store
        .add_http_auth_user(blog, &parse("me"), hash)
        .await
        .unwrap();
    let page = Some("<h1>away</h1>".to_owned());
    store
        .set_proxy_page(blog, PageName::Status(502), page)
        .await
        .unwrap();
    store.pause(shop, at(50)).await.unwrap();
    let ports = [parse("http:8080:5000")];
    store.set_ports(shop, &[], &ports).await.unwrap();
    store
        .set_automatic_certificates(blog, Some(false))
        .await
        .unwrap();
    store
        .set_automatic_certificates_default(false)
        .await
        .unwrap();
    let target = Some("runtime".to_owned());
    store
        .set_builder_setting(shop, BuilderSetting::Target, target)
        .await
        .unwrap();
    store
        .set_build_argument(shop, parse("RUBY"), "3.3".to_owned())
        .await
        .unwrap();
    store.purge_build_cache(shop).await.unwrap();
    if schema >= 14 {
        fill_since_11(&store, shop).await;
    }
    if schema >= 17 {
        fill_since_15(&store, shop).await;
    }
    store
}

/// The tables that came with schemas 11 to 14.
async fn fill_since_11(store: &Store, shop: AppId) {
    let limit = Some("2g".to_owned());
    store
        .set_builder_default(BuilderSetting::BuildMemoryLimit, limit)
        .await
        .unwrap();
    store
        .set_build_secret(shop, parse("npm"), parse("TOKEN"))
        .await
        .unwrap();
    let schedule = BackupSchedule {
        place: parse("s3://bucket/mini"),
        every_seconds: 3600,
        at_minute: Some(180),
        keep: 7,
        storage: Some(vec![parse("shop")]),
        passphrase: Secret::new("a long passphrase"),
        since: at(8),
    };
    store.set_backup_schedule(Some(schedule)).await.unwrap();
    let record = BackupRecord {
        name: "mini-host-id-1.age".to_owned(),
        place: parse("s3://bucket/mini"),
        started_at: at(9),
        finished_at: None,
        status: BackupStatus::Running,
        bytes: None,
        failure: None,
    };
    store.add_backup(&record).await.unwrap();
    store
        .finish_backup(&record.name, Ok(4711), at(10))
        .await
        .unwrap();
    let mount = StorageMount {
        name: parse("uploads"),
        target: parse("/app/uploads"),
        is_read_only: true,
    };
    store.set_storage_mount(shop, mount).await.unwrap();
    let credential = GitCredential {
        user: "me".to_owned(),
        token: Secret::new("token of a host"),
    };
    store
        .set_git_credential(&parse("git.test"), credential)
        .await
        .unwrap();
}

/// What came with schemas 15 to 17.
async fn fill_since_15(store: &Store, shop: AppId) {
    let config = vars(&[("REGION", "north")]);
    store.set_global_config(config, vec![]).await.unwrap();
    store.lock_app(shop, "me", at(11)).await.unwrap();
    store.set_autocreation_disabled(Some(true)).await.unwrap();
    let slow = deploy(shop, 2);
    store.add_deploy(&slow).await.unwrap();
    let failure = Some(DeployFailure {
        why: "it took too long".to_owned(),
        reason: Some(FailureReason::Timeout),
    });
    store
        .finish_deploy(&slow.id, DeployStatus::Failed, failure, at(12))
        .await
        .unwrap();
}

/// Everything there is, as text, with what is sealed in the open. The instance id, which is random, is left out.
async fn read(store: &Store) -> String {
    let mut text = Vec::new();
    for app in store.apps().await.unwrap() {
        let id = app.id;
        text.push(format!("{app:?}"));
        let config = store.config(id).await.unwrap();
        for (key, value) in &config {
            text.push(format!("{key}={}", value.reveal()));
        }
        text.push(format!("{:?}", store.scale(id).await.unwrap()));
        for release in store.releases(id).await.unwrap() {
            let config: Vec<String> = release
                .config
                .iter()
                .map(|(key, value)| format!("{key}={}", value.reveal()))
                .collect();
            text.push(format!("{release:?} {config:?}"));
        }
        text.push(format!("{:?}", store.deploys(id, 10).await.unwrap()));
        text.push(format!("{:?}", store.exposure(id).await.unwrap()));
        text.push(format!("{:?}", store.routes(id).await.unwrap()));
        text.push(format!("{:?}", store.redirects(id).await.unwrap()));
        text.push(format!("{:?}", store.certificates(id).await.unwrap()));
        text.push(format!("{:?}", store.maintenance(id).await.unwrap()));
        let auth = store.http_auth(id).await.unwrap();
        for (user, hash) in &auth.users {
            text.push(format!("{} {user:?} {}", auth.is_on, hash.reveal()));
        }
        text.push(format!("{:?}", store.proxy_settings(id).await.unwrap()));
        text.push(format!("{:?}", store.proxy_pages(id).await.unwrap()));
        text.push(format!("{:?}", store.paused_until(id).await.unwrap()));
        text.push(format!("{:?}", store.ports(id).await.unwrap()));
        text.push(format!("{:?}", store.builder(id).await.unwrap()));
        text.push(format!("{:?}", store.app_lock(id).await.unwrap()));
    }
    for (key, value) in store.global_config().await.unwrap() {
        text.push(format!("{key}={}", value.reveal()));
    }
    text.push(format!(
        "{:?}",
        store.is_autocreation_disabled().await.unwrap()
    ));
    text.push(format!("{:?}", store.ssh_keys().await.unwrap()));
    text.push(format!("{:?}", store.global_domains().await.unwrap()));
    let certificates = store.server_certificates().await.unwrap();
    text.push(format!("{certificates:?}"));
    let ids = certificates.iter().map(|found| found.id).collect();
    for (id, pem) in store.certificate_pems(ids).await.unwrap() {
        text.push(format!("{id:?} {}", pem.unwrap().key.reveal()));
    }
    let account = store.authority_account(DIRECTORY.to_owned()).await.unwrap();
    let account = account.unwrap();
    text.push(format!(
        "{} {}",
        account.email,
        account.credentials.reveal()
    ));
    text.push(format!("{:?}", store.failed_orders().await.unwrap()));
    let book = store.order_book().await.unwrap();
    text.push(format!("{:?} {:?}", book.placed, book.advice.keys()));
    text.push(format!(
        "{:?}",
        store.automatic_certificates().await.unwrap()
    ));
    text.push(format!("{:?}", store.census().await.unwrap()));
    if let Some(schedule) = store.backup_schedule().await.unwrap() {
        text.push(format!("{schedule:?} {}", schedule.passphrase.reveal()));
    }
    text.push(format!("{:?}", store.backups().await.unwrap()));
    text.push(format!("{:?}", store.all_storage_mounts().await.unwrap()));
    if let Some(credential) = store.git_credential(&parse("git.test")).await.unwrap() {
        text.push(format!("{credential:?} {}", credential.token.reveal()));
    }
    store.desired().await.unwrap();
    text.join("\n")
}

/// A database as SQL that makes it again.
fn dump(connection: &Connection) -> String {
    let schema: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let mut text = format!("PRAGMA user_version = {schema};\n");
    // SQLite's own come by themselves.
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'index', rowid")
        .unwrap();
    let objects = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    for object in objects {
        let (kind, name, sql): (String, String, String) = object.unwrap();
        text.push_str(&format!("{sql};\n"));
        if kind == "table" {
            text.push_str(&rows(connection, &name));
        }
    }
    if connection.table_exists(None, "sqlite_sequence").unwrap() {
        text.push_str("DELETE FROM sqlite_sequence;\n");
        text.push_str(&rows(connection, "sqlite_sequence"));
    }
    text
}

fn rows(connection: &Connection, table: &str) -> String {
    let mut text = String::new();
    let mut statement = connection
        .prepare(&format!("SELECT * FROM {table}"))
        .unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<String> = (0..columns)
            .map(|column| match row.get_ref(column).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) => {
                    format!(
                        "'{}'",
                        std::str::from_utf8(text).unwrap().replace('\'', "''")
                    )
                }
                ValueRef::Blob(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("x'{digits}'")
                }
            })
            .collect();
        text.push_str(&format!(
            "INSERT INTO {table} VALUES ({});\n",
            values.join(", ")
        ));
    }
    text
}

/// A data directory with the database of a fixture.
fn laid_out(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::write(folder.path().join("keys/config.key"), KEY).unwrap();
    let connection = Connection::open(folder.path().join("mini.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection.execute_batch(sql).unwrap();
    folder
}

/// A data directory with the journal of a fixture.
pub(crate) fn laid_out_events(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("events.db")).unwrap();
    connection.execute_batch(sql).unwrap();
    folder
}

/// The journal of a data directory as a fixture, and its schema. Nobody has it open.
pub(crate) fn dumped_events(data_dir: &Path) -> (usize, String) {
    let connection = Connection::open(data_dir.join("events.db")).unwrap();
    (migrate::EVENTS.len(), dump(&connection))
}

fn schema(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .unwrap();
    let texts = statement.query_map([], |row| row.get(0)).unwrap();
    texts.collect::<Result<_, _>>().unwrap()
}

/// Tables without a row.
fn empty_tables(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names
        .map(Result::<String, _>::unwrap)
        .filter(|table| rows(connection, table).is_empty())
        .collect()
}

#[tokio::test]
async fn every_released_database_is_brought_forward_and_reads_as_it_was_written() {
    for (number, sql) in FIXTURES {
        let fresh = tempfile::tempdir().unwrap();
        let expected = read(&fill(fresh.path(), *number).await).await;
        assert!(expected.contains("hunter2") && expected.contains("key of a certificate"));
        let folder = laid_out(sql);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(read(&store).await, expected, "schema {number}");
    }
}

#[test]
fn no_migration_has_changed_since_its_fixture_was_made() {
    for (number, sql) in FIXTURES {
        let folder = laid_out(sql);
        let released = Connection::open(folder.path().join("mini.db")).unwrap();
        let mut now = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut now, &migrate::STATE[..*number]).unwrap();
        assert_eq!(
            schema(&now),
            schema(&released),
            "schema {number} was released; what it lacks is the next migration, not a change of this one"
        );
        assert_eq!(
            migrate::version(&released, migrate::STATE).unwrap(),
            *number
        );
        assert_eq!(
            empty_tables(&released),
            Vec::<String>::new(),
            "schema {number}"
        );
    }
}

#[test]
fn no_migration_of_the_journal_has_changed_since_its_fixture_was_made() {
    for (number, sql) in EVENT_FIXTURES {
        let folder = laid_out_events(sql);
        let released = Connection::open(folder.path().join("events.db")).unwrap();
        let mut now = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut now, &migrate::EVENTS[..*number]).unwrap();
        assert_eq!(
            schema(&now),
            schema(&released),
            "schema {number} was released"
        );
        assert_eq!(
            migrate::version(&released, migrate::EVENTS).unwrap(),
            *number
        );
        assert_eq!(empty_tables(&released), Vec::<String>::new());
    }
    let newest = EVENT_FIXTURES.last().map(|(number, _)| *number);
    assert_eq!(newest, Some(migrate::EVENTS.len()));
}

#[tokio::test]
async fn a_fixture_is_made_of_a_database_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = fill(folder.path(), migrate::STATE.len()).await;
    let expected = read(&store).await;
    assert!(expected.contains("a long passphrase") && expected.contains("REGION=north"));
    store.close().await.unwrap();
    let connection = Connection::open(folder.path().join("mini.db")).unwrap();
    let sql = dump(&connection);
    let again = Store::open(laid_out(&sql).path()).unwrap();
    assert_eq!(read(&again).await, expected);
    if std::env::var_os("MINI_WRITE_FIXTURE").is_some() {
        assert_eq!(
            empty_tables(&connection),
            Vec::<String>::new(),
            "extend `fill`"
        );
        let file = format!("src/store/tests/fixtures/{:03}.sql", migrate::STATE.len());
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), sql).unwrap();
    }
}
