//! How an app is built, where its owner has a say: directory, stage, arguments, mini.toml.

use std::process::Command;

use crate::process::{Ran, run};
use crate::repository::Repository;
use crate::server::Server;

const START: &str = r#"CMD ["python3", "-S", "-E", "-u", "app.py"]"#;

/// Files of the small app in a folder.
fn write_app(repository: &Repository<'_>, folder: &str, version: &str) {
    repository.write(&format!("{folder}app.py"), include_str!("app.py"));
    repository.write(&format!("{folder}version.txt"), format!("{version}\n"));
}

#[test]
fn an_app_in_a_directory_is_built_there_and_a_missing_one_is_named() {
    let server = Server::start();
    server.ssh(&["apps:create", "mono"]).succeeds();
    server
        .ssh(&["builder:set", "mono", "build-dir", "apps/web"])
        .succeeds();
    let repository = Repository::empty(&server, "mono");
    write_app(&repository, "web/", "one");
    repository.write(
        "web/Dockerfile",
        format!("FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\n{START}\n"),
    );
    repository.write("web/.dockerignore", "notes.txt\n");
    repository.write("web/notes.txt", "for us only");
    repository.write("package.json", "this is not looked at");
    repository.commit("Everything in its place");
    repository.push().fails().says(&[
        "there is no directory apps/web in this repository",
        "it has web/",
    ]);

    server
        .ssh(&["builder:set", "mono", "build-dir", "web"])
        .succeeds();
    repository
        .push()
        .says(&["Building mono from web/Dockerfile", "found web/Dockerfile"])
        .succeeds();
    assert_eq!(server.body("mono", "/"), "version one\n");
    let files = server.ssh(&["run", "mono", "ls"]);
    assert_eq!(files.succeeds(), "Dockerfile\napp.py\nversion.txt\n");
    let found = server.json(&["buildpacks:detect", "mono"]);
    assert_eq!(found["context"], "web");
    let written = server.ssh(&["buildpacks:dockerfile", "mono"]);
    assert!(written.succeeds().starts_with("FROM python:3.13-slim\n"));
}

#[test]
fn a_stage_and_arguments_of_the_build_and_a_purged_cache() {
    let server = Server::start();
    server.ssh(&["apps:create", "stages"]).succeeds();
    for words in [
        &["builder:set", "stages", "target", "production"][..],
        &[
            "docker-options:add",
            "stages",
            "build",
            "'--build-arg GREETING=good day'",
        ],
    ] {
        server.ssh(words).succeeds();
    }
    let repository = Repository::empty(&server, "stages");
    write_app(&repository, "", "one");
    let dockerfile = format!(
        "FROM python:3.13-slim AS production\nARG GREETING=none\nWORKDIR /app\nCOPY . .\nRUN echo $GREETING > greeting.txt\n{START}\nFROM production AS tests\nRUN false\n"
    );
    repository.write("Dockerfile", dockerfile);
    repository.commit("Two stages, the last of which fails");
    repository.push().succeeds();
    assert_eq!(server.body("stages", "/"), "version one\n");
    let greeting = server.ssh(&["run", "stages", "cat", "greeting.txt"]);
    assert_eq!(greeting.succeeds(), "good day\n");
    let environment = server.ssh(&["run", "stages", "env"]);
    assert!(
        !environment.succeeds().contains("GREETING"),
        "{environment}"
    );

    let rebuild = || server.ssh(&["ps:rebuild", "stages"]);
    // The builder shows a step with its arguments in it.
    let step = "RUN echo good day > greeting.txt";
    rebuild().says(&[&format!("{step} (cached)")]).succeeds();
    server.ssh(&["repo:purge-cache", "stages"]).succeeds();
    let cold = rebuild();
    let text = cold.succeeds();
    assert!(
        text.contains(step) && !text.contains(&format!("{step} (cached)")),
        "{cold}"
    );
    rebuild().says(&[&format!("{step} (cached)")]).succeeds();
}

#[test]
fn what_a_repository_says_of_its_build_is_done() {
    let server = Server::start();
    let repository = Repository::empty(&server, "decided");
    write_app(&repository, "", "one");
    repository.write("requirements.txt", "");
    repository.write("Procfile", "web: false\n");
    let greeting = r#"it costs $5 or "less" \ more"#;
    repository.write(
        "mini.toml",
        format!(
            "[processes]\nweb = \"python3 -u app.py\"\n\n[environment]\nGREETING = '{greeting}'\n"
        ),
    );
    repository.commit("A file for mini");
    repository
        .push()
        .says(&["the command of web is that of mini.toml:2, which goes before Procfile:1"])
        .succeeds();
    assert_eq!(server.body("decided", "/"), "version one\n");
    assert_eq!(server.body("decided", "/env?name=GREETING"), greeting);
    // What an app is told goes before what its image has.
    server
        .ssh(&["config:set", "decided", "GREETING=hello"])
        .succeeds();
    assert_eq!(server.body("decided", "/env?name=GREETING"), "hello");
}

#[test]
fn a_folder_is_looked_at_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let mini = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini"));
        command.current_dir(folder.path()).args(words);
        command.env("MINI_DATA_DIR", folder.path().join("data"));
        run(&mut command)
    };
    let json = |ran: &Ran| -> serde_json::Value {
        let text = ran.text();
        let line = text.lines().find(|line| line.starts_with('{'));
        serde_json::from_str(line.unwrap()).unwrap()
    };
    std::fs::write(folder.path().join("Procfile"), "web:\n").unwrap();
    let refused = mini(&["buildpacks:detect", "--json"]);
    refused.ends_with(1);
    let error = &json(&refused)["error"];
    assert_eq!(
        (&error["file"], &error["line"]),
        (&"Procfile".into(), &1.into())
    );

    std::fs::write(folder.path().join("Procfile"), "web: ./serve\n").unwrap();
    std::fs::create_dir(folder.path().join("app")).unwrap();
    std::fs::write(folder.path().join("app/Dockerfile"), "FROM a\n").unwrap();
    let found = json(mini(&["buildpacks:detect", "--json", "--build-dir", "app"]).ends_with(0));
    assert_eq!(
        (&found["language"], &found["directory"]),
        (&"dockerfile".into(), &"app".into())
    );
    let words = ["buildpacks:detect", "./app", "-e", "MINI_START_COMMAND=./x"];
    mini(&words).says(&["Process web:     ./x"]).succeeds();
    let written = mini(&["buildpacks:dockerfile", "app"]);
    assert_eq!(written.succeeds(), "FROM a\n");
    // What is no folder is an app, and for that a server is needed.
    mini(&["buildpacks:detect", "shop"])
        .ends_with(1)
        .says(&["there is no folder shop here", "mini is not running"]);
}
