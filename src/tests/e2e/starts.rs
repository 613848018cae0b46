//! A server that cannot start says why; one that starts without Docker says so and waits for it.

use std::net::TcpListener;

use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

#[test]
fn a_data_directory_that_is_in_use_is_refused() {
    let server = Server::start();
    let mut second = std::process::Command::new(env!("CARGO_BIN_EXE_mini"));
    second
        .arg("server")
        .arg("--data-dir")
        .arg(server.data_dir());
    second.args([
        "--ssh-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--https-listen",
        "127.0.0.1:0",
        "--base-domain",
        "localhost",
    ]);
    run(&mut second)
        .fails()
        .says(&["in use by another mini", "--data-dir"]);
    server.ssh(&["apps:list"]).succeeds();
}

#[test]
fn a_port_that_is_taken_is_named_with_who_has_it() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--ssh-listen", "--http-listen", "--https-listen"] {
        let server = Server::new();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mini"));
        command
            .arg("server")
            .arg("--data-dir")
            .arg(server.data_dir());
        for each in ["--ssh-listen", "--http-listen", "--https-listen"] {
            command.args([
                each,
                if each == flag {
                    &address
                } else {
                    "127.0.0.1:0"
                },
            ]);
        }
        command.args(["--base-domain", "localhost"]);
        let refused = run(&mut command);
        refused
            .fails()
            .says(&[&taken.local_addr().unwrap().port().to_string()]);
        // Who has it is this very process.
        refused.says(&[&std::process::id().to_string()]);
    }
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    let server = Server::start();
    server.stop();
    let path = server.data_dir().join("mini.db");
    let mut content = std::fs::read(&path).unwrap();
    for byte in content.iter_mut().take(4096) {
        *byte = 0x55;
    }
    std::fs::write(&path, &content).unwrap();
    let _ = std::fs::remove_file(server.data_dir().join("mini.db-wal"));
    run(&mut server.command())
        .fails()
        .says(&["the database is damaged"]);
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let server = Server::start();
    server.stop();
    let path = server.data_dir().join("mini.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 9999).unwrap();
    drop(database);
    run(&mut server.command())
        .fails()
        .says(&["written by a newer mini", "9999"]);
    let database = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 9999);
}

#[test]
fn without_a_server_the_doctor_says_what_keeps_one_from_starting() {
    let server = Server::start();
    server.stop();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_mini"));
    doctor.args(["doctor", "--json", "--data-dir"]);
    doctor.arg(server.data_dir());
    doctor.env("MINI_HTTP_LISTEN", &taken);
    let said = run(&mut doctor);
    said.ends_with(1).says(&[
        "is not running: nothing answers at",
        &format!(
            "(process {}) listens on {taken} already",
            std::process::id()
        ),
        "choose another port: `--http-listen`",
    ]);
}

#[test]
fn without_docker_the_server_starts_and_says_what_is_wrong() {
    let mut server = Server::start_with(&[("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
    let doctor = server.ssh(&["doctor"]);
    assert!(doctor.text().to_lowercase().contains("docker"), "{doctor}");
    doctor.says(&["systemctl start docker"]);
    server.ssh(&["apps:create", "waits"]).succeeds();
    let repository = Repository::app(&server, "waits", "one");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "Docker", "systemctl start docker"]);
    assert_eq!(repository.remote_tip("refs/heads/main"), None);
    let folder = repository.folder().to_owned();

    // With Docker there, the same push goes well.
    server.stop();
    server.clear_environment();
    server.launch();
    let push = run(server.client().git(&folder).args(["push", "mini", "main"]));
    push.succeeds();
    assert_eq!(server.body("waits", "/"), "version one\n");
}

#[test]
fn docker_may_come_late_and_go_and_come_again() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("docker.sock");
    let server = Server::start_with(&[("MINI_DOCKER_SOCKET", socket.to_str().unwrap())]);
    let repository = Repository::app(&server, "patient", "one");
    repository
        .push()
        .fails()
        .says(&["[remote rejected]", "Docker", "systemctl start docker"]);

    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    wait_until("the server to find Docker", || repository.push().code == 0);
    assert_eq!(server.body("patient", "/"), "version one\n");

    std::fs::remove_file(&socket).unwrap();
    repository.set_version("two");
    // What runs goes on, whatever becomes of the push: a connection that is open already may serve it.
    let push = repository.push();
    let version = if push.code == 0 { "two" } else { "one" };
    assert_eq!(server.body("patient", "/"), format!("version {version}\n"));

    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    repository.set_version("three");
    wait_until("the server to find Docker again", || {
        repository.push().code == 0
    });
    assert_eq!(server.body("patient", "/"), "version three\n");
}

#[test]
fn wrong_settings_are_all_named_at_once() {
    let server = Server::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mini"));
    command
        .arg("server")
        .arg("--data-dir")
        .arg(server.data_dir());
    command.args([
        "--ssh-listen",
        "nonsense",
        "--http-listen",
        "127.0.0.1:0",
        "--https-listen",
        "127.0.0.1:0",
        "--base-domain",
        "not a host",
    ]);
    run(&mut command).fails().says(&["nonsense"]);
}

#[test]
fn commands_without_a_server_say_that_none_runs() {
    let server = Server::start();
    server.stop();
    server.mini(&["apps:list"]).fails().says(&["mini server"]);
}
