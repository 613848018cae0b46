//! Kills, and losses of power, at any moment of `mini upgrade` from one schema to the next.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::docker::docker;
use crate::http;
use crate::process::{Ran, Running};
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::{PATIENCE, wait_for, wait_until};

/// What makes a copy of a debug build the next version: src/store/next_schema.rs.
const MARK: &[u8] = b"mini: one more migration\n";
const ROUNDS: usize = 20;
/// About what a server takes to start, with databases to bring forward.
const START: Duration = Duration::from_secs(2);
const DATABASES: [&str; 2] = ["mini.db", "events.db"];

#[derive(Debug, Clone, Copy)]
enum Victim {
    /// `mini upgrade`
    Upgrade,
    /// The server that is to be replaced.
    Before,
    /// The one that is to replace it.
    After,
    /// All of them at once, as when power is lost.
    All,
}

const VICTIMS: [Victim; 4] = [Victim::All, Victim::After, Victim::Before, Victim::Upgrade];

/// An installation by hand, with what it was before the upgrade.
struct Scene<'a> {
    server: &'a Server,
    /// Two versions, the second with one more migration.
    versions: [PathBuf; 2],
    place: PathBuf,
    saved: PathBuf,
    schema: i64,
}

impl<'a> Scene<'a> {
    /// Made of a server with an app that runs.
    fn new(server: &'a Server) -> Self {
        server.stop();
        let scratch = server.scratch();
        let scene = Scene {
            server,
            versions: ["one", "two"].map(|name| scratch.join(name)),
            place: scratch.join("bin/mini"),
            saved: scratch.join("saved"),
            schema: schema(&server.data_dir().join("mini.db")),
        };
        let [one, two] = &scene.versions;
        let stripped = Command::new("strip")
            .arg("-o")
            .arg(one)
            .arg(env!("CARGO_BIN_EXE_mini"))
            .status();
        assert!(stripped.unwrap().success());
        fs::copy(one, two).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(two).unwrap();
        file.write_all(MARK).unwrap();
        fill(&server.data_dir().join("mini.db"));
        fs::create_dir(&scene.saved).unwrap();
        for name in DATABASES {
            fs::copy(server.data_dir().join(name), scene.saved.join(name)).unwrap();
        }
        scene
    }

    /// As it was before: the first version in its place, and its databases.
    fn reset(&self) {
        self.kill_all();
        wait_until("what was killed to be gone", || {
            self.processes(|_| true).is_empty()
        });
        let data_dir = self.server.data_dir();
        let _ = fs::remove_dir_all(data_dir.join("copies"));
        for name in DATABASES {
            for end in ["-wal", "-shm"] {
                let _ = fs::remove_file(data_dir.join(format!("{name}{end}")));
            }
            fs::copy(self.saved.join(name), data_dir.join(name)).unwrap();
        }
        let folder = self.place.parent().unwrap();
        let _ = fs::remove_dir_all(folder);
        fs::create_dir(folder).unwrap();
        fs::hard_link(&self.versions[0], &self.place).unwrap();
    }

    /// Starts the server as systemd would: from the place.
    fn start(&self) -> Started {
        let command = self.server.command();
        let mut own = Command::new(&self.place);
        own.args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.server.open_log());
        Started(own.spawn().unwrap())
    }

    fn upgrade(&self) -> Running {
        let mut command = Command::new(&self.place);
        command
            .arg("upgrade")
            .arg(&self.versions[1])
            .arg("--data-dir")
            .arg(self.server.data_dir());
        Running::start(&mut command)
    }

    /// The processes of this installation that are chosen by their words.
    fn processes(&self, is_chosen: impl Fn(&str) -> bool) -> Vec<Pid> {
        let data_dir = self.server.data_dir();
        let data_dir = data_dir.to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            words.contains(data_dir) && is_chosen(&words)
        })
        .filter_map(Pid::from_raw)
        .collect()
    }

    fn victims(&self, victim: Victim) -> Vec<Pid> {
        self.processes(|words| match victim {
            Victim::Upgrade => words.contains(" upgrade "),
            Victim::Before => words.contains(" server ") && !words.contains("--takeover"),
            Victim::After => words.contains("--takeover"),
            Victim::All => true,
        })
    }

    fn kill_all(&self) {
        kill(&self.processes(|_| true));
    }

    /// Waits until a server serves. Where none is left it is started, as systemd does; one that only finishes what it has in
    /// flight, after its successor was killed, ends by itself first. Who was `killed` does not count, also while it is not gone.
    fn served(&self, killed: &[Pid]) -> Option<Started> {
        let ready = self.server.data_dir().join("run/server.json");
        wait_for("a server to serve, or none to be left", || {
            let mut servers = self.processes(|words| words.contains(" server "));
            servers.retain(|server| !killed.contains(server));
            if servers.is_empty() {
                return Some(Some(self.start()));
            }
            let facts = fs::read(&ready).ok()?;
            let facts: Value = serde_json::from_slice(&facts).ok()?;
            let pid = facts["pid"].as_i64()?;
            let is_there = |server: &Pid| i64::from(server.as_raw_nonzero().get()) == pid;
            servers.iter().any(is_there).then_some(None)
        })
    }

    /// A server answers, with all that was there before.
    fn holds_all(&self) {
        let begun = Instant::now();
        loop {
            let answer = http::get(self.server.http(), "kept.localhost", "/");
            if matches!(&answer, Ok(answer) if answer.status == 200 && answer.body == "version one\n")
            {
                break;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the app does not answer after {PATIENCE:?}, but: {answer:?}\n{}",
                self.state()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let apps = self.server.mini(&["apps:list", "--quiet"]);
        assert_eq!(apps.succeeds().trim(), "kept");
        let token = self.server.mini(&["config:get", "kept", "TOKEN"]);
        assert_eq!(token.succeeds().trim(), "hunter2");
        let path = self.server.data_dir().join("mini.db");
        let database = rusqlite::Connection::open(path).unwrap();
        let deploys: i64 = database
            .query_row(
                "SELECT count(*) FROM deploys WHERE origin = 'push'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(deploys, 15_001);
    }

    /// For who looks why a test has failed: processes, files, containers.
    fn state(&self) -> String {
        let mut text = String::new();
        for pid in self.processes(|_| true) {
            let pid = pid.as_raw_nonzero();
            let read = |name: &str| {
                let read = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                String::from_utf8_lossy(&read).replace('\0', " ")
            };
            let stat = read("stat");
            text.push_str(&format!("process {pid}: {}\n  {stat}", read("cmdline")));
        }
        let data_dir = self.server.data_dir();
        for folder in [&data_dir, &data_dir.join("run"), &data_dir.join("copies")] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in entries {
                let length = entry.metadata().map(|file| file.len()).unwrap_or_default();
                text.push_str(&format!("{} {length}\n", entry.path().display()));
            }
        }
        for name in [
            "run/server.json",
            "run/successor.json",
            "copies/unproven",
            "mini.lock",
        ] {
            let read = fs::read_to_string(data_dir.join(name)).unwrap_or_default();
            text.push_str(&format!("{name}: {read}\n"));
        }
        let filter = format!(
            "label=mini.instance={}",
            fs::read_to_string(data_dir.join("instance"))
                .unwrap_or_default()
                .trim()
        );
        text.push_str(&docker(&["ps", "-a", "--filter", &filter]).text());
        text
    }

    /// Which version serves, and which is in place.
    fn standing(&self) -> String {
        let serving = match schema(&self.server.data_dir().join("mini.db")) {
            found if found == self.schema => "one",
            _ => "two",
        };
        let length = |path: &Path| fs::metadata(path).unwrap().len();
        let placed = match length(&self.place) == length(&self.versions[0]) {
            true => "one",
            false => "two",
        };
        format!("version {serving} serves, {placed} is in place")
    }
}

/// A server that the test has started, and that may be killed by others.
struct Started(Child);

impl Started {
    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(pids: &[Pid]) {
    for pid in pids {
        // It may have ended by itself.
        let _ = kill_process(*pid, Signal::KILL);
    }
}

fn schema(path: &Path) -> i64 {
    let database = rusqlite::Connection::open(path).unwrap();
    database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

/// Some megabytes, for copying and changing to take their time.
fn fill(path: &Path) {
    let mut database = rusqlite::Connection::open(path).unwrap();
    let transaction = database.transaction().unwrap();
    for number in 0..15_000 {
        transaction
            .execute(
                "INSERT INTO deploys (id, app_id, origin, actor, step, status, started_at, finished_at, failure) \
                 SELECT ?1, id, 'push', 'me', 'build', 'failed', ?2, ?2, ?3 FROM apps",
                rusqlite::params![format!("old{number}"), number, "it failed ".repeat(80)],
            )
            .unwrap();
    }
    transaction.commit().unwrap();
}

/// A number that differs from round to round: xorshift (Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn of_thousand(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 1000
    }
}

#[test]
fn an_upgrade_to_the_next_schema_that_is_killed_twenty_times_leaves_a_server_with_all_its_apps() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "kept", "one");
    server
        .ssh(&["config:set", "--no-restart", "kept", "TOKEN=hunter2"])
        .succeeds();
    let scene = Scene::new(&server);

    // One that nobody disturbs, for its time.
    scene.reset();
    let started = scene.start();
    scene.holds_all();
    let begun = Instant::now();
    let upgrade = scene.upgrade();
    let outcome = server.data_dir().join("run/successor.json");
    let taken_over = wait_for("the takeover", || {
        let text = fs::read_to_string(&outcome).unwrap_or_default();
        text.contains("serves").then(|| begun.elapsed())
    });
    upgrade.finish().says(&["serves, process"]).succeeds();
    let whole = begun.elapsed();
    drop(started);
    scene.holds_all();
    assert_eq!(scene.standing(), "version two serves, two is in place");
    println!("undisturbed: taken over after {taken_over:?}, done after {whole:?}");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut chance = Chance(now.as_nanos() as u64 | 1);
    println!("seed {}", chance.0);
    for round in 0..ROUNDS {
        scene.reset();
        let mut started = scene.start();
        scene.holds_all();
        let upgrade = scene.upgrade();
        // Three of four while the servers change, the rest while the new one is on trial or put in place.
        let span = match chance.of_thousand() < 750 {
            true => taken_over.mul_f64(1.1),
            false => whole,
        };
        let point = span.mul_f64(chance.of_thousand() as f64 / 1000.0);
        std::thread::sleep(point);
        let victim = VICTIMS[round % VICTIMS.len()];
        let killed = scene.victims(victim);
        kill(&killed);
        let said = last_line(&match victim {
            Victim::Before | Victim::All => {
                wait_until("the killed server to end", || started.is_over());
                upgrade.finish()
            }
            Victim::After | Victim::Upgrade => upgrade.finish(),
        });
        let again = match victim {
            // After a loss of power the one start has to do.
            Victim::All => Some(scene.start()),
            _ => scene.served(&killed),
        };
        scene.holds_all();
        let standing = scene.standing();
        // And again from nothing, after as many kills as a bad day has, each while the server starts.
        scene.kill_all();
        drop((started, again));
        let mut cut_short = Vec::new();
        for _ in 0..chance.of_thousand() % 4 {
            cut_short.push(scene.start());
            std::thread::sleep(START.mul_f64(chance.of_thousand() as f64 / 1000.0));
            scene.kill_all();
        }
        let last = scene.start();
        scene.holds_all();
        println!(
            "round {round}: {victim:?} killed after {point:?}; {standing}, {} after {} power cuts; `mini upgrade`: {said}",
            scene.standing(),
            cut_short.len() + 1
        );
        drop((cut_short, last));
    }
    scene.kill_all();
    // The containers are the server's to remove: as every test leaves it.
    scene.reset();
    server.launch();
}

/// Its problem, or else its last line.
fn last_line(ran: &Ran) -> String {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    let line = text.lines().find(|line| line.starts_with(" !"));
    let line = line.or(text.lines().last()).unwrap_or("nothing");
    format!("exit {}, {}", ran.code, line.trim_start_matches([' ', '!']))
}
