//! Builds that behave: how many at once, for how long, with how much memory, with which secrets, and what they leave.

use std::process::Command;

use crate::docker::{Instance, docker};
use crate::gate::Gate;
use crate::process::{Ran, run, run_with_input};
use crate::repository::Repository;
use crate::server::Server;

const START: &str = r#"CMD ["python3", "-S", "-E", "-u", "app.py"]"#;

/// A repository of the small app whose Dockerfile has these lines before its end.
fn with_steps<'a>(server: &'a Server, app: &str, steps: &str) -> Repository<'a> {
    let repository = Repository::empty(server, app);
    repository.write("app.py", include_str!("app.py"));
    repository.write("version.txt", "one\n");
    repository.write(
        "Dockerfile",
        format!("FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\n{steps}\n{START}\n"),
    );
    repository.commit("All of it");
    repository
}

fn gated<'a>(server: &'a Server, app: &str) -> (Repository<'a>, Gate) {
    let gate = Gate::new();
    let repository = with_steps(server, app, &format!("RUN {}", gate.command()));
    (repository, gate)
}

/// Its config vars come in a secret of the build, which a container must not bring back.
#[test]
fn a_predeploy_command_has_the_config_vars_as_any_user_and_leaves_none_in_the_image() {
    let server = Server::start();
    server.ssh(&["apps:create", "assets"]).succeeds();
    let value = format!("hush-{}-hush", std::process::id());
    server
        .ssh(&["config:set", "assets", &format!("TOKEN={value}")])
        .succeeds();
    let repository = with_steps(&server, "assets", "RUN chmod 0777 /app\nUSER 1000");
    repository.write(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "echo it is $TOKEN &&\techo as $(id -u) with ${#TOKEN} > made.txt"}}}"#,
    );
    repository.commit("A command for the image");
    let pushed = repository.push();
    pushed.succeeds();
    pushed.says(&["it is ********"]).says_not(&value);
    let made = server.ssh(&["run", "assets", "cat", "made.txt"]);
    assert_eq!(made.succeeds(), format!("as 1000 with {}\n", value.len()));
    let image = Instance::of(&server.data_dir()).map(|instance| instance.running("assets"));
    let containers = image.unwrap_or_default();
    let [container] = containers.as_slice() else {
        panic!("one container was expected: {containers:?}");
    };
    let image = docker(&["inspect", "--format", "{{.Image}}", container]);
    let image = image.succeeds().trim();
    let history = docker(&["history", "--no-trunc", image]);
    history
        .says(&["/run/secrets/mini-environment"])
        .says_not(&value);
    docker(&["image", "inspect", image]).says_not(&value);
    let files = docker(&[
        "run",
        "--rm",
        "--user",
        "0",
        image,
        "sh",
        "-c",
        "cat /run/secrets/* 2>/dev/null; ls -A /run/secrets",
    ]);
    files.says_not(&value);
}

#[test]
fn builds_over_the_limit_wait_in_line_and_are_told_their_place() {
    let server = Server::start_with(&[("MINI_BUILDS_AT_ONCE", "1")]);
    let (first, gate) = gated(&server, "first");
    let pushed = first.begin_push();
    let at_work = gate.wait_for_arrival();

    let second = with_steps(&server, "second", "");
    let mut second = second.begin_push();
    second.wait_for_text(
        "Waiting to build: 1 build goes on, as many as may at once; this one is next",
    );
    let third = with_steps(&server, "third", "");
    let mut third = third.begin_push();
    third.wait_for_text("1 other is ahead in the line");
    for (app, status) in [
        ("first", "running"),
        ("second", "waiting"),
        ("third", "waiting"),
    ] {
        let builds = server.json(&["builds:list", app]);
        assert_eq!(builds[0]["status"], status, "{app}");
        let info = server.json(&["builds:info", app]);
        assert_eq!(info["status"], status, "{app}");
    }

    server.ssh(&["builds:cancel", "second"]).succeeds();
    second.finish().fails().says(&["canceled"]);
    third.wait_for_text("this one is next");
    at_work.open();
    pushed.finish().succeeds();
    third.finish().succeeds();
    assert_eq!(server.body("third", "/"), "version one\n");
}

#[test]
fn a_build_beyond_its_time_is_stopped() {
    let server = Server::start();
    server.ssh(&["apps:create", "slow"]).succeeds();
    server
        .ssh(&["builder:set", "slow", "build-timeout", "3s"])
        .succeeds();
    let (repository, gate) = gated(&server, "slow");
    let pushed = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    pushed.finish().fails().says(&[
        "[remote rejected]",
        "the build did not end within 3 s",
        "builder:set APP build-timeout",
    ]);
    at_work.wait_for_its_end();
    let listed = &server.json(&["builds:list", "slow"])[0];
    assert_eq!(
        (&listed["status"], &listed["reason"]),
        (&"failed".into(), &"timeout".into())
    );
    let shown = server.ssh(&["builds:list", "slow"]);
    shown.says(&["failed: timeout"]);
    let info = server.ssh(&["builds:info", "slow"]);
    info.says(&["failed: timeout"]);
}

#[test]
fn a_build_that_needs_too_much_memory_is_told_so() {
    let server = Server::start_with(&[("MINI_BUILD_MEMORY_LIMIT", "64MiB")]);
    // The step goes on until it is stopped.
    let hungry = "RUN python3 -c \"import socket; a = bytearray(256 << 20); socket.socketpair()[0].recv(1)\"";
    let repository = with_steps(&server, "hungry", hungry);
    let pushed = repository.push();
    pushed.fails().says(&[
        "[remote rejected]",
        "the build needed more than 64 MiB of memory in the step",
        "builder:set APP build-memory-limit SIZE",
    ]);
    let report = server.json(&["builder:report", "hungry"]);
    assert_eq!(report["builder-computed-build-memory-limit"], "64m");
    server
        .ssh(&["builder:set", "hungry", "build-memory-limit", "1g"])
        .succeeds();
    let enough = "RUN python3 -c \"a = bytearray(256 << 20)\"";
    let dockerfile = format!("FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\n{enough}\n{START}\n");
    repository.write("Dockerfile", dockerfile);
    repository.commit("As much for a moment, with a higher limit");
    repository.push().succeeds();
}

#[test]
fn a_secret_of_a_build_reaches_its_steps_and_nothing_else() {
    let server = Server::start();
    let value = format!("hush-{}-hush", std::process::id());
    server.ssh(&["apps:create", "private"]).succeeds();
    for words in [
        [
            "config:set",
            "private",
            "--no-restart",
            &format!("NPM_TOKEN={value}"),
        ],
        [
            "docker-options:add",
            "private",
            "build",
            "'--secret id=NPM_TOKEN'",
        ],
        [
            "docker-options:add",
            "private",
            "build",
            "'--secret id=npmrc,env=NPM_TOKEN'",
        ],
    ] {
        server.ssh(&words).succeeds();
    }
    let repository = Repository::empty(&server, "private");
    let build = r#"{"name": "private", "scripts": {"start": "node server.js", "build": "echo token $NPM_TOKEN && wc -c < /root/.npmrc > public.txt"}}"#;
    repository.write("package.json", build);
    repository.write(
        "server.js",
        "const text = require('fs').readFileSync('public.txt'); require('http').createServer((_, answer) => answer.end(text)).listen(process.env.PORT)",
    );
    // Something no run before has had: of a step that is in Docker's cache nothing is heard.
    repository.write("made-for", server.scratch().display().to_string());
    repository.commit("All of it");
    let pushed = repository.push();
    pushed.says(&["token ********"]).says_not(&value).succeeds();
    assert_eq!(server.body("private", "/").trim(), value.len().to_string());
    let output = server.ssh(&["builds:output", "private"]);
    output.says(&["token ********"]).says_not(&value);

    let image = server.instance().images().remove(0);
    let history = docker(&["history", "--no-trunc", &image]);
    history.says(&["COPY /app /app"]).says_not(&value);
    let found = run(Command::new("sh").args([
        "-c",
        r#"docker save "$1" | grep -c -a -e "$2" || test $? = 1"#,
        "sh",
        &image,
        &value,
    ]));
    assert_eq!(found.succeeds().trim(), "0");
    let control = run(Command::new("sh").args([
        "-c",
        r#"docker save "$1" | grep -c -a -e public.txt"#,
        "sh",
        &image,
    ]));
    control.succeeds();
}

/// An image with the labels of another and content of its own, as a build leaves one.
fn derived(from: &str, tag: &str) -> Ran {
    let dockerfile = format!("FROM {from}\nLABEL made-for={tag}\n");
    let mut build = Command::new("docker");
    build
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet", "--tag", tag, "-"]);
    run_with_input(&mut build, dockerfile.as_bytes())
}

#[test]
fn pruning_leaves_what_can_serve_again_and_what_is_not_ours() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "pruned", "one");
    repository.set_version("two");
    repository.push().succeeds();
    let kept = server.instance().images();
    assert_eq!(kept.len(), 2, "{kept:?}");

    let ours = "mini/pruned:left-behind";
    let (foreign, theirs) = (
        format!("foreign-{}:1", std::process::id()),
        format!("theirs-{}", std::process::id()),
    );
    derived(&kept[0], ours).succeeds();
    derived("python:3.13-slim", &foreign).succeeds();
    docker(&["create", "--name", &theirs, &foreign]).succeeds();
    let shown = server.ssh(&["builds:prune", "--dry-run"]);
    shown
        .says(&["Would remove 1 image that no release needs"])
        .succeeds();
    docker(&["image", "inspect", ours]).succeeds();
    server
        .ssh(&["builds:prune"])
        .says(&[
            "Removed 1 image that no release needs",
            "Build cache of Docker: ",
        ])
        .succeeds();
    docker(&["image", "inspect", ours]).fails();
    docker(&["rm", &theirs]).succeeds();
    docker(&["rmi", &foreign]).succeeds();
    assert_eq!(server.instance().images(), kept);
    server.ssh(&["rollback", "pruned"]).succeeds();
    assert_eq!(server.body("pruned", "/"), "version one\n");
    let nothing = server.ssh(&["builds:prune", "pruned"]);
    nothing.says(&["No image is without a release"]).succeeds();
}
