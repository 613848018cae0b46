//! Each command as it is typed: what it prints when it succeeds and when it refuses, as text and as JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "cli_commands/house.rs"]
mod house;

use std::time::Duration;

use house::House;
use mini::engine::Stream;

/// Types lines one after the other and compares the whole transcript.
macro_rules! transcript {
    ($name:literal, $house:expr, [$($line:expr),+ $(,)?]) => {
        $($house.types($line).await;)+
        insta::assert_snapshot!($name, $house.transcript());
    };
}

#[path = "cli_commands/api.rs"]
mod api;
#[path = "cli_commands/app_json.rs"]
mod app_json;
#[path = "cli_commands/apps.rs"]
mod apps;
#[path = "cli_commands/at_once.rs"]
mod at_once;
#[path = "cli_commands/builder.rs"]
mod builder;
#[path = "cli_commands/certs.rs"]
mod certs;
#[path = "cli_commands/config.rs"]
mod config;
#[path = "cli_commands/git.rs"]
mod git;
#[path = "cli_commands/git_sync.rs"]
mod git_sync;
#[path = "cli_commands/keys.rs"]
mod keys;
#[path = "cli_commands/ports.rs"]
mod ports;
#[path = "cli_commands/processes.rs"]
mod processes;
#[path = "cli_commands/proxy.rs"]
mod proxy;
#[path = "cli_commands/pushes.rs"]
mod pushes;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@laptop\n";

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_made_listed_renamed_and_destroyed() {
    let mut house = House::new();
    transcript!(
        "apps",
        house,
        [
            "apps:list",
            "apps:list --format json",
            "apps:create blog",
            "apps:create blog",
            "apps:create shop --format json",
            "apps:create 'Test;id'",
            "apps:create ../x",
            "apps:list",
            "--quiet apps:list",
            "apps:list --format json",
            "apps:exists blog",
            "apps:exists nope",
            "apps:report blog",
            "apps:report blog --app-stopped",
            "apps:report blog --nonsense",
            "apps:report blog --app-stopped --format json",
            "apps:report --format json",
            "apps:report nope",
            "apps:report nope --format json",
            "apps:rename blog shop",
            "apps:rename blog news",
            "apps:rename blog news",
            "apps:destroy news",
            "apps:destroy nope --force",
        ]
    );
    house.types_with("apps:destroy news", "nws\n").await;
    house.types_with("apps:destroy news", "news\n").await;
    house.types("--force apps:destroy shop --format json").await;
    house.types("apps:list").await;
    insta::assert_snapshot!("apps_destroyed", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn config_vars_are_set_shown_and_unset() {
    let mut house = House::new();
    transcript!(
        "config",
        house,
        [
            "apps:create blog",
            "config blog",
            "config:set blog A='b c' TOKEN=x=y",
            "config:set blog A=d --show --format json",
            "config:set blog KEY",
            "config:set blog 1A=x",
            "config:set blog",
            "config:set nope A=b",
            "config:show blog",
            "config:show blog --show",
            "config:show blog --format json",
            "config:keys blog",
            "config:keys blog --format json",
            "config:get blog TOKEN",
            "config:get blog TOKEN --quoted",
            "config:get blog TOKEN --format json",
            "config:get blog NOPE",
            "config:get nope A",
            "config:export blog",
            "config:export blog --format json",
            "config:export blog --format xml",
            "config:unset blog TOKEN NOPE",
            "config:unset blog NOPE --format json",
            "config:show blog --format json",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_app_is_deployed_again_with_new_config() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    for line in [
        "config:set blog A=b --no-restart",
        "releases blog",
        "config:set blog SECRET=hunter2",
        "config:set blog A=c --format json",
        "config:unset blog A",
        "releases blog",
        "ps:restart blog",
        "rollback blog v1",
        "rollback blog v99",
        "releases blog --format json",
        "builds:list blog",
    ] {
        house.retires("blog").await;
        house.types(line).await;
    }
    insta::assert_snapshot!("config_deployed", house.transcript());
    house.types("builds:output blog").await;
    house.types("builds:output blog current --quiet").await;
    let json = house.json("builds:list blog --num 1 --format json").await;
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["status"], "succeeded");
    assert_eq!(json[0]["trigger"], "rollback");
    let info = house.json("builds:info blog --format json").await;
    assert_eq!(info["id"], json[0]["id"]);
    let output = house.json("builds:output blog --format json").await;
    assert_eq!(output["status"], "succeeded");
    assert!(!output["events"].as_array().unwrap().is_empty());
    insta::assert_snapshot!("builds_output", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_redeploy_says_that_the_vars_are_stored_and_the_old_release_runs() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let script = "echo no database; exit 1";
    house.engine.set_script(&"blog".parse().unwrap(), script);
    assert_eq!(house.types("config:set blog A=b").await, 1);
    let text = house.transcript();
    assert!(
        text.contains("The config vars are stored, but v1 keeps running"),
        "{text}"
    );
    assert!(text.contains("no database"), "{text}");
    house.types("ps:report blog --running").await;
    house.types("config:get blog A").await;
    let text = house.transcript();
    assert_eq!(
        text,
        "$ ps:report blog --running\ntrue\n$ config:get blog A\nb\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_scaled_stopped_and_started() {
    let mut house = House::new();
    transcript!(
        "ps_undeployed",
        house,
        [
            "apps:create blog",
            "ps:scale blog",
            "ps:scale blog web=2 worker=1",
            "ps:scale blog web=x",
            "ps:scale blog web=5000",
            "ps:report blog --deployed",
            "ps:restart blog",
            "ps:rebuild blog",
            "ps:start blog",
            "logs blog",
            "run blog ls",
            "builds:list blog",
            "builds:output blog",
            "builds:info blog 123",
            "builds:cancel blog",
            "releases blog",
            "releases blog --format json",
            "checks:report blog",
        ]
    );
    house
        .deploy("shop", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    transcript!(
        "ps",
        house,
        [
            "ps:scale shop",
            "ps:scale shop web=2 worker=1",
            "ps:scale shop --format json",
            "ps:scale shop clock=1",
            "ps:report shop --running",
            "ps:report shop --processes",
            "ps:restart shop worker",
            "ps:restart shop clock",
            "ps:stop shop",
            "ps:report shop --running",
            "ps:start shop",
            "ps:report shop --running",
            "checks:report shop",
            "checks:report shop --format json",
            "ps:stop nope",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_added_and_removed() {
    let mut house = House::new();
    transcript!(
        "domains",
        house,
        [
            "apps:create blog",
            "apps:create shop",
            "domains:add blog www.Example.com shop.example.org",
            "domains:add blog *.example.org Bücher.example",
            "domains:add blog www.example.com --format json",
            "domains:add shop www.example.com",
            "domains:add blog shop.localhost",
            "domains:add blog http://x",
            "domains blog",
            "domains:report blog --format json",
            "url blog",
            "url blog --format json",
            "urls blog",
            "urls blog --format json",
            "url nope",
            "domains:remove blog www.example.com never.example.com",
            "domains:remove blog www.example.com --format json",
        ]
    );
    transcript!(
        "domains_set",
        house,
        [
            "domains:set blog www.example.com shop.localhost",
            "domains:set shop shop.example.org",
            "domains:report shop",
            "domains:set blog www.example.com example.com",
            "domains:report blog",
            "domains:clear blog --format json",
            "url blog",
            "domains:reset blog",
            "urls blog",
            "domains:set shop a.example.org b.example.org --format json",
            "domains:disable shop",
            "domains:report shop",
            "urls shop",
            "domains:disable nope",
            "domains:enable shop --format json",
            "urls shop",
        ]
    );
    transcript!(
        "domains_global",
        house,
        [
            "domains:report --global",
            "domains:add-global Apps.example.com localhost",
            "domains:add-global *.example.com",
            "domains:report --global",
            "domains:report --global --format json",
            "urls blog",
            "domains:add blog shop.apps.example.com",
            "domains:set-global a.example.com b.example.com --format json",
            "domains:remove-global a.example.com c.example.com",
            "domains:remove-global localhost",
            "urls blog --format json",
            "domains:clear-global",
            "domains:report --global --format json",
            "domains:report blog --global",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_routed_to_other_processes_and_apps() {
    let mut house = House::new();
    house
        .deploy("shop", &[("web", "sleep"), ("api", "sleep")])
        .await;
    house.types("ps:scale shop api=1 --quiet").await;
    house.transcript();
    transcript!(
        "routes",
        house,
        [
            "apps:create blog",
            "routes:report",
            "routes:add shop /api --process api --strip",
            "routes:add shop shop.localhost/blog --to blog --format json",
            "routes:add shop /x",
            "routes:add shop shop.localhost --to blog --strip",
            "routes:add shop other.test/x --to blog",
            "routes:add shop /x --to nope",
            "routes:add shop /x --process clock",
            "routes:add shop /a/../b --to blog",
            "routes:add shop / --to blog",
            "routes:add blog /x --process later",
            "routes shop",
            "routes:report --format json",
            "routes:remove shop /api",
            "routes:remove shop /api",
            "routes:report shop",
            "routes:report nope",
        ]
    );
    // What was deployed again for its route listens on the port it was told.
    house.types("builds:list shop --num 1 --format json").await;
    assert!(house.transcript().contains("succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_redirected() {
    let mut house = House::new();
    transcript!(
        "redirects",
        house,
        [
            "apps:create shop",
            "apps:create blog",
            "redirects shop",
            "domains:add shop example.com",
            "redirects:set shop www.Example.com example.com 308",
            "redirects:set shop /old https://example.org/new/* --format json",
            "redirects:set shop example.com www.example.com",
            "redirects:set shop /old2 /old2/x",
            "redirects:set shop a.example.com b.example.com 200",
            "redirects:set shop a.example.com javascript:alert(1)",
            "redirects:set blog example.com blog.example.com",
            "redirects:set blog shop.localhost blog.localhost",
            "redirects:set blog www.example.com blog.example.com",
            "domains:add blog www.example.com",
            "routes:add shop /old --to blog",
            "redirects:report shop",
            "redirects:report --format json",
            "redirects:unset shop www.example.com",
            "redirects:unset shop www.example.com",
            "domains:add blog www.example.com",
            "redirects:report nope",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_listed_and_removed() {
    let mut house = House::new();
    house.types_with("ssh-keys:add me", KEY).await;
    house.types_with("ssh-keys:add other", KEY).await;
    house
        .types_with(
            "ssh-keys:add me",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAHlLkA5bqEAyXIv63DcvWvDqVpOHGJWTzBqdVtV0tUN\n",
        )
        .await;
    house
        .types_with("ssh-keys:add x", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
        .await;
    house.types_with("ssh-keys:add x", "hello\n").await;
    house.types("ssh-keys:add x").await;
    house.types("ssh-keys:add 'a b'").await;
    house.types("ssh-keys:list").await;
    house.types("ssh-keys:list --format json").await;
    house.types("ssh-keys:remove me").await;
    house.types("ssh-keys:remove me").await;
    house.types("ssh-keys:list").await;
    house.types("ssh-keys:list --format json").await;
    insta::assert_snapshot!("ssh_keys", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_in_a_container_of_its_own() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("hello", "echo good day")])
        .await;
    house.types("run blog echo a b").await;
    house.types("run blog exit 7").await;
    house.types("run blog hello").await;
    house.types("--quiet run blog hello").await;
    house.types_with("run blog cat", "typed\n").await;
    house.types("run blog --env X ls").await;
    house.types("run nope ls").await;
    house.types("run blog").await;
    insta::assert_snapshot!("run", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_printed_and_followed_across_a_restart_without_repeating() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "echo begun; sleep"), ("worker", "sleep")])
        .await;
    house.types("ps:scale blog worker=1").await;
    let web = house.process("blog", "web", 1).await;
    let worker = house.process("blog", "worker", 1).await;
    house.engine.say(&web.id, Stream::Stdout, "one");
    house.engine.say(&worker.id, Stream::Stderr, "two");
    house.engine.say(&web.id, Stream::Stdout, "three");
    house.transcript();
    transcript!(
        "logs",
        house,
        [
            "logs blog",
            "logs blog -q",
            "logs blog -q -n 2",
            "logs blog -q -p web",
            "logs blog -q -p worker.1",
            "logs blog -q -p worker.2",
            "logs blog -p web.x",
            "logs nope",
        ]
    );

    let json = house.json("logs blog -n 1 --format json").await;
    assert_eq!(json[0]["process"], "web.1");
    assert_eq!(json[0]["text"], "three");
    assert_eq!(json[0]["stream"], "stdout");
    let mut said = house.begins("logs blog -t -q -p web");
    let next = async |said: &mut tokio::sync::mpsc::Receiver<_>| {
        let part: Option<(Stream, bytes::Bytes)> =
            tokio::time::timeout(Duration::from_secs(30), said.recv())
                .await
                .unwrap();
        String::from_utf8_lossy(&part.unwrap().1).into_owned()
    };
    for expected in ["begun\n", "one\n", "three\n"] {
        assert_eq!(next(&mut said).await, expected);
    }
    house.engine.say(&web.id, Stream::Stdout, "four");
    assert_eq!(next(&mut said).await, "four\n");
    house.types("ps:restart blog").await;
    assert_eq!(next(&mut said).await, "begun\n");
    let renewed = loop {
        let web = house.process("blog", "web", 1).await;
        if web.release.0 == 2 {
            break web;
        }
        tokio::task::yield_now().await;
    };
    house.engine.say(&renewed.id, Stream::Stdout, "five");
    assert_eq!(next(&mut said).await, "five\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_it_is_and_what_is_wrong() {
    let mut house = House::new();
    transcript!(
        "server",
        house,
        [
            "version",
            "--version",
            "version --format json",
            "help builds",
            "foo",
            "apps:lst",
            "config:set blog A='b"
        ]
    );
    assert_eq!(house.types("doctor --format json").await, 0);
    house.engine.go_down();
    assert_eq!(house.types("doctor").await, 1);
    let text = house.transcript();
    assert!(text.contains("failed   docker"), "{text}");
    assert!(text.contains("systemctl start docker"), "{text}");
}

/// The next thing a command says.
async fn next_said(said: &mut tokio::sync::mpsc::Receiver<(Stream, bytes::Bytes)>) -> String {
    let part = tokio::time::timeout(Duration::from_secs(30), said.recv()).await;
    String::from_utf8_lossy(&part.unwrap().unwrap().1).into_owned()
}
