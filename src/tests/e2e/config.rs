//! `config:*`: values come through unharmed, reach the app, and stay secret.

use std::path::Path;

use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

/// Quoted for one shell: ssh joins its words, and the server splits them again.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn values_come_back_as_they_were_set() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "values", "one");
    let values = [
        ("SPACES", "  two words  "),
        ("QUOTES", "it's \"quoted\" and `more` \\ $HOME"),
        ("LINES", "first\nsecond\n\nfourth"),
        ("UNICODE", "grüße 🚀 日本"),
        ("EQUALS", "a=b=c"),
        ("EMPTY", ""),
    ];
    let assignments: Vec<String> = values
        .iter()
        .map(|(key, value)| quoted(&format!("{key}={value}")))
        .collect();
    let words: Vec<&str> = ["config:set", "values"]
        .into_iter()
        .chain(assignments.iter().map(String::as_str))
        .collect();
    server.ssh(&words).succeeds();
    for (key, value) in values {
        let got = server.ssh(&["config:get", "values", key]);
        assert_eq!(got.succeeds(), format!("{value}\n"), "{key}");
        assert_eq!(
            server.body("values", &format!("/env?name={key}")),
            value,
            "{key} in the app"
        );
    }
    // What is exported for a shell gives a shell the same values.
    let exported = server.ssh(&["config:export", "values"]);
    let script = format!(
        "{}\nprintf %s \"$QUOTES|$LINES|$UNICODE\"",
        exported.succeeds()
    );
    let shell = run(std::process::Command::new("sh").args(["-c", &script]));
    assert_eq!(
        shell.succeeds(),
        format!("{}|{}|{}", values[1].1, values[2].1, values[3].1)
    );
    let json = server.json(&["config:export", "values"]);
    for (key, value) in values {
        assert_eq!(json[key], value);
    }

    server
        .ssh(&["config:unset", "values", "SPACES", "NEVER"])
        .says(&[
            "-----> Unsetting SPACES",
            "-----> Skipping NEVER, it is not set in the environment",
        ])
        .succeeds();
    server.ssh(&["config:get", "values", "SPACES"]).ends_with(1);
    assert_eq!(server.get("values", "/env?name=SPACES").status, 404);
    server
        .ssh(&["config:set", "values", "1BAD=x"])
        .fails()
        .says(&["does not begin with a digit"]);
    server.ssh(&["config:set", "values", "NOVALUE"]).fails();
}

#[test]
fn a_value_set_without_a_restart_waits_for_the_next_deploy() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "later", "one");
    let before = server.instance().running("later");
    server
        .ssh(&["config:set", "--no-restart", "later", "LATER=yes"])
        .succeeds();
    assert_eq!(server.instance().running("later"), before);
    assert_eq!(server.get("later", "/env?name=LATER").status, 404);
    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("later", "/env?name=LATER"), "yes");
}

#[test]
fn nobody_notices_a_config_change_under_load() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "changes", "one");
    let load = server.load("changes");
    load.wait_for_requests(100);
    for value in ["a", "b"] {
        server
            .ssh(&["config:set", "changes", &format!("VALUE={value}")])
            .succeeds();
        assert_eq!(server.body("changes", "/env?name=VALUE"), value);
        load.wait_for_requests(100);
    }
    load.stop().has_no_failure();
}

#[test]
fn secrets_are_masked_and_neither_in_the_database_nor_in_the_log() {
    const SECRET: &str = "hunter2-correct-horse-battery";
    let server = Server::start();
    let repository = Repository::app(&server, "secrets", "one");
    server.ssh(&["apps:create", "secrets"]).succeeds();
    server
        .ssh(&["config:set", "secrets", &format!("PASSWORD={SECRET}")])
        .says_not(SECRET)
        .succeeds();
    repository.push().says_not(SECRET).succeeds();
    server
        .ssh(&["config:set", "secrets", "OTHER=x"])
        .says_not(SECRET)
        .succeeds();
    server
        .ssh(&["config:show", "secrets"])
        .says(&["PASSWORD"])
        .says_not(SECRET)
        .succeeds();
    server
        .ssh(&["config", "secrets", "--show"])
        .says(&[SECRET])
        .succeeds();
    for words in [
        ["releases", "secrets"].as_slice(),
        &["builds:output", "secrets"],
        &["apps:report", "secrets"],
        &["config:show", "secrets", "--format", "json"],
    ] {
        server.ssh(words).says_not(SECRET).succeeds();
    }
    assert_eq!(server.body("secrets", "/env?name=PASSWORD"), SECRET);
    server.stop();
    assert!(!server.log().contains(SECRET), "the log holds the secret");
    let mut looked_at = 0;
    search(&server.data_dir(), SECRET.as_bytes(), &mut looked_at);
    assert!(looked_at > 3, "only {looked_at} files were looked at");
}

/// No file below `folder` may hold `secret`.
fn search(folder: &Path, secret: &[u8], looked_at: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, secret, looked_at);
        } else if path.is_file() {
            *looked_at += 1;
            let content = std::fs::read(&path).unwrap();
            let is_there = content.windows(secret.len()).any(|part| part == secret);
            assert!(!is_there, "{} holds the secret", path.display());
        }
    }
}

#[test]
fn a_change_that_the_app_does_not_survive_keeps_the_old_one_serving() {
    let server = Server::start();
    let repository = Repository::app(&server, "fragile", "one");
    repository.write(
        "Procfile",
        "web: test -z \"$BREAK\" && exec python3 -S -E -u app.py\n",
    );
    repository.commit("It breaks when asked");
    repository.push().succeeds();
    server
        .ssh(&["config:set", "fragile", "BREAK=1"])
        .fails()
        .says(&["did not stay up"]);
    assert_eq!(server.body("fragile", "/"), "version one\n");
    server.ssh(&["config:unset", "fragile", "BREAK"]).succeeds();
    assert_eq!(server.body("fragile", "/"), "version one\n");
    wait_until("one process to be left", || {
        server.instance().running("fragile").len() == 1
    });
}
