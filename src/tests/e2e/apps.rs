//! `apps:*`, `domains:*` and the words of commands in general.

use std::os::unix::ffi::OsStrExt;

use crate::docker::Instance;
use crate::http;
use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;

#[test]
fn apps_are_created_listed_and_destroyed() {
    let server = Server::start();
    server
        .ssh(&["apps:list"])
        .says(&["You haven't deployed any applications yet"])
        .succeeds();
    assert_eq!(server.json(&["apps:list"]).to_string(), "[]");
    server.ssh(&["apps:create", "blog"]).succeeds();
    server.mini(&["apps:create", "shop"]).succeeds();
    server
        .ssh(&["apps:create", "blog"])
        .ends_with(1)
        .says(&["Name is already taken"]);
    assert_eq!(
        server.ssh(&["apps:list"]).succeeds(),
        "=====> My Apps\nblog\nshop\n"
    );
    assert_eq!(
        server.json(&["apps:list"]).to_string(),
        r#"["blog","shop"]"#
    );
    server.ssh(&["apps:exists", "blog"]).succeeds();
    server
        .ssh(&["apps:exists", "nothing"])
        .ends_with(20)
        .says(&["App nothing does not exist"]);
    let report = server.ssh(&["apps:report", "blog"]);
    assert!(
        report
            .succeeds()
            .starts_with("=====> blog app information\n"),
        "{report}"
    );

    let destroy = ["apps:destroy", "blog"];
    let refused = server.ssh_with_input(&destroy, b"shop\n");
    refused.ends_with(1).says(&[
        "WARNING: Potentially Destructive Action",
        "Confirmation did not match",
    ]);
    server.ssh(&["apps:exists", "blog"]).succeeds();
    server.ssh_with_input(&destroy, b"blog\n").succeeds();
    server.ssh(&["apps:exists", "blog"]).ends_with(20);
    server.mini(&["--force", "apps:destroy", "shop"]).succeeds();
    server
        .ssh(&["apps:list"])
        .says(&["You haven't deployed any applications yet"]);
}

#[test]
fn a_destroyed_app_leaves_nothing_behind_and_its_name_is_free() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "gone", "one");
    let instance = server.instance();
    server.ssh(&["apps:destroy", "gone", "--force"]).succeeds();
    assert_eq!(server.get("gone", "/").status, 404);
    let left = |instance: &Instance| {
        (
            instance.containers(),
            instance.networks(),
            instance.images(),
        )
    };
    assert_eq!(left(&instance), (vec![], vec![], vec![]));
    server.ssh(&["logs", "gone"]).ends_with(20);
    repository.push().succeeds();
    assert_eq!(server.body("gone", "/"), "version one\n");
    assert_eq!(
        server.json(&["releases", "gone"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_renamed_app_answers_under_its_new_name() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "before", "one");
    server
        .ssh(&["config:set", "--no-restart", "before", "KEPT=yes"])
        .succeeds();
    server
        .ssh(&["domains:add", "before", "shop.example.com"])
        .succeeds();
    server.ssh(&["apps:create", "taken"]).succeeds();
    server
        .ssh(&["apps:rename", "before", "taken"])
        .ends_with(1)
        .says(&["Name is already taken"]);
    server.ssh(&["apps:rename", "before", "after"]).succeeds();
    assert_eq!(server.body("after", "/"), "version one\n");
    assert_eq!(server.get("before", "/").status, 404);
    let own = http::get(server.http(), "shop.example.com", "/").unwrap();
    assert_eq!((own.status, own.body.as_str()), (200, "version one\n"));
    server.ssh(&["apps:exists", "before"]).ends_with(20);
    assert_eq!(
        server.ssh(&["config:get", "after", "KEPT"]).succeeds(),
        "yes\n"
    );

    repository
        .git(&["remote", "set-url", "mini", "mini:after"])
        .succeeds();
    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("after", "/"), "version two\n");
}

#[test]
fn domains_are_added_and_removed_and_belong_to_one_app() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "shop", "one");
    server.ssh(&["apps:create", "other"]).succeeds();
    let ask = |host: &str| http::get(server.http(), host, "/").unwrap().status;
    assert_eq!(ask("www.example.com"), 404);
    server
        .ssh(&["domains:add", "shop", "www.example.com", "example.com"])
        .says(&["-----> Added www.example.com to shop"])
        .succeeds();
    assert_eq!((ask("www.example.com"), ask("example.com")), (200, 200));
    server
        .ssh(&["domains:add", "shop", "example.com"])
        .says(&["-----> Skipping: example.com already added to shop"])
        .succeeds();
    server
        .ssh(&["domains:add", "other", "example.com"])
        .ends_with(1)
        .says(&["example.com is already taken", "it belongs to the app shop"]);
    server
        .ssh(&["domains:add", "other", "shop.localhost"])
        .ends_with(1)
        .says(&["shop"]);
    server
        .ssh(&["domains:report", "shop"])
        .says(&["example.com", "www.example.com"])
        .succeeds();
    server
        .ssh(&["domains:remove", "shop", "www.example.com"])
        .succeeds();
    assert_eq!(ask("www.example.com"), 404);
    assert_eq!(ask("example.com"), 200);
    assert_eq!(server.body("shop", "/"), "version one\n");
    server.ssh(&["domains:add", "shop", "'not a host'"]).fails();
}

#[test]
fn words_that_make_no_command_get_a_clear_answer() {
    let server = Server::start();
    server.ssh(&["apps:lst"]).ends_with(1).says(&[
        "`apps:lst` is not a mini command",
        "Did you mean `apps:list`?",
        "mini help",
    ]);
    server
        .ssh(&["apps:create"])
        .ends_with(2)
        .says(&["apps:create"]);
    server
        .ssh(&["'apps:create", "blog"])
        .ends_with(2)
        .says(&["a quote is not closed"]);
    server
        .ssh(&["\"apps:create\" 'Test;id'"])
        .fails()
        .says(&["App name must begin with lowercase alphanumeric character"]);
    server
        .ssh(&["apps:create ../x"])
        .fails()
        .says(&["App name must begin with"]);
    server
        .ssh(&["apps:create", &"a".repeat(64)])
        .fails()
        .says(&["63 characters at most"]);
    let mut command = server.client().ssh();
    command
        .arg("mini")
        .arg("apps:create")
        .arg(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    run(&mut command).fails().says(&["UTF-8"]);
    server.ssh(&["apps:create; id"]).fails().says_not("uid=");
    server.ssh(&["$(id)"]).fails().says_not("uid=");
    assert_eq!(server.json(&["apps:list"]).to_string(), "[]");

    // No words at all: the help, whatever asks.
    server
        .ssh(&[])
        .says(&["apps:create", "config:set"])
        .succeeds();
    server
        .ssh(&["help"])
        .says(&["apps:create", "config:set"])
        .succeeds();
    server
        .ssh(&["help", "apps:create"])
        .says(&["Create an app"])
        .succeeds();
    server
        .ssh(&["apps:create", "--help"])
        .says(&["Create an app"])
        .succeeds();
    server
        .ssh(&["version"])
        .says(&[env!("CARGO_PKG_VERSION")])
        .succeeds();
    server
        .mini(&["version"])
        .says(&[env!("CARGO_PKG_VERSION")])
        .succeeds();
}

#[test]
fn every_command_about_an_app_that_does_not_exist_ends_with_20() {
    let server = Server::start();
    for words in [
        ["apps:report", "nothing"].as_slice(),
        &["apps:destroy", "nothing", "--force"],
        &["apps:rename", "nothing", "other"],
        &["builds:list", "nothing"],
        &["builds:cancel", "nothing"],
        &["builds:output", "nothing"],
        &["checks:report", "nothing"],
        &["config:export", "nothing"],
        &["config:get", "nothing", "A"],
        &["config:set", "nothing", "A=1"],
        &["config:show", "nothing"],
        &["config:unset", "nothing", "A"],
        &["domains:add", "nothing", "a.example.com"],
        &["http-auth:on", "nothing"],
        &["logs", "nothing"],
        &["maintenance:on", "nothing"],
        &["proxy:report", "nothing"],
        &["proxy:set", "nothing", "max-body-size"],
        &["ps:report", "nothing"],
        &["ps:scale", "nothing", "web=2"],
        &["ps:stop", "nothing"],
        &["releases", "nothing"],
        &["rollback", "nothing"],
        &["run", "nothing", "true"],
        &["url", "nothing"],
    ] {
        server
            .ssh(words)
            .ends_with(20)
            .says(&["App nothing does not exist"]);
    }
}

#[test]
fn lists_and_reports_are_json_when_asked() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "facts", "one");
    assert_eq!(server.json(&["apps:list"])[0], "facts");
    assert_eq!(server.json(&["ps:report", "facts"])["running"], "true");
    assert_eq!(server.json(&["ps:report", "facts"])["deployed"], "true");
    assert_eq!(server.json(&["ps:scale", "facts"])[0]["quantity"], 1);
    let releases = server.json(&["releases", "facts"]);
    assert_eq!(releases[0]["commit"], repository.head());
    assert_eq!(releases[0]["status"], "current");
    assert_eq!(
        server.json(&["builds:list", "facts"])[0]["status"],
        "succeeded"
    );
    for words in [
        ["apps:report", "facts"].as_slice(),
        &["checks:report", "facts"],
        &["config:show", "facts"],
        &["doctor"],
        &["domains:report", "facts"],
        &["ps:report"],
        &["ssh-keys:list"],
        &["url", "facts"],
        &["version"],
    ] {
        server.json(words);
    }
    // A refusal too, on standard error.
    let refused = server.ssh(&["apps:report", "nothing", "--format", "json"]);
    let problem: serde_json::Value = serde_json::from_str(&refused.ends_with(20).stderr).unwrap();
    assert_eq!(problem["error"]["code"], "no-such-app");

    server
        .ssh(&["checks:report", "facts"])
        .says(&["listens on port 5000"])
        .succeeds();
    server
        .ssh(&["ps:report", "facts"])
        .says(&["=====> facts ps information", "running (CID: "])
        .succeeds();
    assert_eq!(
        server.ssh(&["ps:report", "facts", "--running"]).succeeds(),
        "true\n"
    );
    server
        .ssh(&["ps:report", "facts", "--nonsense"])
        .fails()
        .says(&["Invalid flag passed, valid flags: --"]);
}

#[test]
fn the_doctor_looks_at_docker_git_and_the_disk() {
    let server = Server::start();
    let doctor = server.ssh(&["doctor"]);
    let text = doctor.text().to_lowercase();
    for wanted in ["docker", "git", "disk"] {
        assert!(text.contains(wanted), "{doctor}");
    }
}
