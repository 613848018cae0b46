//! Repositories of apps, as developers have them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Ran, Running, run};
use crate::server::Server;

/// A work tree with the remote `mini`.
pub(crate) struct Repository<'a> {
    server: &'a Server,
    folder: PathBuf,
}

impl<'a> Repository<'a> {
    /// An empty repository whose remote `mini` is `app`.
    #[track_caller]
    pub(crate) fn empty(server: &'a Server, app: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("repository-")
            .tempdir_in(server.scratch())
            .expect("the scratch folder takes a folder")
            .keep();
        let repository = Self { server, folder };
        repository
            .git(&["init", "--quiet", "--initial-branch=main"])
            .succeeds();
        repository
            .git(&["remote", "add", "mini", &format!("mini:{app}")])
            .succeeds();
        repository
    }

    /// A small app with a Dockerfile that answers `version <version>`, committed.
    #[track_caller]
    pub(crate) fn app(server: &'a Server, app: &str, version: &str) -> Self {
        let repository = Self::empty(server, app);
        repository.write("app.py", include_str!("app.py"));
        repository.write("Dockerfile", DOCKERFILE);
        repository.set_version(version);
        repository
    }

    /// The same app, pushed and live.
    #[track_caller]
    pub(crate) fn deployed(server: &'a Server, app: &str, version: &str) -> Self {
        let repository = Self::app(server, app, version);
        repository.push().succeeds();
        server.wait_for_version(app, version);
        repository
    }

    /// A copy of `examples/<name>`, committed.
    #[track_caller]
    pub(crate) fn example(server: &'a Server, name: &str, app: &str) -> Self {
        Self::copy(server, &format!("examples/{name}"), app)
    }

    /// A copy of a folder of mini's own repository, committed.
    #[track_caller]
    pub(crate) fn copy(server: &'a Server, path: &str, app: &str) -> Self {
        let repository = Self::empty(server, app);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let copied = Command::new("cp")
            .arg("-R")
            .arg(source.join("."))
            .arg(&repository.folder)
            .status();
        assert!(
            copied.expect("cp can be run").success(),
            "{path} was not copied"
        );
        repository.commit("The app");
        repository
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file.
    #[track_caller]
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("folders can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    /// Commits everything, and gives the id.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]).succeeds();
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message])
            .succeeds();
        self.head()
    }

    /// Commits the small app with another version, and gives the id.
    #[track_caller]
    pub(crate) fn set_version(&self, version: &str) -> String {
        self.write("version.txt", format!("{version}\n"));
        self.commit(&format!("Version {version}"))
    }

    /// The id of the commit it is at.
    #[track_caller]
    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
            .succeeds()
            .trim()
            .to_owned()
    }

    /// `git` with these words, here.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.server.client().git(&self.folder);
        command.args(words);
        command
    }

    /// Runs `git` with these words.
    #[track_caller]
    pub(crate) fn git(&self, words: &[&str]) -> Ran {
        run(&mut self.command(words))
    }

    /// `git push mini main`
    #[track_caller]
    pub(crate) fn push(&self) -> Ran {
        self.git(&["push", "mini", "main"])
    }

    /// `git push mini main`, not waited for.
    #[track_caller]
    pub(crate) fn begin_push(&self) -> Running {
        Running::start(&mut self.command(&["push", "mini", "main"]))
    }

    /// Where a branch is on the server, or nothing.
    #[track_caller]
    pub(crate) fn remote_tip(&self, reference: &str) -> Option<String> {
        let ran = self.git(&["ls-remote", "mini", reference]);
        ran.succeeds().split_whitespace().next().map(str::to_owned)
    }
}

/// No cache can serve the last step, for `version.txt` differs; nothing else is done, so a build takes a second.
const DOCKERFILE: &str = r#"FROM python:3.13-slim
WORKDIR /app
COPY . .
CMD ["python3", "-S", "-E", "-u", "app.py"]
"#;
