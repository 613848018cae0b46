//! Backups in an S3-compatible store, and archives that other programs open.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use crate::moto::Moto;
use crate::process::{run, run_with_input};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

const PASSPHRASE: &str = "correct horse battery staple";

fn passphrase(server: &Server) -> String {
    let path = server.scratch().join("passphrase");
    std::fs::write(&path, format!("{PASSPHRASE}\n")).unwrap();
    path.display().to_string()
}

fn server_at(moto: &Moto) -> Server {
    let environment = moto.environment();
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Server::start_with(&environment)
}

/// `mini` where there is no server: on the fresh host.
fn elsewhere(moto: &Moto, words: &[&str]) -> crate::process::Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini"));
    run(command.args(words).envs(moto.environment()))
}

#[test]
fn backups_in_a_bucket_are_made_listed_verified_restored_and_thinned_out() {
    let moto = Moto::with_bucket("shop");
    let server = server_at(&moto);
    let passphrase = passphrase(&server);
    let _blog = Repository::deployed(&server, "blog", "one");
    // Of others, or of an upload that a crash has cut off; the server knows its own by their names.
    moto.begin_upload("shop", "own/mini-other-aaaaaa-20261101T010203004Z.age");

    let to = "s3://shop/own";
    let schedule = [
        "backup:schedule",
        "--to",
        to,
        "--every",
        "24h",
        "--keep",
        "2",
    ];
    let file = ["--passphrase-file", &passphrase];
    server.mini(&[&schedule[..], &file].concat()).succeeds();
    wait_until("the first backup", || {
        server.json(&["backup:list"])[0]["status"] == "verified"
    });
    let first = server.json(&["backup:list"])[0]["name"].clone();
    let first = first.as_str().unwrap().to_owned();
    let (host_and_id, _) = first.rsplit_once('-').unwrap();
    let stray = format!("own/{host_and_id}-20261101T010203004Z.age");
    moto.begin_upload("shop", &stray);

    let by_hand = server.ssh_with_input(
        &["backup:create", "--to", "s3://shop/own"],
        format!("{PASSPHRASE}\n").as_bytes(),
    );
    let by_hand = by_hand.succeeds().trim().to_owned();
    for _ in 0..2 {
        server.ssh(&["backup:run"]).succeeds();
    }
    let objects = moto.objects("shop");
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert!(
        !objects.iter().any(|key| key.ends_with(&first)),
        "{objects:?}"
    );
    assert!(
        objects.iter().any(|key| by_hand.ends_with(key)),
        "{objects:?}"
    );
    assert_eq!(
        moto.unfinished("shop"),
        ["own/mini-other-aaaaaa-20261101T010203004Z.age"]
    );
    server.ssh(&["backup:report"]).succeeds();
    let listed = server.ssh(&["backup:list", "--from", to]);
    assert_eq!(listed.succeeds().lines().count(), 3, "{listed}");

    // Nobody is told the keys.
    let log = server.log();
    let told = format!("{log}{}{listed}", moto.log().replace("X-Amz-", ""));
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!log.contains("X-Amz-Signature"), "{log}");

    // Straight from the store, where there is no server.
    let listed = elsewhere(&moto, &["backup:list", "--from", to, "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.succeeds()).unwrap();
    assert_eq!(listed["archives"].as_array().unwrap().len(), 3, "{listed}");
    let verify = ["backup:verify", &by_hand, "--passphrase-file", &passphrase];
    let verified = elsewhere(&moto, &verify);
    assert!(verified.succeeds().contains("blog: v1 of"), "{verified}");
    let data_dir = server.scratch().join("new").display().to_string();
    let restore = ["--data-dir", &data_dir, "backup:restore", &by_hand];
    elsewhere(&moto, &[&restore[..], &file].concat()).succeeds();
    assert!(Path::new(&data_dir).join("repos/blog.git/HEAD").exists());
}

#[test]
fn a_store_that_does_not_take_a_backup_is_told_with_its_remedy() {
    let moto = Moto::with_bucket("shop");
    let server = server_at(&moto);
    let input = format!("{PASSPHRASE}\n");
    let create = |to: &str| {
        let create = ["backup:create", "--to", to];
        server.ssh_with_input(&create, input.as_bytes())
    };
    let no_bucket = create("s3://nowhere/x");
    assert_ne!(no_bucket.code, 0);
    assert!(
        no_bucket.stderr.contains("there is no such bucket"),
        "{no_bucket}"
    );
    let named = "s3://shop/one.age";
    create(named).succeeds();
    let again = create(named);
    assert!(
        again.code != 0 && again.stderr.contains("is there already"),
        "{again}"
    );
    let schedule = ["backup:schedule", "--to", "s3://nowhere"];
    let refused = server.ssh_with_input(&schedule, input.as_bytes());
    assert_ne!(refused.code, 0, "{refused}");
    let missing = elsewhere(
        &moto,
        &[
            "backup:verify",
            "s3://shop/two.age",
            "--passphrase-file",
            &passphrase(&server),
        ],
    );
    assert!(
        missing.code != 0 && missing.stderr.contains("there is no such archive"),
        "{missing}"
    );

    // The store goes away for good.
    drop(moto);
    let gone = create("s3://shop/x");
    assert_ne!(gone.code, 0);
    assert!(gone.stderr.contains("could not be reached"), "{gone}");
    assert!(!gone.stderr.contains("X-Amz"), "{gone}");
}

/// An archive is not lost with mini: the program `age` opens it, which asks a terminal for the passphrase.
#[test]
fn age_opens_an_archive_with_the_passphrase() {
    let server = Server::start();
    let archive = server.scratch().join("mini.age").display().to_string();
    let create = ["backup:create", "--to", &archive];
    server
        .mini(&[&create[..], &["--passphrase-file", &passphrase(&server)]].concat())
        .succeeds();
    let opened = server.scratch().join("opened").display().to_string();
    // `script` (bsdutils) is the terminal.
    let line = format!("age -d -o '{opened}' '{archive}'");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    run_with_input(&mut script, format!("{PASSPHRASE}\n").as_bytes()).succeeds();
    let opened = std::fs::File::open(opened).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(opened).unwrap());
    let names: Vec<String> = tar
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            entry.path().unwrap().display().to_string()
        })
        .collect();
    for wanted in [
        "mini-backup.json",
        "mini.db",
        "keys/config.key",
        "manifest.json",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
    }
}
