//! `mini deploy` from a laptop: ssh, a folder, and no git on its way.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::process::{Ran, Running, run};
use crate::repository::Repository;
use crate::server::Server;

/// `mini deploy` in a folder, by a developer who reaches the server as `ssh mini` only.
fn deploy(server: &Server, folder: &Path, words: &[&str]) -> Command {
    let mut command = server.client().git(folder);
    // The environment is the same, the program is another.
    let mut deploy = Command::new(env!("CARGO_BIN_EXE_mini"));
    deploy
        .env_clear()
        .current_dir(folder)
        .arg("deploy")
        .args(words);
    for (name, value) in command.env("MINI_DATA_DIR", "/nonexistent").get_envs() {
        if let Some(value) = value {
            deploy.env(name, value);
        }
    }
    deploy
}

fn deployed(server: &Server, folder: &Path, words: &[&str]) -> Ran {
    run(&mut deploy(server, folder, words))
}

/// A copy of the small app in a folder called `name`, without git.
fn folder(server: &Server, name: &str, version: &str) -> std::path::PathBuf {
    let repository = Repository::app(server, "unused", version);
    std::fs::remove_dir_all(repository.folder().join(".git")).expect("a folder can be removed");
    let folder = server.scratch().join(name);
    std::fs::rename(repository.folder(), &folder).expect("a folder can be renamed");
    folder
}

#[test]
fn a_folder_without_git_is_deployed_and_remembers_where_to() {
    let server = Server::start();
    let shop = folder(&server, "My Shop", "one");
    let unknown = deployed(&server, &shop, &[]);
    unknown.ends_with(2).says(&[
        "it is not known to which server",
        "mini deploy --host ssh://mini@SERVER:2222",
    ]);
    std::fs::create_dir_all(shop.join("node_modules/large")).expect("a folder can be made");
    let large = std::fs::File::create(shop.join("node_modules/large/data")).expect("a new file");
    // Ten times what a push may bring: it must not even be looked at.
    large.set_len(10 << 30).expect("a file with a hole");
    let first = deployed(&server, &shop, &["--host", "mini"]);
    first
        .says(&[
            "-----> Sending 3 files (",
            ") to mini",
            "-----> Creating my-shop...",
            "=====> Application deployed:",
            "http://my-shop.localhost",
        ])
        .succeeds();
    server.wait_for_version("my-shop", "one");
    let again = deployed(&server, &shop, &[]);
    again
        .says(&["No changes detected", "http://my-shop.localhost"])
        .succeeds();
    std::fs::write(shop.join("version.txt"), "two\n").expect("a file can be written");
    deployed(&server, server.scratch(), &["My Shop"]).succeeds();
    server.wait_for_version("my-shop", "two");
    server.ssh(&["rollback", "my-shop"]).succeeds();
    server.wait_for_version("my-shop", "one");

    // Another folder of the same name is another app, unless it is said that it is the same.
    let elsewhere = server.scratch().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder can be made");
    std::fs::rename(&shop, elsewhere.join("My Shop")).expect("a folder can be renamed");
    let other = folder(&server, "My Shop", "three");
    let refused = deployed(&server, &other, &["--host", "mini"]);
    refused.ends_with(1).says(&[
        "There is an app my-shop already",
        "mini deploy --app my-shop",
    ]);
    let line = ["--host", "mini", "--app", "my-shop"];
    deployed(&server, &other, &line).succeeds();
    server.wait_for_version("my-shop", "three");

    // The exit status is that of the deploy.
    std::fs::write(
        other.join("Dockerfile"),
        "FROM python:3.13-slim\nRUN exit 3\n",
    )
    .expect("a file can be written");
    let failed = deployed(&server, &other, &[]);
    failed.ends_with(1).says(&["my-shop was not deployed"]);
    server.wait_for_version("my-shop", "three");
    std::os::unix::fs::symlink("/etc/passwd", other.join("link")).expect("a new link");
    let failed = deployed(&server, &other, &[]);
    failed
        .ends_with(1)
        .says(&["the link `link` in the archive leads to `/etc/passwd`"]);
    let nowhere = deployed(
        &server,
        &other,
        &["--host", "ssh://mini@127.0.0.1:1", "--app", "x"],
    );
    nowhere
        .ends_with(1)
        .says(&["Nothing was deployed: ssh://mini@127.0.0.1:1 could not be reached"]);
}

#[test]
fn a_work_tree_is_deployed_without_what_git_or_docker_ignore_and_gets_a_remote() {
    let server = Server::start();
    let tree = Repository::app(&server, "unused", "one");
    tree.git(&["remote", "remove", "mini"]).succeeds();
    tree.write(".gitignore", "*.log\n");
    tree.write("debug.log", "not for the server");
    tree.write(".dockerignore", "large.bin\n");
    tree.write("version.txt", "not committed\n");
    let large = std::fs::File::create(tree.folder().join("large.bin")).expect("a new file");
    large.set_len(100 << 20).expect("a file with a hole");
    let line = ["--host", "mini", "--app", "blog"];
    let first = deployed(&server, tree.folder(), &line);
    first
        .says(&["-----> Sending 5 files (", "http://blog.localhost"])
        .succeeds();
    server.wait_for_version("blog", "not committed");
    let listed = server.ssh(&["run", "blog", "ls", "-A"]);
    let listed = listed.succeeds();
    assert!(listed.contains("app.py"), "{listed}");
    assert!(!listed.contains("debug.log"), "{listed}");
    assert!(!listed.contains("large.bin"), "{listed}");
    let remote = tree.git(&["remote", "get-url", "mini"]);
    assert_eq!(remote.succeeds().trim(), "mini:blog");
    // Nothing but the app and the host decide where it goes: from below the same work tree, another app.
    let below = tree.folder().join("web");
    for (path, version) in [
        ("app.py", None),
        ("Dockerfile", None),
        ("version.txt", Some("below\n")),
    ] {
        let content = std::fs::read_to_string(tree.folder().join(path)).expect("a file of the app");
        tree.write(&format!("web/{path}"), version.unwrap_or(&content));
    }
    deployed(&server, &below, &[]).succeeds();
    server.wait_for_version("web", "below");
}

#[test]
fn who_leaves_a_deploy_is_told_how_to_see_it_again() {
    let server = Server::start();
    let slow = folder(&server, "slow", "one");
    let dockerfile = "FROM python:3.13-slim\nCOPY . /app\nWORKDIR /app\nRUN echo it builds && sleep 3\n\
        CMD [\"python3\", \"app.py\"]\n";
    std::fs::write(slow.join("Dockerfile"), dockerfile).expect("a file can be written");
    let mut running = Running::start(&mut deploy(&server, &slow, &["--host", "mini"]));
    running.wait_for_text("it builds");
    running.signal(Signal::INT);
    let left = running.finish();
    left.ends_with(130).says(&[
        "the deploy goes on",
        "`ssh mini builds:output slow current`",
    ]);
    server.wait_for_version("slow", "one");
    // On the server's own machine it needs no host.
    let local = folder(&server, "local", "two");
    let local = local.to_str().expect("a path in UTF-8");
    server
        .mini(&["deploy", local])
        .says(&["to the server of this machine", "http://local.localhost"])
        .succeeds();
    server.wait_for_version("local", "two");
}
