//! Apps of other languages and package managers than those in `examples/`, built as they are pushed and called.

use crate::repository::Repository;
use crate::server::Server;

/// Pushes the files and looks for `answer` at `path`.
fn check(app: &str, files: &[(&str, &str)], says: &[&str], path: &str, answer: &str) {
    let server = Server::start();
    let repository = Repository::empty(&server, app);
    for (file, text) in files {
        repository.write(file, text);
    }
    repository.commit("The app");
    let push = repository.push();
    push.succeeds();
    push.says(says);
    let body = server.body(app, path);
    assert!(body.contains(answer), "{body}");
}

#[test]
fn a_fastapi_app_locked_by_uv() {
    check(
        "uv",
        &[
            ("pyproject.toml", include_str!("apps/uv.toml")),
            ("uv.lock", include_str!("apps/uv.lock")),
            (
                "main.py",
                "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\ndef home():\n    return \"installed by uv\"\n",
            ),
        ],
        &["uv sync --locked"],
        "/",
        "installed by uv",
    );
}

/// The second program is only built because the Procfile names it; the path is the one Heroku's users are used to.
#[test]
fn a_cargo_workspace_with_a_procfile() {
    let manifest = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
    };
    check(
        "cargo",
        &[
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n",
            ),
            ("Procfile", "release: jobs\nweb: ./target/release/gate\n"),
            ("crates/jobs/Cargo.toml", &manifest("jobs")),
            (
                "crates/jobs/src/main.rs",
                "fn main() {\n    println!(\"the second program\");\n}\n",
            ),
            ("crates/gate/Cargo.toml", &manifest("gate")),
            (
                "crates/gate/src/main.rs",
                r#"use std::io::{Read, Write};

fn main() {
    let port = std::env::var("PORT").unwrap();
    let listener = std::net::TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\nbuilt by cargo");
    }
}
"#,
            ),
        ],
        &["Running the release command: jobs"],
        "/",
        "built by cargo",
    );
}

/// Dependencies are built before the source is there, from manifests and empty programs: none of these may be what runs in the end,
/// and a change of the source leaves that layer as it is.
#[test]
fn a_cargo_workspace_whose_dependencies_are_a_layer() {
    let server = Server::start();
    let repository = Repository::empty(&server, "layer");
    repository.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n",
    );
    repository.write(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"gate\"\nversion = \"0.1.0\"\ndependencies = [\n \"words\",\n]\n\n\
         [[package]]\nname = \"words\"\nversion = \"0.1.0\"\n",
    );
    repository.write(
        "crates/gate/Cargo.toml",
        "[package]\nname = \"gate\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[[bin]]\nname = \"gate\"\npath = \"source/gate.rs\"\n\n\
         [[bench]]\nname = \"speed\"\nharness = false\n\n[dependencies]\nwords = { path = \"../words\" }\n\n\
         [lints.rust]\nwarnings = \"deny\"\n",
    );
    repository.write("crates/gate/benches/speed.rs", "fn main() {}\n");
    repository.write(
        "crates/gate/build.rs",
        "fn main() {\n    println!(\"cargo::rustc-env=MADE_BY=a build script\");\n}\n",
    );
    repository.write(
        "crates/gate/source/gate.rs",
        r#"use std::io::{Read, Write};

fn main() {
    let port = std::env::var("PORT").unwrap();
    let listener = std::net::TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    let body = format!("{} and {}", words::said(), env!("MADE_BY"));
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    }
}
"#,
    );
    repository.write(
        "crates/words/Cargo.toml",
        "[package]\nname = \"words\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    let words = |said: &str| format!("pub fn said() -> &'static str {{\n    \"{said}\"\n}}\n");
    repository.write("crates/words/src/lib.rs", words("first words"));
    repository.commit("The app");
    let push = repository.push();
    push.succeeds();
    push.says(&["COPY --from=manifests /src ./"]);
    assert_eq!(server.body("layer", "/"), "first words and a build script");

    repository.write("crates/words/src/lib.rs", words("other words"));
    repository.commit("Other words");
    let push = repository.push();
    push.succeeds();
    push.says(&["COPY --from=manifests /src ./ (cached)"]);
    assert_eq!(server.body("layer", "/"), "other words and a build script");
}

#[test]
fn a_folder_named_by_a_staticfile_for_an_app_in_the_browser() {
    check(
        "browser",
        &[
            ("Staticfile", "root: site\npushstate: enabled\n"),
            ("site/index.html", "<h1>taken apart in the browser</h1>\n"),
        ],
        &["Staticfile names the folder site"],
        "/some/path",
        "taken apart in the browser",
    );
}

/// One module is a library of the other, whose jar has all in it and lies beside one that has not.
#[test]
fn a_maven_project_of_two_modules() {
    let server = Server::start();
    let repository = Repository::copy(&server, "src/tests/e2e/apps/maven", "maven");
    let push = repository.push();
    push.succeeds();
    push.says(&["the module web is the app", "mvn -B"]);
    assert_eq!(server.body("maven", "/"), "[\"run by\",\"app\"]");
}

/// A folder of the repository is a dependency; the release reads its settings when it starts, and is used for the release
/// command, too.
#[test]
fn an_elixir_release() {
    let server = Server::start();
    server.ssh(&["apps:create", "elixir"]).succeeds();
    server
        .ssh(&["config:set", "elixir", "NAME_OF_READER=you"])
        .succeeds();
    let repository = Repository::copy(&server, "src/tests/e2e/apps/elixir", "elixir");
    let push = repository.push();
    push.succeeds();
    push.says(&["mix release", "prepared: a release for the database"]);
    assert_eq!(server.body("elixir", "/"), "a release for you");
}
