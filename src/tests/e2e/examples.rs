//! The apps of `examples/`: each is deployed as it is, and a second push with the same dependencies installs none again.

use crate::repository::Repository;
use crate::server::Server;

/// Pushes an example, changes `file` and pushes again. `installed` is what the output says of the step that installs.
fn check(name: &str, answer: &str, change: (&str, &str, &str, &str), installed: Option<&str>) {
    let server = Server::start();
    let app = format!("example-{name}");
    let repository = Repository::example(&server, name, &app);
    let push = repository.push();
    push.succeeds();
    push.says(&["=====> Application deployed:"]);
    let body = server.body(&app, "/");
    assert!(body.contains(answer), "{body}");

    let (file, old, new, expected) = change;
    let path = repository.folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "examples/{name}/{file} has no `{old}`");
    repository.write(file, text.replace(old, new));
    repository.commit("A change of one file");
    let push = repository.push();
    push.succeeds();
    let body = server.body(&app, "/");
    assert!(body.contains(expected), "{body}");
    if let Some(installed) = installed {
        let output = push.text();
        let steps: Vec<&str> = output
            .lines()
            .filter(|line| line.contains(installed))
            .collect();
        assert!(!steps.is_empty(), "no step `{installed}`\n{push}");
        assert!(
            steps.iter().any(|line| line.contains("(cached)")),
            "{steps:?}\n{push}"
        );
    }
}

#[test]
fn an_app_with_its_own_dockerfile() {
    check(
        "dockerfile",
        "dockerfile 1.0.0",
        ("web.py", "\"1.0.0\"", "\"1.0.1\"", "1.0.1"),
        None,
    );
}

#[test]
fn an_express_app_with_dependencies_from_npm() {
    check(
        "node-express",
        "node-express",
        (
            "server.js",
            "Node.js ${process.versions.node}\\n",
            "changed ${process.versions.node}\\n",
            "changed 22.",
        ),
        Some("npm ci"),
    );
}

#[test]
fn a_flask_app_with_dependencies_from_pypi() {
    check(
        "python-flask",
        "python-flask 1.0.0",
        ("app.py", "1.0.0", "1.0.1", "1.0.1"),
        Some("pip install"),
    );
}

#[test]
fn a_static_site() {
    check(
        "static-site",
        "static-site is running",
        (
            "index.html",
            "static-site is running",
            "static-site is changed",
            "static-site is changed",
        ),
        None,
    );
}

#[test]
fn a_go_program() {
    check(
        "go-hello",
        "go-hello 1.0.0",
        ("main.go", "\"1.0.0\"", "\"1.0.1\"", "1.0.1"),
        None,
    );
}
