//! Images and archives in place of a push.

use std::process::Command;

use crate::docker::docker;
use crate::process::{Ran, run, run_with_input};
use crate::repository::Repository;
use crate::server::Server;

/// Builds the small app into an image that mini knows nothing of.
fn build(server: &Server, tag: &str, version: &str) {
    let repository = Repository::app(server, "unused", version);
    let mut build = Command::new("docker");
    build
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet", "--tag", tag])
        .arg(repository.folder());
    run(&mut build).succeeds();
    let dockerfile = format!("FROM {tag}\nEXPOSE 8123\n");
    let mut expose = Command::new("docker");
    expose
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet", "--tag", tag, "-"]);
    run_with_input(&mut expose, dockerfile.as_bytes()).succeeds();
}

/// What `docker save` writes of an image, sent to the end of an ssh command.
fn sent(server: &Server, image: &str, words: &[&str]) -> Ran {
    let archive = Command::new("docker").args(["save", image]).output();
    let archive = archive.expect("docker can be run");
    assert!(archive.status.success(), "docker save {image}");
    server.ssh_with_input(words, &archive.stdout)
}

#[test]
fn an_image_is_deployed_rolled_back_and_rebuilt_without_a_push() {
    let server = Server::start();
    let image = format!("given-{}:1", std::process::id());
    build(&server, &image, "one");
    server.ssh(&["apps:create", "web"]).succeeds();
    let deploy = ["git:from-image", "web", &image];
    let deployed = server.ssh(&deploy);
    deployed
        .says(&[
            "the image of that name on the server is taken",
            "Deploying web from the image",
            "=====> Application deployed:",
        ])
        .succeeds();
    server.wait_for_version("web", "one");
    assert_eq!(server.body("web", "/env?name=PORT"), "8123");
    let again = server.ssh(&deploy);
    again.says(&["No changes detected"]).succeeds();
    server.ssh(&["config:set", "web", "PORT=8200"]).succeeds();
    assert_eq!(server.body("web", "/env?name=PORT"), "8200");

    build(&server, &image, "two");
    server.ssh(&deploy).succeeds();
    server.wait_for_version("web", "two");
    // Whatever becomes of its name: it is kept as long as it can be rolled back to.
    docker(&["rmi", &image]).succeeds();
    server.ssh(&["rollback", "web"]).succeeds();
    server.wait_for_version("web", "one");
    server.ssh(&["ps:rebuild", "web"]).succeeds();
    server.wait_for_version("web", "one");
    let instance = server.instance();
    assert_eq!(instance.kept().len(), 2);
    let repository = Repository::empty(&server, "web");
    repository
        .git(&["pull", "--quiet", "mini", "main"])
        .succeeds();
    let dockerfile = repository.folder().join("Dockerfile");
    let dockerfile = std::fs::read_to_string(dockerfile).unwrap();
    assert!(
        dockerfile.contains(&format!("# {image}\nFROM mini-source/")),
        "{dockerfile}"
    );
    server.ssh(&["apps:destroy", "web", "--force"]).succeeds();
    assert_eq!(instance.images(), Vec::<String>::new());
    assert_eq!(instance.kept(), Vec::<String>::new());
}

#[test]
fn an_image_that_is_sent_is_deployed_and_changes_no_name() {
    let server = Server::start();
    let image = format!("sent-{}:1", std::process::id());
    build(&server, &image, "one");
    server.ssh(&["apps:create", "web"]).succeeds();
    let load = ["git:load-image", "web", &image];
    for (input, said) in [
        (&b""[..], "nothing came on standard input"),
        (b"hello", "neither a tar archive nor a packed one"),
    ] {
        let refused = server.ssh_with_input(&load, input);
        refused.ends_with(1).says(&[said, "docker save"]);
    }
    let other = sent(&server, "debian:trixie-slim", &load);
    other
        .ends_with(1)
        .says(&["it holds debian:trixie-slim, and not sent-"]);
    docker(&["image", "inspect", "debian:trixie-slim"]).succeeds();
    sent(&server, &image, &load).succeeds();
    server.wait_for_version("web", "one");
    // The name is the one of the server, and still stands for what it did.
    docker(&["image", "inspect", &image]).succeeds();
    docker(&["rmi", &image]).succeeds();
    server.ssh(&["ps:rebuild", "web"]).succeeds();
    server.wait_for_version("web", "one");
    docker(&["image", "inspect", &image]).fails();
}

#[test]
fn what_docker_ignores_reaches_neither_build_nor_image_whichever_way_it_comes() {
    let server = Server::start();
    let repository = Repository::app(&server, "pushed", "one");
    repository.write(".dockerignore", "large.bin\n");
    repository.commit("What to ignore");
    repository.push().succeeds();
    server.ssh(&["apps:create", "sent"]).succeeds();
    let send = || {
        let mut tar = Command::new("tar");
        tar.args(["cz", "."]).current_dir(repository.folder());
        let packed = tar.output().expect("tar can be run").stdout;
        server.ssh_with_input(&["git:from-archive", "sent"], &packed)
    };
    send().succeeds();
    let large = std::fs::File::create(repository.folder().join("large.bin")).unwrap();
    large.set_len(100 << 20).unwrap();
    repository.commit("A large file");
    // A build whose context has changed would have to copy it again.
    let is_same = "COPY . . (cached)";
    repository.push().says(&[is_same]).succeeds();
    send().says(&[is_same]).succeeds();
    for app in ["pushed", "sent"] {
        let listed = server.ssh(&["run", app, "ls"]);
        listed.says(&["app.py"]).says_not("large.bin").succeeds();
    }
}

#[test]
fn an_archive_of_source_is_deployed_as_a_push_is() {
    let server = Server::start();
    let repository = Repository::app(&server, "unused", "one");
    server.ssh(&["apps:create", "shop"]).succeeds();
    let packed = Command::new("tar")
        .args(["cz", "."])
        .current_dir(repository.folder())
        .output();
    let packed = packed.expect("tar can be run").stdout;
    let line = ["git:from-archive", "shop"];
    let deployed = server.ssh_with_input(&line, &packed);
    deployed.says(&["=====> Application deployed:"]).succeeds();
    server.wait_for_version("shop", "one");
    let again = server.ssh_with_input(&line, &packed);
    again.says(&["No changes detected"]).succeeds();
}
