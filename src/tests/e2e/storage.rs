//! What apps keep: folders that outlive containers, deploys, rollbacks and the app.

use crate::repository::Repository;
use crate::server::Server;

fn run(server: &Server, app: &str, line: &str) -> String {
    let ran = server.ssh(&["run", app, "sh", "-c", &format!("'{line}'")]);
    ran.succeeds().replace('\r', "")
}

#[test]
fn what_an_app_keeps_outlives_deploys_rollbacks_and_the_app() {
    let server = Server::start();
    let blog = Repository::deployed(&server, "blog", "one");
    let mount = server.ssh(&["storage:mount", "blog", "data:/kept"]);
    assert!(mount.succeeds().contains("ps:restart blog"), "{mount}");
    server.ssh(&["ps:restart", "blog"]).succeeds();
    let mounts = server.json(&["storage:list", "blog"]);
    assert_eq!(mounts, serde_json::json!(["data:/kept"]));

    // By whoever the image runs as, and by somebody else.
    run(&server, "blog", "echo one > /kept/file");
    let process = &server.instance().running("blog")[0];
    crate::docker::docker(&[
        "exec",
        "-u",
        "4711",
        process,
        "sh",
        "-c",
        "echo two >> /kept/other",
    ])
    .succeeds();
    blog.set_version("two");
    blog.push().succeeds();
    assert_eq!(
        run(&server, "blog", "cat /kept/file /kept/other"),
        "one\ntwo\n"
    );
    server.ssh(&["rollback", "blog"]).succeeds();
    let process = &server.instance().running("blog")[0];
    let read = crate::docker::docker(&["exec", process, "cat", "/kept/file"]);
    assert_eq!(read.succeeds(), "one\n");

    server
        .ssh(&["storage:mount", "blog", "data:/seen:ro"])
        .succeeds();
    assert_eq!(
        run(&server, "blog", "cat /seen/file; touch /seen/x || echo no"),
        "one\nno\n"
    );
    let taken = server.ssh(&["storage:mount", "blog", "other:/kept"]);
    assert!(
        taken.code != 0 && taken.stderr.contains("data is mounted there"),
        "{taken}"
    );
    for refused in ["/etc:/kept", "../x:/kept", "data:/proc", "data:/kept/../x"] {
        assert_ne!(
            server.ssh(&["storage:mount", "blog", refused]).code,
            0,
            "{refused}"
        );
    }
    server
        .ssh(&["storage:unmount", "blog", "data:/kept"])
        .succeeds();
    assert_eq!(
        run(&server, "blog", "ls /kept 2>/dev/null || echo gone"),
        "gone\n"
    );

    // Gone behind our back: the app starts, with an empty one.
    let folder = server.data_dir().join("storage/data");
    std::fs::remove_dir_all(&folder).unwrap();
    server.ssh(&["ps:restart", "blog"]).succeeds();
    assert_eq!(run(&server, "blog", "ls -A /seen"), "");
    std::fs::write(folder.join("last"), "kept").unwrap();
    let destroyed = server.ssh(&["apps:destroy", "blog", "--force"]);
    assert!(
        destroyed.succeeds().contains("what it kept stays in"),
        "{destroyed}"
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("last")).unwrap(),
        "kept"
    );
}
