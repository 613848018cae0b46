//! The login on port 22: what the machine's own SSH server asks for, and the command it starts.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::process::run;
use crate::repository::Repository;
use crate::server::Server;

/// The fingerprint of the client's key.
fn fingerprint(server: &Server) -> String {
    let mut keygen = Command::new("ssh-keygen");
    keygen.arg("-lf").arg(server.client().public_key());
    let said = run(&mut keygen).succeeds().to_owned();
    said.split_whitespace().nth(1).unwrap().to_owned()
}

/// The command in the line that sshd is given for a key.
fn command_in(line: &str) -> &str {
    let rest = line
        .strip_prefix("restrict,pty,command=\"")
        .expect("the line lets a key do one thing");
    rest.split_once("\" ssh-ed25519 ").unwrap().0
}

/// What sshd does after a login: the forced command, by a shell, with what was asked for beside it (sshd(8)).
fn logged_in(command: &str, asked: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("SSH_ORIGINAL_COMMAND", asked);
    shell
}

#[test]
fn a_login_that_sshd_has_checked_reaches_commands_and_pushes() {
    let server = Server::start();
    let unknown = format!("SHA256:{}", "A".repeat(43));
    assert_eq!(
        server.mini(&["ssh-keys:authorized", &unknown]).succeeds(),
        ""
    );
    let line = server.mini(&["ssh-keys:authorized", &fingerprint(&server)]);
    let command = command_in(line.succeeds()).to_owned();

    run(&mut logged_in(&command, "apps:create blog")).succeeds();
    let list = run(&mut logged_in(&command, "apps:list"));
    assert!(list.succeeds().contains("blog"), "{list}");
    run(&mut logged_in(&command, "apps:report nothing")).ends_with(20);
    // Who it was is known: the key, not the console.
    let asked = "config:set --no-restart blog A=b";
    run(&mut logged_in(&command, asked)).succeeds();

    // git runs `ssh HOST COMMAND`; here that is the forced command.
    let ssh = server.scratch().join("ssh");
    let script = format!("#!/bin/sh\nshift\nexport SSH_ORIGINAL_COMMAND=\"$*\"\n{command}\n");
    std::fs::write(&ssh, script).unwrap();
    std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o755)).unwrap();
    let repository = Repository::app(&server, "blog", "one");
    let git = |words: &[&str]| {
        let mut git = repository.command(words);
        git.env("GIT_SSH_COMMAND", &ssh)
            .env("GIT_SSH_VARIANT", "simple");
        run(&mut git)
    };
    git(&["push", "git@port22:blog", "main"]).succeeds();
    assert_eq!(server.body("blog", "/"), "version one\n");
    let tip = git(&["ls-remote", "git@port22:blog", "main"]);
    assert!(tip.succeeds().starts_with(&repository.head()), "{tip}");

    // sshd ends when it has lost its client, here while the command waits for what is typed.
    let script = format!("exec 3<&0; {command} <&3 & wait");
    let mut sshd = logged_in(&script, "git:auth example.com ann")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = sshd.stdin.take();
    let mut said = BufReader::new(sshd.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("Waiting on standard input"), "{line}");
    sshd.kill().unwrap();
    sshd.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "it ends without a word");
    drop(typed);

    server.ssh(&["ssh-keys:list"]).succeeds();
    let name = server.json(&["ssh-keys:list"])[0]["name"].clone();
    server
        .mini(&["ssh-keys:remove", name.as_str().unwrap()])
        .succeeds();
    run(&mut logged_in(&command, "apps:list"))
        .fails()
        .says(&["This key may not log in to mini", "ssh-keys:add"]);
}
