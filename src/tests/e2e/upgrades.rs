//! A newer mini in the place of this one: what it changes on the disk never costs an app, however it ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::process::{Ran, run};
use crate::server::Server;
use crate::wait::wait_until;

/// An earlier schema, so that there is always something to bring forward.
const EARLIER: &[&str] = &[
    include_str!("../../store/migrations/001_initial.sql"),
    include_str!("../../store/migrations/002_proxy.sql"),
    include_str!("../../store/migrations/003_certificates.sql"),
    include_str!("../../store/migrations/004_routing.sql"),
];
const ROUNDS: u64 = 20;

/// A server of a newer mini that takes over, brings the database forward as such a one does, and ends before it is ready.
fn takes_over_and_fails(data_dir: &Path) {
    let mut stream = UnixStream::connect(data_dir.join("run/takeover.sock")).unwrap();
    let hello = json!({"type": "hello", "protocol": 1, "version": "9.9.9", "wait_ms": 60_000});
    let hello = hello.to_string();
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    stream.write_all(&length).unwrap();
    stream.write_all(hello.as_bytes()).unwrap();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut message).unwrap();
        let message: Value = serde_json::from_slice(&message).unwrap();
        if message["type"] == "yours" {
            break;
        }
    }
    let path = data_dir.join("mini.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let schema: i64 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let copies = data_dir.join("copies");
    fs::create_dir_all(&copies).unwrap();
    let copy = copies.join(format!("mini.schema-{schema}.20300101T000000Z.db"));
    fs::copy(&path, copy).unwrap();
    database
        .execute_batch("ALTER TABLE apps RENAME TO apps_of_the_future; PRAGMA user_version = 4000")
        .unwrap();
}

#[test]
fn a_newer_server_that_fails_after_it_changed_the_database_leaves_all_as_it_was() {
    let server = Server::start();
    server.ssh(&["apps:create", "kept"]).succeeds();
    server
        .ssh(&["config:set", "--no-restart", "kept", "TOKEN=hunter2"])
        .succeeds();
    takes_over_and_fails(&server.data_dir());
    wait_until("the server to go on", || {
        server.log().contains("this server goes on")
    });
    let log = server.log();
    assert!(log.contains("put back to what it was"), "{log}");
    server.ssh(&["apps:list"]).says(&["kept"]).succeeds();
    server
        .ssh(&["config:get", "kept", "TOKEN"])
        .says(&["hunter2"])
        .succeeds();
    let aside = fs::read_dir(server.data_dir().join("copies")).unwrap();
    let names = aside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(
        names
            .into_iter()
            .any(|name| name.contains("newer-schema-4000"))
    );
    // And it can be taken over from again.
    let successor = server.begin_takeover();
    server.succeed(successor);
    server.ssh(&["apps:list"]).says(&["kept"]).succeeds();
    server.wait_for_leavers();
}

#[test]
fn a_server_killed_twenty_times_in_its_first_start_after_an_upgrade_has_lost_nothing() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let earlier = tempfile::tempdir().unwrap();
    let earlier = earlier.path().join("mini.db");
    lay_out_earlier(&earlier);
    let server = Server::new();
    let begin = || {
        let data_dir = server.data_dir();
        let _ = fs::remove_dir_all(data_dir.join("copies"));
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(data_dir.join(format!("mini.db{end}")));
        }
        fs::copy(&earlier, data_dir.join("mini.db")).unwrap();
        let _ = fs::remove_file(data_dir.join("instance"));
    };
    fs::create_dir_all(server.data_dir()).unwrap();
    begin();
    let begun = Instant::now();
    server.launch();
    let whole_start = begun.elapsed();
    holds_all(&server);
    server.stop();
    let mut state = seed | 1;
    for round in 0..ROUNDS {
        begin();
        let mut child = server
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // xorshift (Marsaglia 2003): where the kill falls is to differ, no more.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let point = whole_start.mul_f64((state % 1000) as f64 / 1000.0);
        std::thread::sleep(point);
        child.kill().unwrap();
        child.wait().unwrap();
        println!("round {round}, seed {seed}: killed after {point:?} of {whole_start:?}");
        server.launch();
        holds_all(&server);
        server.stop();
    }
}

/// A database of an earlier mini: three apps, and some megabytes for copying and changing to take their time.
fn lay_out_earlier(path: &Path) {
    let mut database = rusqlite::Connection::open(path).unwrap();
    let transaction = database.transaction().unwrap();
    for migration in EARLIER {
        transaction.execute_batch(migration).unwrap();
    }
    transaction
        .pragma_update(None, "user_version", i64::try_from(EARLIER.len()).unwrap())
        .unwrap();
    for name in ["one", "two", "three"] {
        let app = transaction
            .query_row(
                "INSERT INTO apps (name, created_at) VALUES (?1, 1) RETURNING id",
                [name],
                |row| row.get::<_, i64>(0),
            )
            .unwrap();
        for number in 0..5000 {
            transaction
                .execute(
                    "INSERT INTO deploys (id, app_id, origin, actor, step, status, started_at, finished_at, failure) \
                     VALUES (?1, ?2, 'push', 'me', 'build', 'failed', ?3, ?3, ?4)",
                    rusqlite::params![format!("{name}{number}"), app, number, "it failed ".repeat(80)],
                )
                .unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn holds_all(server: &Server) {
    let apps = server.mini(&["apps:list", "--quiet"]);
    assert_eq!(
        apps.succeeds().lines().collect::<Vec<_>>(),
        ["one", "three", "two"]
    );
    let database = rusqlite::Connection::open(server.data_dir().join("mini.db")).unwrap();
    let deploys: i64 = database
        .query_row("SELECT count(*) FROM deploys", [], |row| row.get(0))
        .unwrap();
    assert_eq!(deploys, 15_000);
}

#[test]
fn an_upgrade_puts_a_program_in_place_and_back_if_it_fails() {
    let server = Server::start();
    server.ssh(&["apps:create", "kept"]).succeeds();
    let program = server.scratch().join("mini");
    let exe = Path::new(env!("CARGO_BIN_EXE_mini"));
    fs::copy(exe, &program).unwrap();
    let command = server.command();
    let mut own = Command::new(&program);
    own.args(command.get_args());
    for (name, value) in command.get_envs() {
        own.env(name, value.expect("no variable is taken away"));
    }
    let successor = server.begin_takeover_as(own);
    server.succeed(successor);
    server.wait_for_leavers();
    let upgrade = |file: &Path| -> Ran {
        let mut command = Command::new(&program);
        command
            .arg("upgrade")
            .arg(file)
            .arg("--data-dir")
            .arg(server.data_dir());
        run(&mut command)
    };
    let size = |path: &Path| fs::metadata(path).unwrap().len();

    let other = server.scratch().join("other");
    script(&other, "echo other version 1");
    upgrade(&other).fails().says(&["no mini that runs here"]);
    script(
        &other,
        "case \"$*\" in version) echo mini version 9 ;; *) echo no such setting >&2; exit 2 ;; esac",
    );
    upgrade(&other)
        .fails()
        .says(&["does not take the settings", "no such setting"]);
    assert!(
        !server.scratch().join("mini.previous").exists(),
        "nothing was changed"
    );

    let script_text =
        "case \"$*\" in version) echo mini version 9 ;; *check-config*) ;; *) exit 3 ;; esac";
    script(&other, script_text);
    upgrade(&other)
        .fails()
        .says(&["serves on", "exit status: 3"]);
    assert_eq!(size(&program), size(exe));
    assert!(!server.scratch().join("mini.next").exists());
    server.ssh(&["apps:list"]).says(&["kept"]).succeeds();

    let newer = server.scratch().join("newer");
    fs::copy(exe, &newer).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&newer).unwrap();
    file.write_all(b"newer").unwrap();
    drop(file);
    let _heir = server.replaced_by(|| {
        upgrade(&newer).says(&["serves, process"]).succeeds();
    });
    assert_eq!(size(&program), size(exe) + 5);
    assert_eq!(size(&server.scratch().join("mini.previous")), size(exe));
    assert!(!server.scratch().join("mini.next").exists());
    server.ssh(&["apps:list"]).says(&["kept"]).succeeds();
    server.wait_for_leavers();
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
