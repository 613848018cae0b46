//! Pushes that go well.

use crate::repository::Repository;
use crate::server::Server;

#[test]
fn a_push_ends_with_the_address_and_the_app_answers_there() {
    let server = Server::start();
    let repository = Repository::app(&server, "hello", "one");
    let push = repository.push();
    push.succeeds();
    let url = format!("http://hello.localhost:{}", server.http().port());
    push.says(&[
        "-----> Building hello from Dockerfile",
        "=====> Application deployed:",
        &url,
        "main -> main",
    ]);
    assert_eq!(server.body("hello", "/"), "version one\n");
    assert_eq!(server.ssh(&["url", "hello"]).succeeds().trim(), url);

    assert_eq!(server.body("hello", "/env?name=GIT_REV"), repository.head());
    assert_eq!(server.body("hello", "/env?name=PORT"), "5000");

    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("hello", "/"), "version two\n");
    assert_eq!(server.body("hello", "/env?name=GIT_REV"), repository.head());
}

#[test]
fn nobody_notices_a_push_under_load_but_by_the_new_body() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "busy", "one");
    let load = server.load("busy");
    load.wait_for_requests(100);
    for version in ["two", "three"] {
        repository.set_version(version);
        repository.push().succeeds();
        assert_eq!(server.body("busy", "/"), format!("version {version}\n"));
        load.wait_for_requests(100);
    }
    let tally = load.stop();
    tally.has_no_failure();
    let bodies: Vec<&str> = tally.bodies.iter().map(String::as_str).collect();
    assert_eq!(
        bodies,
        ["version one\n", "version three\n", "version two\n"]
    );
}

#[test]
fn a_request_in_flight_is_answered_by_the_release_it_began_with() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "slow", "one");
    let address = server.http();
    let begun = std::thread::spawn(move || {
        // Longer than the deploy takes; the old process must live until it has answered.
        crate::http::get(address, "slow.localhost", "/slow?ms=8000")
    });
    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("slow", "/"), "version two\n");
    let answer = begun.join().expect("a thread that asks does not panic");
    assert_eq!(answer.expect("an answer").body, "version one\n");
}

#[test]
fn a_push_of_what_is_there_already_ends_well_and_builds_nothing() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "same", "one");
    let push = repository.push();
    push.succeeds();
    push.says(&["Everything up-to-date"]).says_not("Building");
}

#[test]
fn a_large_repository_is_pushed() {
    let server = Server::start();
    let repository = Repository::app(&server, "large", "one");
    // Not compressible, and kept out of the build: what is tried is the way of the pack.
    let mut random = vec![0; 50 << 20];
    std::io::Read::read_exact(
        &mut std::fs::File::open("/dev/urandom").unwrap(),
        &mut random,
    )
    .unwrap();
    repository.write("large.bin", &random);
    repository.write(".dockerignore", "large.bin\n");
    repository.commit("A large file");
    repository.push().succeeds();
    assert_eq!(server.body("large", "/"), "version one\n");
}

#[test]
fn processes_of_all_types_start_and_those_not_scaled_do_not() {
    let server = Server::start();
    let repository = Repository::app(&server, "types", "one");
    repository.write(
        "Procfile",
        "web: python3 -S -E -u app.py\nworker: echo the worker works; exec sleep 1000\n",
    );
    repository.commit("Two process types");
    repository.push().succeeds();
    assert_eq!(
        server.instance().running("types").len(),
        1,
        "only web starts by itself"
    );
    server.ssh(&["ps:scale", "types", "worker=1"]).succeeds();
    assert_eq!(server.instance().running("types").len(), 2);
    crate::wait::wait_until("the worker's line", || {
        server
            .ssh(&["logs", "types", "-p", "worker"])
            .text()
            .contains("the worker works")
    });
    assert_eq!(server.body("types", "/"), "version one\n");

    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("types", "/"), "version two\n");
    crate::wait::wait_until("the old processes to be gone", || {
        server.instance().running("types").len() == 2
    });
}

#[test]
fn the_release_command_runs_before_the_new_release_serves() {
    let server = Server::start();
    let repository = Repository::app(&server, "migrate", "one");
    repository.write(
        "Procfile",
        "release: echo migrating for $GREETING\nweb: python3 -S -E -u app.py\n",
    );
    repository.commit("A release command");
    server.ssh(&["apps:create", "migrate"]).succeeds();
    server
        .ssh(&["config:set", "migrate", "GREETING=everyone"])
        .succeeds();
    let push = repository.push();
    push.succeeds();
    push.says(&["migrating for everyone", "=====> Application deployed:"]);
    assert_eq!(server.body("migrate", "/env?name=GREETING"), "everyone");
}

#[test]
fn the_port_is_the_one_the_image_exposes_or_the_config_names() {
    let server = Server::start();
    let repository = Repository::app(&server, "ports", "one");
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    repository.write("Dockerfile", dockerfile.replace("CMD", "EXPOSE 8123\nCMD"));
    repository.commit("It exposes a port");
    repository
        .push()
        .says(&["web.1 is ready on port 8123"])
        .succeeds();
    assert_eq!(server.body("ports", "/env?name=PORT"), "8123");
    server
        .ssh(&["config:set", "ports", "PORT=7000"])
        .says(&["web.1 is ready on port 7000"])
        .succeeds();
    assert_eq!(server.body("ports", "/env?name=PORT"), "7000");
}

#[test]
fn declared_checks_are_tried_before_the_switch() {
    let server = Server::start();
    let repository = Repository::app(&server, "checked", "one");
    repository.write(
        "app.json",
        r#"{"healthchecks":{"web":[{"path":"/","content":"version one","attempts":3,"wait":1}]}}"#,
    );
    repository.commit("A check");
    repository.push().succeeds();
    server
        .ssh(&["checks:report", "checked"])
        .says(&["answers / with \"version one\" in it"])
        .succeeds();
    repository.git(&["rm", "--quiet", "app.json"]).succeeds();
    repository.write("CHECKS", "WAIT=0\nATTEMPTS=2\n/ version two\n");
    repository.set_version("two");
    repository.push().succeeds();
    assert_eq!(server.body("checked", "/"), "version two\n");
}

#[test]
fn a_build_that_says_very_much_is_no_obstacle() {
    let server = Server::start();
    let repository = Repository::app(&server, "chatty", "one");
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    repository.write(
        "Dockerfile",
        dockerfile.replace("CMD", "RUN seq 1 200000\nCMD"),
    );
    repository.commit("It counts");
    repository.push().succeeds();
    assert_eq!(server.body("chatty", "/"), "version one\n");
    server
        .ssh(&["builds:output", "chatty"])
        .says(&["=====> Application deployed:"])
        .succeeds();
}
