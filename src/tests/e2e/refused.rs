//! Pushes that fail: each says why, leaves the branch where it was and the old release serving, and can be tried again.

use crate::gate::Gate;
use crate::repository::Repository;
use crate::server::Server;

/// Short checks, so that an app that never listens is found out soon.
const IMPATIENT: &str = r#"{"healthchecks":{"web":[{"listening":true,"timeout":2,"attempts":1}]}}"#;

/// Deploys an app, makes a commit with `change`, and expects its push to be refused with `reasons`.
fn check(app: &str, change: impl FnOnce(&Repository<'_>), reasons: &[&str]) {
    let server = Server::start();
    let repository = Repository::deployed(&server, app, "good");
    let good = repository.head();
    change(&repository);
    let bad = repository.commit("A commit that cannot be deployed");
    assert_ne!(good, bad);
    // The second time is the same commit, unchanged: it is tried again, and not taken for known.
    for _ in 0..2 {
        let push = repository.push();
        push.fails()
            .says(&["! [remote rejected] main -> main"])
            .says(reasons);
        assert_eq!(
            repository.remote_tip("refs/heads/main"),
            Some(good.clone()),
            "{push}"
        );
        assert_eq!(server.body(app, "/"), "version good\n");
    }
    crate::wait::wait_until("what was started for it to be gone", || {
        server.instance().running(app).len() == 1
    });
    let builds = server.json(&["builds:list", app]);
    assert_eq!(builds[0]["status"], "failed", "{builds}");

    repository.git(&["revert", "--no-edit", "HEAD"]).succeeds();
    repository.set_version("mended");
    repository.push().succeeds();
    assert_eq!(server.body(app, "/"), "version mended\n");
}

/// The same for an app of ours that does not do what it should.
fn check_mode(app: &str, mode: &str, reasons: &[&str]) {
    let change = |repository: &Repository<'_>| {
        repository.write("mode.txt", mode);
        repository.write("app.json", IMPATIENT);
    };
    check(app, change, reasons);
}

#[test]
fn a_dockerfile_that_cannot_be_read() {
    check(
        "no-dockerfile",
        |repository| repository.write("Dockerfile", "FROM python:3.13-slim\nNONSENSE 1\n"),
        &["NONSENSE"],
    );
}

#[test]
fn a_base_image_that_does_not_exist() {
    check(
        "no-base",
        |repository| {
            repository.write(
                "Dockerfile",
                "FROM mini.invalid/nowhere:1\nCMD [\"true\"]\n",
            )
        },
        &[
            "mini.invalid/nowhere:1",
            "check its name and tag in the FROM line",
        ],
    );
}

#[test]
fn a_build_step_that_fails() {
    check(
        "no-build",
        |repository| {
            repository.write(
                "Dockerfile",
                "FROM python:3.13-slim\nRUN echo this goes wrong && exit 9\nCMD [\"true\"]\n",
            );
        },
        &["this goes wrong", "exit code: 9", "its build failed"],
    );
}

#[test]
fn a_release_command_that_fails() {
    check(
        "no-release",
        |repository| {
            repository.write(
                "Procfile",
                "release: echo cannot migrate; exit 4\nweb: python3 -S -E -u app.py\n",
            );
        },
        &["cannot migrate", "ended with status 4"],
    );
}

#[test]
fn a_process_that_exits_at_once() {
    check_mode(
        "exits",
        "exits",
        &[
            "the last words of the app",
            "did not stay up",
            "ended by itself with status 3",
        ],
    );
}

#[test]
fn a_process_that_listens_on_another_port() {
    check_mode(
        "wrong-port",
        "wrong-port",
        &[
            "not listening on $PORT (5000)",
            "it listens on 0.0.0.0:4321 instead",
        ],
    );
}

#[test]
fn a_process_that_listens_for_itself_only() {
    check_mode(
        "loopback",
        "loopback",
        &["it listens on 127.0.0.1:5000, which only its own container can reach"],
    );
}

#[test]
fn a_process_that_never_listens() {
    check_mode("silent", "silent", &["it listened on no port within 2 s"]);
}

#[test]
fn a_check_that_gets_the_wrong_answer() {
    check(
        "wrong-answer",
        |repository| {
            repository.write(
                "app.json",
                r#"{"healthchecks":{"web":[{"path":"/nowhere","timeout":2,"attempts":2,"wait":0}]}}"#,
            );
        },
        &["attempt 2/2 /nowhere: answered 404"],
    );
}

#[test]
fn a_procfile_that_names_a_type_twice() {
    check(
        "twice",
        |repository| repository.write("Procfile", "web: true\nweb: false\n"),
        &["Procfile", "web"],
    );
}

#[test]
fn a_procfile_without_web() {
    check(
        "no-web",
        |repository| repository.write("Procfile", "worker: sleep 1000\n"),
        &[
            "no process type `web`",
            "defines only `worker`",
            "add a line like `web: npm start`",
        ],
    );
}

#[test]
fn a_command_that_the_image_does_not_have() {
    check(
        "no-command",
        |repository| {
            repository.write(
                "Dockerfile",
                "FROM python:3.13-slim\nCOPY . .\nCMD [\"/no/such/program\"]\n",
            );
        },
        &["/no/such/program"],
    );
}

#[test]
fn a_submodule_is_refused_before_anything_is_built() {
    check(
        "submodule",
        |repository| {
            let inner = repository.head();
            repository.write(
                ".gitmodules",
                "[submodule \"part\"]\n\tpath = part\n\turl = https://git.invalid/part.git\n",
            );
            repository
                .git(&[
                    "update-index",
                    "--add",
                    "--cacheinfo",
                    &format!("160000,{inner},part"),
                ])
                .succeeds();
            std::fs::create_dir(repository.folder().join("part")).unwrap();
        },
        &["submodule", "part"],
    );
}

#[test]
fn a_build_that_never_ends() {
    let server = Server::start_with(&[("MINI_BUILD_TIMEOUT", "5s")]);
    let repository = Repository::app(&server, "endless", "one");
    let gate = Gate::new();
    repository.write(
        "Dockerfile",
        format!(
            "FROM python:3.13-slim\nRUN {}\nCMD [\"true\"]\n",
            gate.command()
        ),
    );
    repository.commit("It waits for ever");
    let push = repository.begin_push();
    let waits = gate.wait_for_arrival();
    push.finish()
        .fails()
        .says(&["[remote rejected]", "the build did not end within 5 s"]);
    waits.wait_for_its_end();
}

#[test]
fn a_process_that_needs_more_memory_than_it_may_have() {
    let server = Server::start_with(&[("MINI_MEMORY_LIMIT", "64MiB")]);
    let repository = Repository::app(&server, "greedy", "one");
    repository.write(
        "Procfile",
        "web: exec python3 -S -E -c 'held = bytearray(512 << 20)'\n",
    );
    repository.commit("It takes half a gigabyte");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "it needed more memory than its limit"]);
}

#[test]
fn a_disk_that_is_nearly_full() {
    let server = Server::start_with(&[("MINI_MIN_FREE_SPACE", "1000TiB")]);
    let repository = Repository::app(&server, "full", "one");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "the disk of the server is nearly full"]);
}

#[test]
fn a_repository_larger_than_the_limit() {
    let server = Server::start_with(&[
        ("MINI_MAX_UPLOAD", "1MiB"),
        ("MINI_MAX_UPLOAD_ENTRIES", "20"),
    ]);
    let repository = Repository::app(&server, "huge", "one");
    repository.push().succeeds();
    // Small as a pack, large as a tree.
    repository.write("zeros", vec![0; 2 << 20]);
    repository.commit("Two megabytes");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "1 MiB"]);

    repository
        .git(&["reset", "--quiet", "--hard", "HEAD~1"])
        .succeeds();
    for number in 0..30 {
        repository.write(&format!("files/{number}"), "");
    }
    repository.commit("Thirty files");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "more than 20 files"]);
    assert_eq!(server.body("huge", "/"), "version one\n");
}

#[test]
fn a_worker_that_fails_keeps_web_back_too() {
    let server = Server::start();
    let repository = Repository::app(&server, "together", "one");
    repository.write(
        "Procfile",
        "web: exec python3 -S -E -u app.py\nworker: exec sleep 1000\n",
    );
    repository.commit("A worker");
    repository.push().succeeds();
    server.ssh(&["ps:scale", "together", "worker=1"]).succeeds();
    repository.write(
        "Procfile",
        "web: exec python3 -S -E -u app.py\nworker: echo the worker gives up; exit 5\n",
    );
    repository.set_version("two");
    repository.push().fails().says(&[
        "[remote rejected]",
        "worker.1 did not stay up",
        "ended by itself with status 5",
        "the worker gives up",
    ]);
    assert_eq!(server.body("together", "/"), "version one\n");
    crate::wait::wait_until("the old processes alone", || {
        server.instance().running("together").len() == 2
    });
}

#[test]
fn a_push_to_an_app_nobody_created_where_pushes_create_none() {
    let server = Server::start_with(&[("MINI_CREATE_APPS", "false")]);
    let repository = Repository::app(&server, "uncreated", "one");
    repository
        .push()
        .fails()
        .says(&["App uncreated does not exist", "apps:create uncreated"]);
    server.ssh(&["apps:create", "uncreated"]).succeeds();
    repository.push().succeeds();
    assert_eq!(server.body("uncreated", "/"), "version one\n");
}

#[test]
fn the_first_push_of_an_app_can_fail_too() {
    let server = Server::start();
    let repository = Repository::app(&server, "first", "one");
    repository.write("mode.txt", "exits");
    repository.commit("It exits");
    repository
        .push()
        .fails()
        .says(&["! [remote rejected] main -> main"]);
    assert_eq!(repository.remote_tip("refs/heads/main"), None);
    // Dokku's answer for an app that has not been deployed.
    assert_eq!(server.get("first", "/").status, 502);
    repository.write("mode.txt", "well");
    repository.commit("It does not");
    repository.push().succeeds();
    assert_eq!(server.body("first", "/"), "version one\n");
}
