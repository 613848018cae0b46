//! A server is backed up while it works, lost, and comes back with no push; and what is killed in the middle of either leaves
//! nothing half done.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::docker::{Instance, docker};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

/// How often each of them is killed.
const KILLS: u32 = 20;

fn passphrase(server: &Server) -> String {
    let path = server.scratch().join("passphrase");
    std::fs::write(&path, "correct horse battery staple\n").unwrap();
    path.display().to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The machine is gone: process, data, containers and images.
fn lose(server: &Server) {
    server.kill();
    let instance = Instance::of(&server.data_dir()).unwrap();
    wait_until("its containers and images to be gone", || {
        instance.remove();
        instance.containers().is_empty() && instance.images().is_empty()
    });
    std::fs::remove_dir_all(server.data_dir()).unwrap();
}

#[test]
fn a_server_that_is_lost_comes_back_from_its_backup_with_no_push() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let blog = Repository::deployed(&server, "blog", "one");
    server
        .ssh(&["config:set", "blog", "TOKEN=hunter2"])
        .succeeds();
    server
        .ssh(&["certs:generate", "blog", "www.example.com"])
        .succeeds();
    let show = ["certs:show", "blog", "crt"];
    let certificate = server.ssh(&show).succeeds().to_owned();
    let busy = Repository::deployed(&server, "busy", "one");

    // A push goes on meanwhile.
    busy.set_version("two");
    let push = busy.begin_push();
    let archive = server.scratch().join("mini.age").display().to_string();
    let create = [
        "backup:create",
        "--to",
        &archive,
        "--passphrase-file",
        &passphrase,
    ];
    server.mini(&create).succeeds();
    push.finish().succeeds();

    // The same over ssh, as bytes on standard output, with the passphrase on standard input.
    let streamed = server.scratch().join("ssh.age");
    let file = std::fs::File::create(&streamed).unwrap();
    let status = server
        .client()
        .ssh()
        .args(["mini", "backup:create"])
        .stdin(std::fs::File::open(&passphrase).unwrap())
        .stdout(file)
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    for path in [&archive, &streamed.display().to_string()] {
        let verified = server.mini(&["backup:verify", path, "--passphrase-file", &passphrase]);
        let text = verified.succeeds();
        assert!(
            text.contains("blog: v2 of") && text.contains("busy: v"),
            "{text}"
        );
    }
    let again = server.mini(&create);
    assert!(
        again.code != 0 && again.stderr.contains("is there already"),
        "{again}"
    );

    lose(&server);
    let restore = ["backup:restore", &archive, "--passphrase-file", &passphrase];
    server.mini(&restore).succeeds();
    let refused = server.mini(&restore);
    assert!(
        refused.code != 0 && refused.stderr.contains("is not empty"),
        "{refused}"
    );
    server.launch();
    server.wait_for_version("blog", "one");
    wait_until("busy to answer", || server.get("busy", "/").status == 200);
    assert_eq!(
        server.ssh(&["config:get", "blog", "TOKEN"]).succeeds(),
        "hunter2\n"
    );
    let releases = server.json(&["releases", "blog"]);
    assert_eq!(releases[0]["version"], 2, "{releases}");
    assert_eq!(server.ssh(&show).succeeds(), certificate);
    blog.set_version("three");
    blog.push().succeeds();
    assert_eq!(server.body("blog", "/"), "version three\n");
    assert_eq!(server.json(&["releases", "blog"])[0]["version"], 3);
}

/// What is in the folder of an app, as root sees it: names, owners, modes, lengths, and what is in the files.
fn kept(server: &Server) -> String {
    let look = "cd /kept && stat -c '%n %u:%g %a %s %F' . d own link second sparse && readlink link && cat own \
        && sha256sum d/large second && stat -c %h second";
    let process = &server.instance().running("blog")[0];
    let seen = docker(&["exec", "-u", "0", process, "sh", "-c", look]);
    seen.succeeds().to_owned()
}

#[test]
fn what_an_app_keeps_comes_back_with_its_owners_and_modes() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let _repository = Repository::deployed(&server, "blog", "one");
    let _other = Repository::deployed(&server, "other", "one");
    server
        .ssh(&["storage:mount", "blog", "data:/kept"])
        .succeeds();
    server.ssh(&["ps:restart", "blog"]).succeeds();
    let make = "cd /kept && mkdir d && head -c 9000000 /dev/urandom > d/large && ln d/large second && ln -s d/large link \
        && echo secret > own && truncate -s 5M sparse && chown 4711:4712 own && chmod 0604 own && chmod 2750 d";
    let process = &server.instance().running("blog")[0];
    docker(&["exec", "-u", "0", process, "sh", "-c", make]).succeeds();
    let before = kept(&server);
    assert!(
        before.contains("own 4711:4712 604 7 regular file"),
        "{before}"
    );

    let archive = server.scratch().join("mini.age").display().to_string();
    let create = |choice: &str, to: &str| {
        let words = [
            "backup:create",
            choice,
            "--to",
            to,
            "--passphrase-file",
            &passphrase,
        ];
        server.mini(&words)
    };
    let made = create("--with-storage", &archive);
    assert!(
        made.text().contains("with 1 folder of the storage"),
        "{made}"
    );
    let without = server.scratch().join("other.age").display().to_string();
    let made = create("--with-storage=other", &without);
    made.succeeds();
    assert!(!made.text().contains("storage"), "{made}");
    let third = server.scratch().join("third.age").display().to_string();
    let unknown = create("--with-storage=blog,nobody", &third);
    assert!(
        unknown.code != 0 && unknown.text().contains("nobody"),
        "{unknown}"
    );
    let verified = server.mini(&["backup:verify", &archive, "--passphrase-file", &passphrase]);
    assert!(verified.succeeds().contains("data: "), "{verified}");
    let empty = docker(&["images", "-aq", "--filter", "label=mini.kind=storage"]);
    assert_eq!(empty.succeeds(), "", "an image of a backup was left");

    // Another machine.
    lose(&server);
    let restore = ["backup:restore", &archive, "--passphrase-file", &passphrase];
    server.mini(&restore).succeeds();
    server.launch();
    server.wait_for_version("blog", "one");
    assert_eq!(kept(&server), before);
    let read = server.ssh(&["run", "blog", "cat", "/kept/own"]);
    assert_eq!(read.succeeds().replace('\r', ""), "secret\n");

    // The same machine, where the app goes on with what it has: that is kept beside, and the app has what was restored.
    let process = server.instance().running("blog").remove(0);
    docker(&[
        "exec",
        "-u",
        "0",
        &process,
        "sh",
        "-c",
        "echo later > /kept/own",
    ])
    .succeeds();
    server.kill();
    server
        .mini(&[restore.as_slice(), &["--force"]].concat())
        .succeeds();
    server.launch();
    wait_until("another process to have what was restored", || {
        let running = server.instance().running("blog");
        !running.is_empty() && !running.contains(&process)
    });
    server.wait_for_version("blog", "one");
    assert_eq!(kept(&server), before);
    let storage = server.data_dir().join("storage");
    let beside = names(&storage)
        .into_iter()
        .find(|name| name.starts_with("data.before-"));
    let later = std::fs::read_to_string(storage.join(beside.unwrap()).join("own"));
    assert_eq!(later.unwrap(), "later\n");
}

#[test]
fn backups_of_a_schedule_are_made_verified_and_thinned_out() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let folder = server.scratch().join("kept");
    let to = folder.display().to_string();
    let _repository = Repository::deployed(&server, "blog", "one");
    server
        .mini(&[
            "backup:schedule",
            "--to",
            &to,
            "--every",
            "24h",
            "--keep",
            "2",
            "--passphrase-file",
            &passphrase,
        ])
        .succeeds();
    // Without a time of day the first is due at once.
    wait_until("the first backup", || {
        let listed = server.json(&["backup:list"]);
        listed[0]["status"] == "verified"
    });
    for _ in 0..2 {
        server.ssh(&["backup:run"]).succeeds();
    }
    assert_eq!(names(&folder).len(), 2);
    server.ssh(&["backup:report"]).succeeds();
    let listed = server.json(&["backup:list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");

    // The folder is lost: that is seen, and nothing else is.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    assert_ne!(server.ssh(&["backup:run"]).code, 0);
    let report = server.ssh(&["backup:report"]);
    assert!(
        report.code == 1 && report.stdout.contains("the last one failed"),
        "{report}"
    );
    let doctor = server.ssh(&["doctor"]);
    assert!(doctor.stdout.contains("backup:run"), "{doctor}");
    server.ssh(&["backup:unschedule"]).succeeds();
    server.ssh(&["backup:report"]).succeeds();
}

/// A moment within what is killed: which one is left to chance, for no moment may matter.
fn some_moment(within: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    within.mul_f64(f64::from(now.subsec_micros() % 1000) / 1000.0)
}

fn archive_of(server: &Server, passphrase: &str) -> PathBuf {
    let archive = server.scratch().join("good.age");
    let to = archive.display().to_string();
    let create = [
        "backup:create",
        "--to",
        &to,
        "--passphrase-file",
        passphrase,
    ];
    server.mini(&create).succeeds();
    archive
}

#[test]
fn a_power_cut_in_a_backup_loses_nothing() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let _repository = Repository::deployed(&server, "blog", "one");
    let begun = std::time::Instant::now();
    archive_of(&server, &passphrase);
    let whole = begun.elapsed();
    let folder = server.scratch().join("to");
    std::fs::create_dir(&folder).unwrap();
    let mut outcomes = Vec::new();
    for number in 0..KILLS {
        let to = folder.join(format!("{number}.age")).display().to_string();
        let create = [
            "backup:create",
            "--to",
            &to,
            "--passphrase-file",
            &passphrase,
        ];
        let creating = server.mini_begin(&create);
        std::thread::sleep(some_moment(whole));
        // The server, or whoever asked for the backup.
        let is_server = number % 2 == 0;
        if is_server {
            server.kill();
        } else {
            creating.signal(Signal::KILL);
        }
        let created = creating.finish();
        if is_server {
            server.launch();
        }
        server.wait_for_version("blog", "one");
        if !is_server {
            // The server sees by and by that nobody reads any more.
            wait_until("the working folder to be gone", || {
                names(&server.data_dir().join("backup")).is_empty()
            });
            let looks_whole = Path::new(&to).exists();
            outcomes.push(format!("client, looks whole: {looks_whole}"));
            if looks_whole {
                let verify = ["backup:verify", &to, "--passphrase-file", &passphrase];
                server.mini(&verify).succeeds();
            }
            continue;
        }
        assert_eq!(
            names(&server.data_dir().join("backup")),
            Vec::<String>::new()
        );
        let part = format!(".{number}.age.part");
        assert!(!names(&folder).contains(&part));
        assert_eq!(created.code == 0, Path::new(&to).exists(), "{created}");
        outcomes.push(format!("server, whole: {}", created.code == 0));
        if created.code == 0 {
            let verify = ["backup:verify", &to, "--passphrase-file", &passphrase];
            server.mini(&verify).succeeds();
        }
    }
    println!("{}", outcomes.join("\n"));
}

#[test]
fn a_power_cut_in_a_backup_of_the_schedule_leaves_no_half_and_no_litter() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let folder = server.scratch().join("kept");
    let to = folder.display().to_string();
    let _repository = Repository::deployed(&server, "blog", "one");
    let schedule = [
        "backup:schedule",
        "--to",
        &to,
        "--every",
        "7d",
        "--keep",
        "1000",
    ];
    let schedule = [&schedule[..], &["--passphrase-file", &passphrase]].concat();
    let begun = std::time::Instant::now();
    server.mini(&schedule).succeeds();
    wait_until("the first backup", || {
        server.json(&["backup:list"])[0]["status"] == "verified"
    });
    let whole = begun.elapsed();
    std::fs::write(folder.join(".mini-of-others.age.part"), "x").unwrap();
    let mut left = 0;
    for _ in 0..KILLS {
        let running = server.ssh_begin(&["backup:run"]);
        std::thread::sleep(some_moment(whole));
        server.kill();
        running.finish();
        let parts = names(&folder);
        left += parts.iter().filter(|name| name.ends_with(".part")).count() - 1;
        server.launch();
        server.wait_for_version("blog", "one");
        wait_until("the record to be settled", || {
            server.json(&["backup:list"])[0]["status"] != "running"
        });
    }
    server.ssh(&["backup:run"]).succeeds();
    let names = names(&folder);
    let parts = names.iter().filter(|name| name.ends_with(".part"));
    assert_eq!(parts.collect::<Vec<_>>(), [".mini-of-others.age.part"]);
    let archives = names.iter().filter(|name| name.ends_with(".age"));
    let mut whole = 0;
    for name in archives {
        let path = folder.join(name).display().to_string();
        let verify = ["backup:verify", &path, "--passphrase-file", &passphrase];
        server.mini(&verify).succeeds();
        whole += 1;
    }
    println!(
        "{KILLS} kills left {left} unfinished files, all gone now, and {whole} archives, all whole"
    );
}

#[test]
fn a_power_cut_in_a_restore_leaves_the_old_or_the_new() {
    let server = Server::start();
    let passphrase = passphrase(&server);
    let _repository = Repository::deployed(&server, "blog", "one");
    let archive = archive_of(&server, &passphrase).display().to_string();
    server.kill();
    let restore = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini"));
        command
            .args(["backup:restore", &archive, "--passphrase-file", &passphrase])
            .arg("--data-dir")
            .arg(server.data_dir())
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let begun = std::time::Instant::now();
    assert!(restore(&["--force"]).wait().unwrap().success());
    let whole = begun.elapsed();
    let mut has_app = true;
    let mut outcomes = Vec::new();
    for number in 0..KILLS {
        // Every second time the data directory is a fresh one.
        let is_fresh = number % 2 == 0 || !has_app;
        if is_fresh {
            std::fs::remove_dir_all(server.data_dir()).unwrap();
        }
        let mut restoring = restore(&["--force"]);
        std::thread::sleep(some_moment(whole));
        restoring.kill().unwrap();
        restoring.wait().unwrap();
        let left = names(&server.data_dir());
        let is_there = left
            .iter()
            .any(|name| name == "mini.db" || name.starts_with(".restore-"));
        assert!(is_there || is_fresh, "{left:?}");
        has_app = is_there;
        outcomes.push(match (is_fresh, has_app) {
            (true, true) => "fresh: restored",
            (true, false) => "fresh: nothing there",
            (false, _) => "in use: the app is there",
        });
        server.launch();
        if has_app {
            server.wait_for_version("blog", "one");
        } else {
            let listed = server.mini(&["apps:list", "--format", "json"]);
            assert_eq!(listed.succeeds(), "[]\n");
        }
        server.kill();
    }
    println!("{}", outcomes.join("\n"));
    // So that what is in Docker is found and removed.
    assert!(restore(&["--force"]).wait().unwrap().success());
}
