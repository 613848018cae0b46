//! Any command from a laptop: `mini --host mini apps:list` is `ssh mini apps:list`.

use std::path::Path;
use std::process::Command;

use crate::process::{run, run_with_input};
use crate::server::Server;

/// `mini` as a developer types it who reaches the server as `ssh mini` only.
fn laptop(server: &Server, folder: &Path, words: &[&str]) -> Command {
    let git = server.client().git(folder);
    let mut mini = Command::new(env!("CARGO_BIN_EXE_mini"));
    mini.env_clear().current_dir(folder).args(words);
    for (name, value) in git.get_envs() {
        if let Some(value) = value {
            mini.env(name, value);
        }
    }
    mini
}

#[test]
fn commands_go_to_the_server_that_is_named_with_their_words_input_and_exit_status() {
    let server = Server::start();
    let folder = server.scratch();
    let typed = |words: &[&str]| run(&mut laptop(&server, folder, words));
    typed(&["--host", "mini", "apps:create", "shop"]).succeeds();
    typed(&["apps:exists", "nope", "--host=mini"]).ends_with(20);
    let value = "VALUE=two  words, 'quotes' and $HOME";
    typed(&["--host", "mini", "config:set", "shop", value]).succeeds();
    let got = typed(&["--host", "mini", "config:get", "shop", "VALUE"]);
    assert_eq!(got.succeeds(), "two  words, 'quotes' and $HOME\n");
    let words = ["--host", "mini", "config:import", "shop"];
    let mut import = laptop(&server, folder, &words);
    run_with_input(&mut import, b"LINES='one\ntwo'\n").succeeds();
    let got = server.ssh(&["config:get", "shop", "LINES"]);
    assert_eq!(got.succeeds(), "one\ntwo\n");
    typed(&["--host", "mini", "upgrade"])
        .ends_with(2)
        .says(&["`upgrade` is for this machine"]);
    typed(&["--host", "mini", "--data-dir", ".", "apps:list"])
        .ends_with(2)
        .says(&["name two servers"]);
    let mut named = laptop(&server, folder, &["apps:list", "--quiet"]);
    assert_eq!(run(named.env("MINI_HOST", "mini")).succeeds(), "shop\n");
}

#[test]
fn in_a_work_tree_the_remote_names_the_server_where_nothing_else_does() {
    let server = Server::start();
    server.ssh(&["apps:create", "shop"]).succeeds();
    let folder = server.scratch().join("shop");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let git = |words: &[&str]| {
        run(server.client().git(&folder).args(words)).succeeds();
    };
    git(&["init", "--quiet"]);
    let list = ["apps:list", "--quiet"];
    let mut here = laptop(&server, &folder, &list);
    run(&mut here).ends_with(1).says(&["mini is not running"]);
    git(&["remote", "add", "mini", "mini:shop"]);
    let mut there = laptop(&server, &folder, &list);
    assert_eq!(run(&mut there).succeeds(), "shop\n");
    // A data directory that is named is meant.
    let mut local = laptop(&server, &folder, &list);
    local.arg("--data-dir").arg(server.data_dir());
    assert_eq!(run(&mut local).succeeds(), "shop\n");
}
