//! A new server takes over from the one that runs, and nobody notices.

use std::os::unix::net::{UnixDatagram, UnixListener};

use rustix::process::Signal;

use crate::gate::{Arrived, Gate};
use crate::http::Connection;
use crate::process::{Running, run};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

#[test]
fn ten_takeovers_under_load_lose_no_request() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "busy", "one");
    let containers = server.instance().running("busy");
    let load = server.load("busy");
    load.wait_for_requests(100);
    for number in 0..10 {
        // The proxy has a thread and a listening socket for each core: it goes from several to one and back.
        let successor = if number % 2 == 0 {
            server.begin_takeover_under(&["taskset", "-c", "0"])
        } else {
            server.begin_takeover()
        };
        // Whoever comes in between waits for the new one.
        server.ssh(&["apps:list"]).says(&["busy"]).succeeds();
        server.mini(&["apps:list"]).says(&["busy"]).succeeds();
        server.succeed(successor);
        load.wait_for_requests(50);
    }
    load.wait_for_requests(100);
    load.stop().has_no_failure();
    server.wait_for_leavers();
    assert_eq!(server.instance().running("busy"), containers);
    server.ssh(&["apps:list"]).says(&["busy"]).succeeds();
}

#[test]
fn a_server_replaces_itself_on_a_signal() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "reload", "one");
    let load = server.load("reload");
    load.wait_for_requests(50);
    let _heir = server.replace_itself();
    load.wait_for_requests(50);
    server.ssh(&["apps:list"]).says(&["reload"]).succeeds();
    load.stop().has_no_failure();
    server.wait_for_leavers();
    server.body("reload", "/");
}

#[test]
fn systemd_is_told_of_a_server_that_is_no_child_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let server = Server::start_with(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("MINI_DRAIN", "60s"),
    ]);
    let _repository = Repository::deployed(&server, "told", "one");
    let before = server.pid();
    // The one before is there for it, and could be the parent.
    let mut socket = WebSocket::open(&server, "told");
    let heir = server.replace_itself();
    let mut said = [0; 4096];
    wait_until("systemd to be told of it", || {
        std::iter::from_fn(|| {
            systemd
                .recv(&mut said)
                .ok()
                .map(|read| said[..read].to_vec())
        })
        .any(|line| line.starts_with(format!("MAINPID={}\n", heir.pid()).as_bytes()))
    });
    socket.echoes("still here");
    assert_eq!(server.leavers(), 1);
    assert_ne!(heir.parent(), before);
    drop(socket);
    server.wait_for_leavers();
}

#[test]
fn a_server_whose_successor_fails_serves_on() {
    let server = Server::start();
    // Its settings name a file that is not there any more.
    std::fs::remove_file(server.client().public_key()).unwrap();
    server.ask_for_successor();
    wait_until("the failed start to be logged", || {
        server.log().contains("the new server has ended")
    });
    server.ssh(&["apps:list"]).succeeds();
}

#[test]
fn a_websocket_outlives_the_takeover_until_the_drain_is_over() {
    let server = Server::start_with(&[("MINI_DRAIN", "6s")]);
    let _repository = Repository::deployed(&server, "socket", "one");
    let mut socket = WebSocket::open(&server, "socket");
    socket.echoes("before");
    let successor = server.begin_takeover();
    server.succeed(successor);
    socket.echoes("after");
    assert_eq!(server.leavers(), 1, "the server before is there for it");
    socket.wait_for_its_end();
    server.wait_for_leavers();
    let log = server.log();
    assert!(log.contains("the drain time is over"), "{log}");
    WebSocket::open(&server, "socket").echoes("anew");
}

#[test]
fn a_push_that_builds_is_finished_and_who_comes_meanwhile_waits() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "built", "one");
    let (push, arrived) = push_that_builds(&repository);
    let mut logs = server.ssh_begin(&["logs", "built", "-t"]);
    let load = server.load("built");
    let successor = server.begin_takeover();
    wait_until("the new server to say what it waits for", || {
        server
            .log()
            .contains("the running server finishes first: push to built")
    });
    // Follows would go on for ever.
    logs.wait_for_text("The server is being restarted");
    logs.finish().fails();
    let waits = server.ssh_begin(&["ps:report", "built"]);
    // The machine's own door stays open meanwhile.
    server
        .mini(&["builds:list", "built"])
        .says(&["running"])
        .succeeds();
    load.wait_for_requests(50);
    arrived.open();
    push.finish().says(&["Application deployed"]).succeeds();
    server.succeed(successor);
    waits.finish().says(&["running"]).succeeds();
    server.wait_for_version("built", "two");
    load.wait_for_requests(50);
    load.stop().has_no_failure();
    server.wait_for_leavers();
    assert_eq!(
        server.json(&["builds:list", "built"])[0]["status"],
        "succeeded"
    );
}

#[test]
fn a_pager_that_shows_its_first_page_does_not_hold_up_a_takeover() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "paged", "one");
    let words = ["logs", "paged", "-t"];
    let mut readers = [server.ssh_begin(&words), server.mini_begin(&words)];
    server.get("paged", "/print?line=the+first+page");
    for reader in &mut readers {
        reader.wait_for_text("the first page");
        reader.signal(Signal::STOP);
    }
    // More than a channel of SSH takes unread (2 MiB), and all that waits on the way to it.
    let line = "more".repeat(2000);
    for _ in 0..600 {
        server.get("paged", &format!("/print?line={line}"));
    }
    // It would wait for a build's time.
    let successor = server.begin_takeover();
    server.succeed(successor);
    server.wait_for_leavers();
    for reader in readers {
        reader.signal(Signal::CONT);
        reader.finish().fails();
    }
}

#[test]
fn a_push_is_not_waited_for_longer_than_asked() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "endless", "one");
    let (push, arrived) = push_that_builds(&repository);
    let mut command = server.command();
    command.args(["--takeover-wait", "1s"]);
    let successor = server.begin_takeover_as(command);
    arrived.wait_for_its_end();
    push.finish().fails().says(&["mini is stopping"]);
    server.succeed(successor);
    server.wait_for_version("endless", "one");
    server.wait_for_leavers();
}

#[test]
fn a_successor_that_is_killed_while_it_waits_leaves_the_server_as_it_was() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "kept", "one");
    let (push, arrived) = push_that_builds(&repository);
    let successor = server.begin_takeover();
    wait_until("the new server to wait", || {
        server.log().contains("finishes first: push to kept")
    });
    let waits = server.ssh_begin(&["apps:list"]);
    successor.kill();
    // Accepted again while the push still builds.
    waits.finish().says(&["kept"]).succeeds();
    arrived.open();
    push.finish().succeeds();
    server.wait_for_version("kept", "two");
    let mut logs = server.ssh_begin(&["logs", "kept", "-t"]);
    server.get("kept", "/print?line=still+followed");
    logs.wait_for_text("still followed");
}

#[test]
fn a_successor_that_is_killed_before_it_is_ready_gives_everything_back() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "back", "one");
    let load = server.load("back");
    // Docker that takes connections and never answers: the new server gets as far as the data directory and no further.
    let silent = server.scratch().join("silent.sock");
    let _docker = UnixListener::bind(&silent).unwrap();
    let mut command = server.command();
    command.arg("--docker-socket").arg(&silent);
    let successor = server.begin_takeover_as(command);
    let lock = server.data_dir().join("mini.lock");
    wait_until("the new server to have the data directory", || {
        std::fs::read_to_string(&lock).is_ok_and(|pid| pid.trim() == successor.pid().to_string())
    });
    load.wait_for_requests(50);
    let waits = server.ssh_begin(&["apps:list"]);
    successor.kill();
    waits.finish().says(&["back"]).succeeds();
    repository.set_version("two");
    repository.push().succeeds();
    server.wait_for_version("back", "two");
    load.stop().has_no_failure();
    // And the next one succeeds.
    let successor = server.begin_takeover();
    server.succeed(successor);
    server.wait_for_leavers();
    assert_eq!(server.body("back", "/"), "version two\n");
}

#[test]
fn a_deploy_spares_what_the_server_before_still_serves() {
    let server = Server::start();
    let repository = Repository::deployed(&server, "spared", "one");
    let before = server.instance().running("spared");
    let mut socket = WebSocket::open(&server, "spared");
    let successor = server.begin_takeover();
    server.succeed(successor);
    repository.set_version("two");
    repository.push().succeeds();
    server.wait_for_version("spared", "two");
    // The new server knows of the old process's visitor only from the server before.
    socket.echoes("still here");
    assert!(server.instance().running("spared").contains(&before[0]));
    drop(socket);
    wait_until("the old process to be gone", || {
        !server.instance().running("spared").contains(&before[0])
    });
    server.wait_for_leavers();
}

#[test]
fn without_a_server_a_takeover_is_an_ordinary_start() {
    let server = Server::start();
    server.kill();
    // Its sockets are left behind, and nobody listens there.
    assert!(server.data_dir().join("run/takeover.sock").exists());
    let successor = server.begin_takeover();
    server.succeed(successor);
    server.ssh(&["apps:list"]).succeeds();
    server.stop();
    assert!(!server.data_dir().join("run/takeover.sock").exists());
    assert!(!server.data_dir().join("run/server.json").exists());
}

#[test]
fn a_second_server_is_told_of_takeovers() {
    let server = Server::start();
    run(&mut server.command())
        .fails()
        .says(&["in use by another mini", "mini server --takeover"]);
    server.ssh(&["apps:list"]).succeeds();
}

/// Pushes version `two` and returns when its build waits at a gate.
fn push_that_builds(repository: &Repository<'_>) -> (Running, Arrived) {
    let gate = Gate::new();
    let dockerfile = std::fs::read_to_string(repository.folder().join("Dockerfile")).unwrap();
    let step = format!("RUN {}\nCMD", gate.command());
    repository.write("Dockerfile", dockerfile.replace("CMD", &step));
    repository.set_version("two");
    let push = repository.begin_push();
    (push, gate.wait_for_arrival())
}

/// A WebSocket to the small app's echo.
struct WebSocket(Connection);

impl WebSocket {
    #[track_caller]
    fn open(server: &Server, app: &str) -> Self {
        let mut connection = Connection::open(server.http()).unwrap();
        let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let host = format!("{app}.localhost");
        let answer = connection.get(&host, "/echo", upgrade).unwrap();
        assert_eq!(answer.status, 101);
        Self(connection)
    }

    #[track_caller]
    fn echoes(&mut self, text: &str) {
        // Masked with zeros (RFC 6455, section 5.3).
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend(text.bytes());
        self.0.write(&frame).unwrap();
        let echoed = self.0.read(2 + text.len()).unwrap();
        assert_eq!(&echoed[2..], text.as_bytes());
    }

    #[track_caller]
    fn wait_for_its_end(mut self) {
        let error = self.0.read(1).unwrap_err();
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "it is still open"
        );
    }
}
