//! Several pushes at once, and clients that do not wait for the end.

use rustix::process::Signal;

use crate::gate::Gate;
use crate::process::{Running, run};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

/// Makes the build of the next commit wait at a gate.
fn gated(repository: &Repository<'_>, version: &str) -> Gate {
    let gate = Gate::new();
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    let mut lines: Vec<&str> = dockerfile
        .lines()
        .filter(|line| !line.starts_with("RUN"))
        .collect();
    let step = format!("RUN {}", gate.command());
    lines.insert(lines.len() - 1, &step);
    repository.write("Dockerfile", lines.join("\n") + "\n");
    repository.set_version(version);
    gate
}

/// Takes the gate out again.
fn ungated(repository: &Repository<'_>, version: &str) {
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = dockerfile
        .lines()
        .filter(|line| !line.starts_with("RUN"))
        .collect();
    repository.write("Dockerfile", lines.join("\n") + "\n");
    repository.set_version(version);
}

#[test]
fn a_second_push_waits_and_a_third_takes_its_place() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "line", "zero");
    let gate = gated(&repository, "one");
    let first = repository.begin_push();
    let at_work = gate.wait_for_arrival();

    // Each of these is made against the branch as it is now, where a first push has not moved it yet.
    repository
        .git(&["checkout", "--quiet", "-b", "second", "HEAD~1"])
        .succeeds();
    ungated(&repository, "two");
    let push_second = ["push", "--force", "mini", "second:main"];
    let mut second = Running::start(&mut repository.command(&push_second));
    second.wait_for_text("Waiting for build");

    repository
        .git(&["checkout", "--quiet", "-b", "impatient"])
        .succeeds();
    ungated(&repository, "no-wait");
    let impatient = repository.git(&["push", "--force", "-o", "no-wait", "mini", "impatient:main"]);
    impatient
        .fails()
        .says(&["[remote rejected]", "being deployed already"]);

    repository
        .git(&["checkout", "--quiet", "-b", "third"])
        .succeeds();
    ungated(&repository, "three");
    let mut third =
        Running::start(&mut repository.command(&["push", "--force", "mini", "third:main"]));
    third.wait_for_text("Waiting for build");
    second
        .finish()
        .fails()
        .says(&["[remote rejected]", "a later push took its place"]);
    assert_eq!(server.body("line", "/"), "version zero\n");

    at_work.open();
    first.finish().succeeds();
    // The branch has moved since the third push began, so git cannot move it from where that push saw it.
    let third = third.finish();
    third
        .fails()
        .says(&["[remote rejected]", "the branch has moved"]);
    server.wait_for_version("line", "one");
    let statuses: Vec<String> = server
        .json(&["builds:list", "line"])
        .as_array()
        .unwrap()
        .iter()
        .map(|build| build["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["failed", "superseded", "succeeded", "succeeded"]);

    repository
        .git(&["push", "--force", "mini", "third:main"])
        .succeeds();
    assert_eq!(server.body("line", "/"), "version three\n");
}

#[test]
fn two_pushes_at_once_both_tell_the_truth() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "race", "zero");
    let commits: Vec<(String, String)> = ["one", "two"]
        .into_iter()
        .map(|version| {
            repository
                .git(&["checkout", "--quiet", "-b", version, "main"])
                .succeeds();
            (version.to_owned(), repository.set_version(version))
        })
        .collect();
    let pushes: Vec<Running> = commits
        .iter()
        .map(|(version, _)| {
            let branch = format!("{version}:main");
            Running::start(&mut repository.command(&["push", "--force", "mini", &branch]))
        })
        .collect();
    let ended: Vec<_> = pushes.into_iter().map(Running::finish).collect();
    let tip = repository.remote_tip("refs/heads/main");
    let mut accepted = 0;
    for ((_, commit), push) in commits.iter().zip(&ended) {
        if push.code == 0 {
            accepted += 1;
        } else {
            push.says(&["[remote rejected]"]);
            assert_ne!(tip.as_ref(), Some(commit), "refused, and yet there\n{push}");
        }
    }
    assert!(
        accepted >= 1,
        "neither push was accepted:\n{}\n{}",
        ended[0],
        ended[1]
    );
    let (version, _) = commits
        .iter()
        .find(|(_, commit)| tip.as_ref() == Some(commit))
        .expect("one of the two");
    assert_eq!(server.body("race", "/"), format!("version {version}\n"));
}

#[test]
fn pushes_to_different_apps_go_on_side_by_side() {
    let server = Server::start();
    let held = Repository::app(&server, "held", "one");
    let gate = gated(&held, "one");
    let push = held.begin_push();
    let at_work = gate.wait_for_arrival();
    // One build at a time per two cores may be the limit here; what is not built does not wait.
    server.ssh(&["apps:create", "other"]).succeeds();
    server.ssh(&["config:set", "other", "A=1"]).succeeds();
    at_work.open();
    push.finish().succeeds();
    assert_eq!(server.body("held", "/"), "version one\n");
}

#[test]
fn ctrl_c_leaves_the_deploy_to_the_server() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "left", "one");
    let gate = gated(&repository, "two");
    let two = repository.head();
    let push = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    push.signal(Signal::INT);
    push.finish().fails();

    let mut watching = server.ssh_begin(&["builds:output", "left", "current"]);
    watching.wait_for_text("Building left from Dockerfile");
    at_work.open();
    watching.finish().succeeds();
    server.wait_for_version("left", "two");
    wait_until("the branch to move", || {
        repository.remote_tip("refs/heads/main").as_ref() == Some(&two)
    });
    repository.push().succeeds();
}

#[test]
fn a_second_push_of_the_same_commit_joins_the_first() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "join", "one");
    let gate = gated(&repository, "two");
    let first = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    first.signal(Signal::INT);
    first.finish().fails();
    let mut second = repository.begin_push();
    second.wait_for_text("Building join from Dockerfile");
    at_work.open();
    second.finish().succeeds();
    assert_eq!(server.body("join", "/"), "version two\n");
    assert!(gate.newcomer().is_none(), "it was built twice");
}

#[test]
fn several_pushes_of_one_commit_are_one_deploy_and_all_succeed() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "crowd", "one");
    let gate = gated(&repository, "two");
    let mut pushes = vec![repository.begin_push()];
    let at_work = gate.wait_for_arrival();
    pushes.extend([repository.begin_push(), repository.begin_push()]);
    for push in &mut pushes {
        push.wait_for_text("Building crowd from Dockerfile");
    }
    at_work.open();
    for push in pushes {
        push.finish().succeeds();
    }
    assert_eq!(server.body("crowd", "/"), "version two\n");
    assert_eq!(
        repository.remote_tip("refs/heads/main"),
        Some(repository.head())
    );
    assert!(gate.newcomer().is_none(), "it was built twice");
    repository
        .push()
        .says(&["Everything up-to-date"])
        .succeeds();
}

#[test]
fn a_cancelled_build_stops_and_the_push_says_so() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "cancel", "one");
    let one = repository.head();
    let gate = gated(&repository, "two");
    let push = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    server.ssh(&["builds:cancel", "cancel"]).succeeds();
    push.finish()
        .fails()
        .says(&["[remote rejected]", "canceled"]);
    at_work.wait_for_its_end();
    assert_eq!(server.body("cancel", "/"), "version one\n");
    assert_eq!(repository.remote_tip("refs/heads/main"), Some(one));
    assert_eq!(
        server.json(&["builds:list", "cancel"])[0]["status"],
        "canceled"
    );
    server
        .ssh(&["builds:cancel", "cancel"])
        .fails()
        .says(&["No build of cancel is going on"]);

    ungated(&repository, "three");
    repository.push().succeeds();
    assert_eq!(server.body("cancel", "/"), "version three\n");
}

#[test]
fn a_server_that_is_stopped_ends_its_builds_and_says_so() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "stopped", "one");
    let gate = gated(&repository, "two");
    let push = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    server.stop();
    push.finish().fails();
    at_work.wait_for_its_end();
    server.launch();
    server.wait_for_version("stopped", "one");
    ungated(&repository, "three");
    repository.push().succeeds();
    let builds = run(server
        .client()
        .ssh()
        .args(["mini", "builds:list", "stopped"]));
    builds.succeeds();
    assert_eq!(server.body("stopped", "/"), "version three\n");
}

#[test]
fn a_config_change_during_a_push_waits_for_it_and_both_hold() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "both", "one");
    let gate = gated(&repository, "two");
    let push = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    let mut change = server.ssh_begin(&["config:set", "both", "COLOUR=blue"]);
    change.wait_for_text("Waiting for build");
    at_work.open();
    push.finish().succeeds();
    change.finish().succeeds();
    assert_eq!(server.body("both", "/"), "version two\n");
    assert_eq!(server.body("both", "/env?name=COLOUR"), "blue");
}

#[test]
fn an_app_is_destroyed_in_the_middle_of_a_push() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "doomed", "one");
    let gate = gated(&repository, "two");
    let push = repository.begin_push();
    let at_work = gate.wait_for_arrival();
    server
        .ssh(&["apps:destroy", "doomed", "--force"])
        .succeeds();
    push.finish().fails();
    at_work.wait_for_its_end();
    server.ssh(&["apps:exists", "doomed"]).ends_with(20);
    wait_until("nothing to be left", || {
        server.instance().containers().is_empty()
    });
    ungated(&repository, "three");
    repository.push().succeeds();
    assert_eq!(server.body("doomed", "/"), "version three\n");
}
