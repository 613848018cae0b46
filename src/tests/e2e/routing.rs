//! Domains, routes and redirects as operators set them over ssh and visitors meet them with curl.

use std::process::Command;

use serde_json::Value;

use crate::process::{Ran, run};
use crate::repository::Repository;
use crate::server::Server;

/// Asks with curl, which resolves every name to the server.
#[track_caller]
fn curl(server: &Server, address: &str, more: &[&str]) -> Ran {
    let here = format!("::{}", server.http());
    let url = format!("http://{address}");
    let line = [
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--connect-to",
        &here,
    ];
    run(Command::new("curl").args(line).args(more).arg(url))
}

#[track_caller]
fn body(server: &Server, address: &str) -> String {
    curl(server, address, &["--fail"]).succeeds().to_owned()
}

/// The status, and where a redirect leads.
#[track_caller]
fn outcome(server: &Server, address: &str) -> String {
    let form = "%{http_code} %{redirect_url}";
    let ran = curl(
        server,
        address,
        &["--output", "/dev/null", "--write-out", form],
    );
    ran.succeeds().trim().to_owned()
}

#[test]
fn domains_are_given_taken_and_hidden_while_the_app_runs_on() {
    let server = Server::start();
    let _shop = Repository::deployed(&server, "shop", "one");
    let _blog = Repository::deployed(&server, "blog", "two");
    let ssh = |words: &[&str]| server.ssh(words);
    ssh(&["domains:add", "shop", "*.shop.test", "Bücher.test"]).succeeds();
    ssh(&["domains:add", "blog", "blog.shop.test"]).succeeds();
    assert_eq!(body(&server, "any.shop.test/"), "version one\n");
    assert_eq!(body(&server, "xn--bcher-kva.test/"), "version one\n");
    assert_eq!(body(&server, "blog.shop.test/"), "version two\n");
    assert_eq!(outcome(&server, "a.b.shop.test/"), "404");
    let refused = ssh(&["domains:add", "shop", "blog.shop.test"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains("it belongs to the app blog"),
        "{refused}"
    );

    ssh(&["domains:add-global", "apps.test"]).succeeds();
    assert_eq!(body(&server, "blog.apps.test/"), "version two\n");
    ssh(&["domains:set", "blog", "blog.test"]).succeeds();
    assert_eq!(outcome(&server, "blog.apps.test/"), "404");
    assert_eq!(outcome(&server, "blog.localhost/"), "404");
    // The wildcard takes what the exact name has left.
    assert_eq!(body(&server, "blog.shop.test/"), "version one\n");
    assert_eq!(body(&server, "blog.test/"), "version two\n");

    ssh(&["domains:disable", "shop"]).succeeds();
    assert_eq!(outcome(&server, "shop.localhost/"), "404");
    assert_eq!(outcome(&server, "any.shop.test/"), "404");
    let running = ssh(&["ps:report", "shop", "--running"]);
    assert_eq!(running.succeeds().trim(), "true");
    ssh(&["domains:enable", "shop"]).succeeds();
    assert_eq!(body(&server, "shop.localhost/"), "version one\n");
}

#[test]
fn paths_lead_to_another_app_or_process_type_and_redirects_elsewhere() {
    let server = Server::start();
    let shop = Repository::app(&server, "shop", "one");
    shop.write(
        "Procfile",
        "web: python3 -u app.py\napi: env ROLE=api python3 -u app.py\nidle: sleep 1000\n",
    );
    shop.commit("Three process types");
    shop.push().succeeds();
    let _blog = Repository::deployed(&server, "blog", "two");
    let ssh = |words: &[&str]| server.ssh(words);
    ssh(&["ps:scale", "shop", "api=1"]).succeeds();

    ssh(&["routes:add", "shop", "/api", "--process", "api", "--strip"]).succeeds();
    ssh(&["routes:add", "shop", "/blog", "--to", "blog", "--strip"]).succeeds();
    assert_eq!(body(&server, "shop.localhost/api/env?name=ROLE"), "api");
    assert_eq!(outcome(&server, "shop.localhost/env?name=ROLE"), "404");
    assert_eq!(body(&server, "shop.localhost/blog"), "version two\n");
    let headers: Value =
        serde_json::from_str(&body(&server, "shop.localhost/api/headers")).unwrap();
    assert_eq!(headers["x-forwarded-prefix"], "/api");
    let detour = curl(&server, "shop.localhost/api/../env", &["--path-as-is"]);
    assert!(
        detour
            .succeeds()
            .contains("path of this request is not clear"),
        "{detour}"
    );

    // What does not listen is refused, and the address leads where it did before.
    ssh(&["ps:scale", "shop", "idle=1"]).succeeds();
    let refused = ssh(&["routes:add", "shop", "/idle", "--process", "idle"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains("idle.1 is not listening on $PORT"),
        "{refused}"
    );
    assert_eq!(
        body(&server, "shop.localhost/idle/../api/env?name=ROLE"),
        "api"
    );
    assert_eq!(
        server
            .json(&["routes:report", "shop"])
            .as_array()
            .unwrap()
            .len(),
        2
    );

    ssh(&["redirects:set", "shop", "www.shop.test", "shop.test", "308"]).succeeds();
    ssh(&["redirects:set", "shop", "/old", "/new/*"]).succeeds();
    assert_eq!(
        outcome(&server, "www.shop.test/x?y=z"),
        "308 http://shop.test/x?y=z"
    );
    assert_eq!(
        outcome(&server, "shop.localhost/old/a?b"),
        "301 http://shop.localhost/new/a?b"
    );
    ssh(&["redirects:unset", "shop", "/old"]).succeeds();
    ssh(&["routes:remove", "shop", "/api"]).succeeds();
    assert_eq!(outcome(&server, "shop.localhost/old"), "404");
    assert_eq!(outcome(&server, "shop.localhost/api/env?name=ROLE"), "404");
}
