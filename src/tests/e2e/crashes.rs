//! The server is killed, its containers are killed: everything comes back by itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::docker::docker;
use crate::gate::Gate;
use crate::process::Running;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

/// Kills the server at a moment of the second deploy of an app, starts it again, and checks that `version` serves and
/// that the next push works. `begin` prepares a commit, pushes it, and returns when the moment has come.
fn check<G>(
    app: &str,
    version: &str,
    begin: impl FnOnce(&Server, &Repository<'_>) -> (Running, G),
    mend: impl FnOnce(&Repository<'_>),
) {
    let server = Server::start();
    let repository = Repository::deployed(&server, app, "one");
    let (push, held) = begin(&server, &repository);
    server.kill();
    let push = push.finish();
    drop(held);
    server.launch();
    server.wait_for_version(app, version);
    let tip = repository.remote_tip("refs/heads/main");
    if push.code == 0 {
        assert_eq!(
            tip,
            Some(repository.head()),
            "the push was accepted\n{push}"
        );
    }
    wait_until("one process to be left", || {
        server.instance().running(app).len() == 1
    });
    let builds = server.json(&["builds:list", app]);
    assert_ne!(builds[0]["status"], "running", "{builds}");

    mend(&repository);
    repository.set_version("three");
    repository.push().succeeds();
    assert_eq!(server.body(app, "/"), "version three\n");
    wait_until("the old process to be gone", || {
        server.instance().running(app).len() == 1
    });
}

fn revert(repository: &Repository<'_>) {
    for file in ["Procfile", "mode.txt"] {
        let _ = std::fs::remove_file(repository.folder().join(file));
    }
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = dockerfile
        .lines()
        .filter(|line| !line.starts_with("RUN"))
        .collect();
    repository.write("Dockerfile", lines.join("\n") + "\n");
}

#[test]
fn killed_while_it_looks_at_the_commit() {
    let begin = |_: &Server, repository: &Repository<'_>| {
        repository.set_version("two");
        let mut push = repository.begin_push();
        // The earliest line of the server.
        push.wait_for_text("remote: ");
        (push, ())
    };
    // How far it comes before it dies is a matter of luck; the old version or the new one are both right, so this looks
    // at what the branch says.
    let server = Server::start();
    let repository = Repository::deployed(&server, "early", "one");
    let one = repository.head();
    let (push, ()) = begin(&server, &repository);
    server.kill();
    push.finish();
    server.launch();
    let version = if repository.remote_tip("refs/heads/main") == Some(one) {
        "one"
    } else {
        "two"
    };
    server.wait_for_version("early", version);
    repository.set_version("three");
    repository.push().succeeds();
    assert_eq!(server.body("early", "/"), "version three\n");
}

#[test]
fn killed_while_it_builds() {
    let begin = |_: &Server, repository: &Repository<'_>| {
        let gate = Gate::new();
        let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
        let step = format!("RUN {}\nCMD", gate.command());
        repository.write("Dockerfile", dockerfile.replace("CMD", &step));
        repository.set_version("two");
        let push = repository.begin_push();
        let arrived = gate.wait_for_arrival();
        (push, (gate, arrived))
    };
    check("in-build", "one", begin, revert);
}

#[test]
fn killed_while_the_release_command_runs() {
    let begin = |_: &Server, repository: &Repository<'_>| {
        let gate = Gate::new();
        let procfile = format!(
            "release: {}\nweb: python3 -S -E -u app.py\n",
            gate.command()
        );
        repository.write("Procfile", procfile);
        repository.set_version("two");
        let push = repository.begin_push();
        let arrived = gate.wait_for_arrival();
        (push, (gate, arrived))
    };
    check("in-release", "one", begin, revert);
}

#[test]
fn killed_while_it_checks_the_new_process() {
    let begin = |_: &Server, repository: &Repository<'_>| {
        let gate = Gate::new();
        repository.write(
            "Procfile",
            format!("web: {} && exec python3 -S -E -u app.py\n", gate.command()),
        );
        repository.set_version("two");
        let push = repository.begin_push();
        let arrived = gate.wait_for_arrival();
        (push, (gate, arrived))
    };
    check("in-check", "one", begin, revert);
}

#[test]
fn killed_after_the_branch_has_moved_and_before_the_switch() {
    let begin = |server: &Server, repository: &Repository<'_>| {
        // In the place of the hook that tells the server: the branch has moved, and nobody says so.
        let hook = server.data_dir().join("hooks/post-receive");
        let gone = server.scratch().join("held");
        std::fs::write(&gone, "").unwrap();
        let script = format!(
            "#!/bin/sh\necho the branch has moved >&2\nwhile [ -e '{}' ]; do sleep 0.1; done\n",
            gone.display()
        );
        write_program(&hook, &script);
        repository.set_version("two");
        let mut push = repository.begin_push();
        push.wait_for_text("the branch has moved");
        assert_eq!(server.body("promised", "/"), "version one\n");
        (push, Held(gone))
    };
    check("promised", "two", begin, revert);
}

#[test]
fn killed_between_its_answer_to_git_and_the_move_of_the_branch() {
    let begin = |server: &Server, repository: &Repository<'_>| {
        // Git asks this hook when it is about to move a branch: the server has said yes, and waits for git.
        let held = server.scratch().join("held");
        std::fs::write(&held, "").unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = prepared ] || exit 0\necho about to move >&2\nwhile [ -e '{}' ]; do sleep 0.1; done\n",
            held.display()
        );
        let hook = server.data_dir().join("hooks/reference-transaction");
        write_program(&hook, &script);
        repository.set_version("two");
        let mut push = repository.begin_push();
        push.wait_for_text("about to move");
        assert_eq!(server.body("answered", "/"), "version one\n");
        server.kill();
        // Git outlives the server by this moment, and moves the branch.
        std::fs::remove_file(&held).unwrap();
        wait_until("the branch to move", || {
            let main = server.data_dir().join("repos/answered.git/refs/heads/main");
            std::fs::read_to_string(main).is_ok_and(|id| id.trim() == repository.head())
        });
        std::fs::remove_file(hook).unwrap();
        (push, ())
    };
    check("answered", "two", begin, revert);
}

/// Writes a script beside its place and renames it, so that nobody runs half of it.
fn write_program(path: &Path, script: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, script).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// A file whose end lets a hook go on.
struct Held(std::path::PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn killed_as_soon_as_the_app_is_live() {
    let begin = |_: &Server, repository: &Repository<'_>| {
        repository.set_version("two");
        let mut push = repository.begin_push();
        push.wait_for_text("=====> Application deployed:");
        (push, ())
    };
    check("live", "two", begin, revert);
}

#[test]
fn a_killed_server_finds_its_containers_again() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "found", "one");
    let before = server.instance().running("found");
    server.kill();
    server.launch();
    server.wait_for_version("found", "one");
    assert_eq!(server.instance().running("found"), before);
}

#[test]
fn a_server_that_was_stopped_and_started_answers_without_a_deploy() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "again", "one");
    let before = server.instance().running("again");
    server.stop();
    assert_eq!(
        server.instance().running("again"),
        before,
        "stopping mini stops no app"
    );
    server.launch();
    server.wait_for_version("again", "one");
    assert_eq!(server.instance().running("again"), before);
    assert_eq!(
        server
            .json(&["builds:list", "again"])
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn no_visitor_is_lost_while_the_server_is_started_again_on_passed_sockets() {
    let server = Server::start_on_passed_sockets();
    let _repository = Repository::deployed(&server, "passed", "one");
    let load = server.load_on_new_connections("passed");
    for _ in 0..2 {
        load.wait_for_requests(100);
        server.stop();
        let waits = server.ssh_begin(&["apps:list"]);
        server.launch();
        waits.finish().says(&["passed"]).succeeds();
    }
    // The sockets can also be handed on.
    let successor = server.begin_takeover();
    server.succeed(successor);
    load.wait_for_requests(100);
    load.stop().has_no_failure();
    server.wait_for_leavers();
    server.ssh(&["apps:list"]).says(&["passed"]).succeeds();
}

#[test]
fn a_container_that_ends_comes_back() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "lives", "one");
    for words in [["kill"].as_slice(), &["stop", "-t", "1"], &["rm", "-f"]] {
        let before = server.instance().running("lives");
        assert_eq!(before.len(), 1);
        let started_at = started(&before[0]);
        docker(&[words, &[&before[0]]].concat()).succeeds();
        wait_until(&format!("a process after docker {words:?}"), || {
            let now = server.instance().running("lives");
            now.len() == 1 && (now != before || started(&now[0]) != started_at)
        });
        server.wait_for_version("lives", "one");
    }
}

#[test]
fn a_container_that_ended_while_the_server_was_away_comes_back() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "asleep", "one");
    server.stop();
    let before = server.instance().running("asleep");
    docker(&["rm", "-f", &before[0]]).succeeds();
    server.launch();
    server.wait_for_version("asleep", "one");
}

fn started(container: &str) -> String {
    docker(&["inspect", "--format", "{{.State.StartedAt}}", container]).stdout
}
