//! `ssh-keys:*`: who may log in.

use crate::client::Client;
use crate::process::run;
use crate::server::Server;

#[test]
fn a_key_that_was_removed_no_longer_logs_in() {
    let server = Server::start();
    let colleague = Client::new(server.scratch().join("colleague"));
    colleague.point_to(server.ssh_address());
    let lists = || run(colleague.ssh().args(["mini", "apps:list"]));
    lists()
        .ends_with(255)
        .says(&["Permission denied (publickey)"]);

    let key = std::fs::read(colleague.public_key()).unwrap();
    let added = server.ssh_with_input(&["ssh-keys:add", "colleague"], &key);
    assert!(added.succeeds().starts_with("SHA256:"), "{added}");
    lists().succeeds();
    let fingerprint = added.stdout.trim().to_owned();
    server
        .ssh(&["ssh-keys:list"])
        .says(&[&fingerprint, "NAME=\"colleague\""])
        .succeeds();
    server
        .ssh_with_input(&["ssh-keys:add", "again"], &key)
        .fails()
        .says(&["added already, as colleague"]);
    server
        .ssh_with_input(&["ssh-keys:add", "nonsense"], b"no key\n")
        .fails();

    server.ssh(&["ssh-keys:remove", "colleague"]).succeeds();
    lists()
        .ends_with(255)
        .says(&["Permission denied (publickey)"]);
    server
        .ssh(&["ssh-keys:remove", "colleague"])
        .fails()
        .says(&["There is no key named colleague"]);
}

#[test]
fn keys_are_added_on_the_console_too() {
    let server = Server::start();
    let colleague = Client::new(server.scratch().join("colleague"));
    colleague.point_to(server.ssh_address());
    let key = std::fs::read(colleague.public_key()).unwrap();
    server
        .mini_with_input(&["ssh-keys:add", "colleague"], &key)
        .succeeds();
    run(colleague.ssh().args(["mini", "apps:list"])).succeeds();
}

#[test]
fn the_first_key_can_be_added_before_the_server_has_ever_run() {
    let server = Server::new();
    let key = std::fs::read(server.client().public_key()).unwrap();
    server
        .mini_with_input(&["ssh-keys:add", "owner"], &key)
        .succeeds();
    server
        .mini(&["ssh-keys:list"])
        .says(&["NAME=\"owner\""])
        .succeeds();
    let server = server.without_authorized_key();
    server.launch();
    server.ssh(&["apps:list"]).succeeds();
}

#[test]
fn passwords_are_not_asked_for() {
    let server = Server::start();
    let mut command = server.client().ssh();
    command.args([
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "BatchMode=no",
        "-o",
        "NumberOfPasswordPrompts=0",
    ]);
    run(command.args(["mini", "apps:list"]))
        .ends_with(255)
        .says(&["Permission denied (publickey)"]);
}

#[test]
fn the_host_key_stays_the_same() {
    let server = Server::start();
    server.ssh(&["apps:list"]).succeeds();
    server.stop();
    server.launch();
    // The client knows the host by now and would refuse another key.
    server.ssh(&["apps:list"]).succeeds();
}
