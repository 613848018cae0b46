//! `ps:*`, `logs`, `run`, `releases` and `rollback`, `builds:*`.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::http;
use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

#[test]
fn an_app_is_scaled_up_down_and_to_nothing() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "scaled", "one");
    server
        .ssh(&["ps:scale", "scaled"])
        .says(&["-----> Scaling for scaled", "web:  1"])
        .succeeds();
    server
        .ssh(&["ps:scale", "scaled", "web=2"])
        .says(&["-----> Scaling scaled processes: web=2"])
        .succeeds();
    let mut names = BTreeSet::new();
    wait_until("answers of two processes", || {
        names.insert(server.body("scaled", "/hostname"));
        names.len() == 2
    });
    assert_eq!(server.instance().running("scaled").len(), 2);

    let load = server.load("scaled");
    load.wait_for_requests(50);
    server.ssh(&["ps:scale", "scaled", "web=1"]).succeeds();
    wait_until("one process to be left", || {
        server.instance().running("scaled").len() == 1
    });
    load.wait_for_requests(50);
    load.stop().has_no_failure();

    server.ssh(&["ps:scale", "scaled", "web=0"]).succeeds();
    assert_eq!(server.get("scaled", "/").status, 503);
    wait_until("no process to be left", || {
        server.instance().running("scaled").is_empty()
    });
    server.ssh(&["ps:scale", "scaled", "web=1"]).succeeds();
    server.wait_for_version("scaled", "one");

    server
        .ssh(&["ps:scale", "scaled", "nothing=1"])
        .fails()
        .says(&["no process type `nothing`", "web"]);
    server.ssh(&["ps:scale", "scaled", "web=1000"]).fails();
    server.ssh(&["ps:scale", "scaled", "web=-1"]).fails();
    server
        .ssh(&["ps:scale", "scaled", "web"])
        .fails()
        .says(&["TYPE=QUANTITY"]);
}

#[test]
fn an_app_is_stopped_started_restarted_and_rebuilt() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "moods", "one");
    server.ssh(&["ps:stop", "moods"]).succeeds();
    assert_eq!(server.get("moods", "/").status, 503);
    assert!(server.instance().running("moods").is_empty());
    assert_eq!(
        server.ssh(&["ps:report", "moods", "--running"]).succeeds(),
        "false\n"
    );

    server.kill();
    server.launch();
    server.ssh(&["ps:report", "moods"]).succeeds();
    assert_eq!(
        server.get("moods", "/").status,
        503,
        "stopped, also after a restart of the server"
    );

    server.ssh(&["ps:start", "moods"]).succeeds();
    server.wait_for_version("moods", "one");

    let before = server.instance().running("moods");
    let load = server.load("moods");
    load.wait_for_requests(50);
    server.ssh(&["ps:restart", "moods"]).succeeds();
    server
        .ssh(&["ps:rebuild", "moods"])
        .says(&["Building moods from Dockerfile"])
        .succeeds();
    wait_until("one new process", || {
        let now = server.instance().running("moods");
        now.len() == 1 && now != before
    });
    load.stop().has_no_failure();
    server.ssh(&["apps:create", "empty"]).succeeds();
    for command in ["ps:start", "ps:restart", "ps:rebuild"] {
        server
            .ssh(&[command, "empty"])
            .fails()
            .says(&["App empty has not been deployed"]);
    }
}

#[test]
fn a_stopped_app_answers_what_it_was_asked_before() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "last", "one");
    let address = server.http();
    let asked = std::thread::spawn(move || http::get(address, "last.localhost", "/slow?ms=3000"));
    wait_until("the request to be under way", || {
        server
            .ssh(&["logs", "last"])
            .text()
            .contains("a slow answer begins")
    });
    server.ssh(&["ps:stop", "last"]).succeeds();
    assert!(server.instance().running("last").is_empty());
    let answer = asked.join().unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "version one\n")
    );
}

#[test]
fn logs_are_shown_and_followed() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "talks", "one");
    for line in ["first", "second", "third"] {
        server.body("talks", &format!("/print?line={line}-line"));
    }
    wait_until("the lines", || {
        server.ssh(&["logs", "talks"]).text().contains("third-line")
    });
    let logs = server.ssh(&["logs", "talks"]);
    logs.says(&["app[web.1]: version one begins", "app[web.1]: first-line"]);
    let last = server.ssh(&["logs", "talks", "-n", "2", "-q"]);
    assert_eq!(last.succeeds(), "second-line\nthird-line\n");
    server
        .ssh(&["logs", "talks", "-p", "web"])
        .says(&["third-line"])
        .succeeds();
    server
        .ssh(&["logs", "talks", "-p", "web.1"])
        .says(&["third-line"])
        .succeeds();
    server
        .ssh(&["logs", "talks", "-p", "worker"])
        .says_not("third-line");

    let mut following = server.ssh_begin(&["logs", "talks", "-t"]);
    following.wait_for_text("third-line");
    server.body("talks", "/print?line=while-you-look");
    following.wait_for_text("while-you-look");
    // Across a deploy, too.
    server.ssh(&["ps:restart", "talks"]).succeeds();
    server.body("talks", "/print?line=after-the-restart");
    following.wait_for_text("after-the-restart");
    following.signal(Signal::INT);
    following.finish();
}

#[test]
fn a_command_is_run_with_its_status_its_input_and_a_terminal() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "once", "one");
    server
        .ssh(&["config:set", "--no-restart", "once", "COLOUR=blue"])
        .succeeds();
    server.ssh(&["ps:restart", "once"]).succeeds();
    server
        .ssh(&["run", "once", "sh", "-c", "'echo $COLOUR; exit 7'"])
        .ends_with(7)
        .says(&["blue"]);
    let output = server.ssh(&["run", "once", "cat", "version.txt"]);
    assert_eq!(
        output.succeeds(),
        "one\n",
        "nothing but the command's own output"
    );
    let streams = server.ssh(&["run", "once", "sh", "-c", "'echo out; echo err >&2'"]);
    assert_eq!(
        (streams.stdout.as_str(), streams.stderr.as_str()),
        ("out\n", "err\n")
    );
    let piped = server.ssh_with_input(&["run", "once", "cat"], b"hi\n");
    assert_eq!(piped.succeeds(), "hi\n");
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let counted = server.ssh_with_input(&["run", "once", "wc", "-c"], &bytes);
    assert_eq!(counted.succeeds().trim(), "800000");
    let local = server.mini(&["run", "once", "cat", "version.txt"]);
    assert_eq!(local.succeeds(), "one\n");

    server
        .ssh(&["run", "once", "tty"])
        .fails()
        .says(&["not a tty"]);
    // The input of both ends at once, which must not take their output along.
    let in_terminal = |words: &[&str]| {
        let mut command = server.client().ssh();
        run(command.args(["-tt", "mini", "run", "once"]).args(words))
    };
    let terminal = in_terminal(&["tty"]);
    assert!(terminal.succeeds().contains("/dev/"), "{terminal}");
    let late = in_terminal(&["sh", "-c", "'sleep 1; echo said late; exit 5'"]);
    late.ends_with(5).says(&["said late"]);
    in_terminal(&["cat"]).succeeds();
    server
        .ssh(&["run", "once", "/no/such/program"])
        .fails()
        .says(&["/no/such/program"]);
    server.ssh(&["run", "once"]).ends_with(2);
    wait_until("their containers to be gone", || {
        server.instance().containers().len() == 1
    });
}

#[test]
fn an_old_release_comes_back() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "history", "one");
    server
        .ssh(&["rollback", "history"])
        .fails()
        .says(&["there is no earlier image to go back to"]);
    repository.set_version("two");
    repository.push().succeeds();
    server.ssh(&["config:set", "history", "NEW=yes"]).succeeds();
    let releases = server.ssh(&["releases", "history"]);
    releases
        .says(&[
            "=====> history releases",
            "v1",
            "v2",
            "v3",
            "Version two",
            "current",
        ])
        .succeeds();

    let load = server.load("history");
    load.wait_for_requests(50);
    server.ssh(&["rollback", "history"]).succeeds();
    assert_eq!(server.body("history", "/"), "version one\n");
    server.ssh(&["rollback", "history", "v2"]).succeeds();
    assert_eq!(server.body("history", "/"), "version two\n");
    load.stop().has_no_failure();
    server
        .ssh(&["rollback", "history", "v99"])
        .fails()
        .says(&["there is no v99 to go back to", "v2, v1"]);
    assert_eq!(server.body("history", "/"), "version two\n");

    // The branch says something else than what runs; the next push sets both right.
    repository.set_version("three");
    repository.push().succeeds();
    assert_eq!(server.body("history", "/"), "version three\n");
}

#[test]
fn builds_are_listed_and_their_output_is_kept() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "builds", "one");
    repository.write(
        "Dockerfile",
        "FROM python:3.13-slim\nRUN echo a remarkable line && exit 9\n",
    );
    repository.commit("It does not build");
    repository.push().fails();
    let list = server.ssh(&["builds:list", "builds"]);
    list.says(&["=====> builds builds", "failed", "succeeded"])
        .succeeds();
    let output = server.ssh(&["builds:output", "builds"]);
    output.ends_with(1).says(&["a remarkable line"]);
    let builds = server.json(&["builds:list", "builds"]);
    let id = builds[1]["id"].as_str().unwrap();
    server
        .ssh(&["builds:output", "builds", id])
        .says(&["=====> Application deployed:"])
        .succeeds();
    server
        .ssh(&["builds:output", "builds", "zzzz"])
        .fails()
        .says(&["builds has no build zzzz"]);
}
