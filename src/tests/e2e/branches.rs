//! What git can push besides the next commit of the deploy branch.

use std::os::unix::ffi::OsStrExt;

use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;

#[test]
fn the_first_of_main_or_master_is_deployed_and_other_branches_are_refused() {
    let server = Server::start();
    let repository = Repository::app(&server, "branchy", "one");
    repository.git(&["branch", "feature"]).succeeds();
    let push = repository.git(&["push", "mini", "feature"]);
    push.fails()
        .says(&["[remote rejected]", "git push mini feature:main"]);
    assert_eq!(repository.remote_tip("refs/heads/feature"), None);

    repository.git(&["push", "mini", "main:master"]).succeeds();
    assert_eq!(server.body("branchy", "/"), "version one\n");
    let push = repository.git(&["push", "mini", "main"]);
    push.fails()
        .says(&["you must push to master", "git push mini main:master"]);
    assert_eq!(server.body("branchy", "/"), "version one\n");

    repository
        .git(&["checkout", "--quiet", "feature"])
        .succeeds();
    repository.set_version("two");
    repository
        .git(&["push", "mini", "feature:master"])
        .succeeds();
    assert_eq!(server.body("branchy", "/"), "version two\n");
}

#[test]
fn tags_are_stored_and_deploy_nothing() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "tagged", "one");
    let one = repository.head();
    repository.git(&["tag", "v1"]).succeeds();
    repository.git(&["push", "mini", "v1"]).succeeds();
    assert_eq!(repository.remote_tip("refs/tags/v1"), Some(one));

    // A tag with a branch: the branch is deployed.
    let two = repository.set_version("two");
    repository.git(&["tag", "v2"]).succeeds();
    let push = repository.git(&["push", "mini", "main", "v2"]);
    push.succeeds();
    push.says(&["=====> Application deployed:"]);
    assert_eq!(server.body("tagged", "/"), "version two\n");
    assert_eq!(repository.remote_tip("refs/tags/v2"), Some(two));

    repository
        .git(&["push", "mini", "--delete", "v1"])
        .succeeds();
    assert_eq!(repository.remote_tip("refs/tags/v1"), None);
}

#[test]
fn history_that_was_rewritten_is_deployed_when_forced() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "forced", "one");
    repository
        .git(&["commit", "--quiet", "--amend", "-m", "Another first"])
        .succeeds();
    let rewritten = repository.set_version("two");
    repository.push().fails().says(&["[rejected]"]);
    assert_eq!(server.body("forced", "/"), "version one\n");
    repository
        .git(&["push", "--force", "mini", "main"])
        .succeeds();
    assert_eq!(server.body("forced", "/"), "version two\n");
    assert_eq!(repository.remote_tip("refs/heads/main"), Some(rewritten));
}

#[test]
fn the_deploy_branch_is_not_deleted() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "kept", "one");
    let push = repository.git(&["push", "mini", "--delete", "main"]);
    push.fails().says(&[
        "[remote rejected]",
        "deploy branch of kept",
        "apps:destroy kept",
    ]);
    assert_eq!(
        repository.remote_tip("refs/heads/main"),
        Some(repository.head())
    );
    assert_eq!(server.body("kept", "/"), "version one\n");
}

#[test]
fn two_branches_at_once_are_refused() {
    let server = Server::start();
    let repository = Repository::app(&server, "both", "one");
    repository.git(&["branch", "master"]).succeeds();
    let push = repository.git(&["push", "mini", "main", "master"]);
    push.fails().says(&["two branches were pushed at once"]);
    repository.push().succeeds();
    assert_eq!(server.body("both", "/"), "version one\n");
}

#[test]
fn a_shallow_clone_can_push_and_a_clone_gives_back_what_was_pushed() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "shallow", "one");
    repository.set_version("two");
    let two = repository.set_version("three");
    let shallow = server.scratch().join("shallow");
    let source = format!("file://{}", repository.folder().display());
    run(server
        .client()
        .git(server.scratch())
        .args(["clone", "--quiet", "--depth", "1", &source])
        .arg(&shallow))
    .succeeds();
    let git = |words: &[&str]| run(server.client().git(&shallow).args(words));
    // Without its history it cannot know that nothing is lost, so it has to be forced, as CI does.
    git(&["push", "--force", "mini:shallow", "main"]).succeeds();
    assert_eq!(server.body("shallow", "/"), "version three\n");

    // And an app whose first push is a shallow one.
    git(&["push", "mini:shallow-first", "main"]).succeeds();
    assert_eq!(server.body("shallow-first", "/"), "version three\n");

    let clone = server.scratch().join("clone");
    run(server
        .client()
        .git(server.scratch())
        .args(["clone", "--quiet", "mini:shallow"])
        .arg(&clone))
    .succeeds();
    let head = run(server.client().git(&clone).args(["rev-parse", "HEAD"]));
    assert_eq!(head.succeeds().trim(), two);
    assert_eq!(
        std::fs::read_to_string(clone.join("version.txt")).unwrap(),
        "three\n"
    );
}

#[test]
fn links_out_of_the_tree_lead_nowhere_on_the_server() {
    let server = Server::start();
    std::fs::write(server.scratch().join("secret"), "of the server").unwrap();
    let repository = Repository::app(&server, "links", "one");
    let secret = server.scratch().join("secret");
    std::os::unix::fs::symlink(&secret, repository.folder().join("absolute")).unwrap();
    std::os::unix::fs::symlink(
        "../../../../../../etc/hostname",
        repository.folder().join("relative"),
    )
    .unwrap();
    repository.commit("Links");
    let push = repository.push();
    // Refused or taken along as a link: both are an answer; what it points at never comes along.
    if push.code == 0 {
        let found = server.ssh(&["run", "links", "cat", "/app/absolute"]);
        found.fails().says_not("of the server");
    } else {
        push.says(&["[remote rejected]", "absolute"]);
    }
}

#[test]
fn a_file_name_that_is_not_utf8_is_no_obstacle() {
    let server = Server::start();
    let repository = Repository::app(&server, "bytes", "one");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    std::fs::write(repository.folder().join(name), "latin-1").unwrap();
    repository.commit("A name in Latin-1");
    let push = repository.push();
    // Docker's own archive reader decides whether it can take the name; a clear answer is asked for either way.
    if push.code == 0 {
        assert_eq!(server.body("bytes", "/"), "version one\n");
    } else {
        push.says(&["[remote rejected]", "caf"]);
    }
}

#[test]
fn names_that_are_not_app_names_are_refused_by_rule() {
    let server = Server::start();
    let repository = Repository::app(&server, "good-name", "one");
    let long = "a".repeat(64);
    for name in ["Test;id", "../x", &long, "a/b", "a..b"] {
        let push = repository.git(&["push", &format!("mini:{name}"), "main"]);
        push.fails()
            .says(&["App name must begin with lowercase alphanumeric character"]);
    }
    let mut command = repository.command(&["push"]);
    command
        .arg(std::ffi::OsStr::from_bytes(b"mini:caf\xe9"))
        .arg("main");
    run(&mut command)
        .fails()
        .says(&["App name must begin with"]);
    server
        .ssh(&["apps:list"])
        .says(&["You haven't deployed any applications yet"]);
}
