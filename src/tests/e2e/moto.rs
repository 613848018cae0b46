//! A real `moto`: an S3-compatible store for tests, in a process of its own. `.ci/machine tests` installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Running, run};

/// The store, ended when this is dropped.
pub(crate) struct Moto {
    running: Running,
    /// Where it is.
    pub(crate) url: String,
}

fn program() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
    match own.exists() {
        true => own,
        // One that somebody has installed.
        false => "moto_server".into(),
    }
}

impl Moto {
    /// A store with one bucket.
    #[track_caller]
    pub(crate) fn with_bucket(bucket: &str) -> Moto {
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        command.env("PYTHONUNBUFFERED", "1");
        let mut running = Running::start(&mut command);
        // The line behind the address, so that all of that is there.
        running.wait_for_text("Press CTRL+C");
        let text = running.text();
        let (_, rest) = text.split_once("Running on ").expect("it was just there");
        let url = rest.split_whitespace().next().expect("an address follows");
        let url = url.to_owned();
        let moto = Moto { running, url };
        moto.curl(&["-X", "PUT", &format!("{}/{bucket}", moto.url)]);
        moto
    }

    /// What a server and its clients need to get there.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MINI_BACKUP_S3_ENDPOINT", self.url.clone()),
            ("MINI_BACKUP_S3_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("MINI_BACKUP_S3_SECRET_KEY", "hunter2hunter2".to_owned()),
        ]
    }

    /// The keys of all objects.
    #[track_caller]
    pub(crate) fn objects(&self, bucket: &str) -> Vec<String> {
        self.keys(&format!("{}/{bucket}?list-type=2", self.url))
    }

    /// The keys of uploads that nobody has finished.
    #[track_caller]
    pub(crate) fn unfinished(&self, bucket: &str) -> Vec<String> {
        self.keys(&format!("{}/{bucket}?uploads", self.url))
    }

    /// Begins an upload that nobody will finish, as a crash leaves it.
    #[track_caller]
    pub(crate) fn begin_upload(&self, bucket: &str, key: &str) {
        self.curl(&[
            "-X",
            "POST",
            &format!("{}/{bucket}/{key}?uploads", self.url),
        ]);
    }

    #[track_caller]
    fn keys(&self, url: &str) -> Vec<String> {
        let text = self.curl(&[url]);
        let keys = text.split("<Key>").skip(1);
        keys.map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[track_caller]
    fn curl(&self, words: &[&str]) -> String {
        let ran = run(Command::new("curl")
            .args(["-fsS", "--max-time", "30"])
            .args(words));
        ran.succeeds().to_owned()
    }

    /// Everything it was asked, as it has logged it.
    pub(crate) fn log(&self) -> String {
        self.running.text()
    }
}
