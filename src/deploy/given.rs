//! Source that comes another way than by a push. It becomes a commit of the app, and from there on everything is as with a push:
//! the branch moves where the deploy succeeds, a rollback finds it, and it is in every backup.
//!
//! An image becomes a commit of one Dockerfile that names it by its content. Building that runs nothing and adds no layer: it
//! gives the image the labels by which ours are kept and removed.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use mini_buildpacks::{Detection, Options};
use tokio::runtime::Handle;

use super::pipeline::{Entry, Received};
use super::run::Move;
use super::{Attached, Deployer, Deploys, build, problem};
use crate::engine::{ContextStream, KEPT_PREFIX};
use crate::git::{CommitNote, CommitTree};
use crate::model::{
    App, AppName, BranchName, Caller, CommitId, ImageName, Kind, Problem, Timestamp, Trigger,
};

/// How the Dockerfile of a given image begins.
const MARK: &str = "# Given with `";
/// More than any such Dockerfile has, bytes.
const LONGEST: u64 = 4096;

/// An image that an app is to run.
#[derive(Debug, Clone)]
pub struct GivenImage {
    /// The command that brought it.
    pub with: &'static str,
    /// What it was called.
    pub name: ImageName,
    /// By which name and content a build finds it.
    pub from: String,
}

/// An archive of source.
pub struct GivenArchive {
    /// The archive, packed or not.
    pub bytes: ContextStream,
    /// Whether one folder around everything stays where it is.
    pub is_as_is: bool,
}

/// Where the deploy branch of an app is, for a commit that is to come after it.
#[derive(Debug, Clone)]
pub struct BranchTip {
    branch: BranchName,
    /// Its commit.
    pub at: Option<CommitId>,
}

impl Deploys {
    /// Deploys an image. `None` when the app runs just that already.
    ///
    /// # Errors
    /// The commit cannot be made; another deploy of the app has begun and does not wait.
    pub async fn give_image(
        &self,
        app: &AppName,
        caller: &Caller,
        image: GivenImage,
    ) -> Result<Option<Attached>, Problem> {
        let tip = self.branch_tip(app).await?;
        let note = CommitNote {
            message: format!("Image {}", image.name),
            actor: caller.actor().to_owned(),
            at: Timestamp::now(),
            parent: tip.at.clone(),
        };
        let (repositories, app_name) = (self.deployer.repositories.clone(), app.clone());
        let made = tokio::task::spawn_blocking(move || {
            let text = dockerfile(&image);
            let mut commit = repositories.begin_commit(&app_name, &note)?;
            commit.file(
                b"Dockerfile",
                false,
                text.len() as u64,
                &mut text.as_bytes(),
            )?;
            commit.finish()
        });
        let commit = made.await.map_err(|_| super::run::lost())?;
        let commit = commit.map_err(|error| problem::git(app, &error))?;
        self.give_commit(app, caller, tip, commit).await
    }

    /// Deploys the source in a tar archive. `None` when what serves now was made of the same files.
    ///
    /// # Errors
    /// It is no archive, too large, or holds what leads out of it.
    pub async fn give_archive(
        &self,
        app: &AppName,
        caller: &Caller,
        archive: GivenArchive,
    ) -> Result<Option<Attached>, Problem> {
        let tip = self.branch_tip(app).await?;
        let note = CommitNote {
            message: "An archive".to_owned(),
            actor: caller.actor().to_owned(),
            at: Timestamp::now(),
            parent: tip.at.clone(),
        };
        let bytes = Blocking {
            runtime: Handle::current(),
            archive: archive.bytes,
            piece: Bytes::new(),
        };
        let repositories = &self.deployer.repositories;
        let commit = repositories.commit_archive(app, note, bytes, archive.is_as_is);
        let commit = commit.await.map_err(|error| problem::git(app, &error))?;
        self.give_commit(app, caller, tip, commit).await
    }

    /// Where a commit for an app belongs; its repository is made where it is missing.
    ///
    /// # Errors
    /// The app is locked: what would be read for the commit need not be.
    pub async fn branch_tip(&self, app: &AppName) -> Result<BranchTip, Problem> {
        let _claim = self.deployer.repositories.claim(app).await;
        let app = self.deployer.app(app).await?;
        self.deployer.refuse_locked(&app).await?;
        let branch = match app.deploy_branch {
            Some(branch) => branch,
            None => "main".parse()?,
        };
        let repositories = &self.deployer.repositories;
        let tip = async {
            repositories.create(&app.name).await?;
            repositories.tip(&app.name, &branch).await
        };
        let at = tip.await.map_err(|error| problem::git(&app.name, &error))?;
        Ok(BranchTip { branch, at })
    }

    /// Deploys a commit that was made to come after `tip`, and moves the branch to it where that succeeds. `None` when what
    /// serves now was made of the same files.
    pub async fn give_commit(
        &self,
        app: &AppName,
        caller: &Caller,
        tip: BranchTip,
        commit: CommitId,
    ) -> Result<Option<Attached>, Problem> {
        let found = self.deployer.app(app).await?;
        if serves(&self.deployer, &found, &tip, &commit).await? {
            return Ok(None);
        }
        self.deploy_commit(app, caller, tip, commit).await.map(Some)
    }

    /// The same, whatever serves now.
    pub async fn deploy_commit(
        &self,
        app: &AppName,
        caller: &Caller,
        tip: BranchTip,
        commit: CommitId,
    ) -> Result<Attached, Problem> {
        let deployer = &self.deployer;
        let app = deployer.app(app).await?;
        let movement = Move {
            branch: tip.branch,
            from: tip.at,
        };
        let source = Some((commit.clone(), Some(movement)));
        let run = deployer.new_run(app, Trigger::Push, caller, source);
        let entry = Entry::Received(Received { commit });
        deployer.begin(&run, entry, true).await?;
        Ok(run.attach_until_ended())
    }

    /// Why nothing large may be taken in now: the disk is nearly full.
    pub async fn disk_shortage(&self) -> Option<String> {
        build::scarcity(&self.deployer.settings).await
    }
}

/// A stream for a thread that may wait.
struct Blocking {
    runtime: Handle,
    archive: ContextStream,
    piece: Bytes,
}

impl Read for Blocking {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.archive.next()) {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        // The head of a piece as long as there is room for; a slice reads without fail.
        let length = self.piece.as_ref().read(into)?;
        self.piece.advance(length);
        Ok(length)
    }
}

/// Whether the tip of the branch is what serves, and has the same files as `commit`.
async fn serves(
    deployer: &Deployer,
    app: &App,
    tip: &BranchTip,
    commit: &CommitId,
) -> Result<bool, Problem> {
    let Some((version, at)) = app.current.zip(tip.at.as_ref()) else {
        return Ok(false);
    };
    let release = deployer.store.release(app.id, version).await?;
    let Some(release) = release.filter(|release| release.commit.as_ref() == Some(at)) else {
        return Ok(false);
    };
    // After a restore it may be gone, and be given again for that.
    let image = deployer.engine.image(release.image.as_str()).await;
    let failed = |error| problem::engine(format!("{} was not deployed", app.name), &error);
    if image.map_err(failed)?.is_none() {
        return Ok(false);
    }
    let same = deployer.repositories.has_same_files(&app.name, at, commit);
    same.await.map_err(|error| problem::git(&app.name, &error))
}

fn dockerfile(image: &GivenImage) -> String {
    format!(
        "{MARK}{}`: the image below is deployed as it is.\n# {}\nFROM {}\n",
        image.with, image.name, image.from
    )
}

/// The name of the image that a commit stands for, if it is one of these.
pub(super) fn image_name(tree: &CommitTree) -> Option<String> {
    if tree.files() != ["Dockerfile"] {
        return None;
    }
    let text = CommitTree::read(tree, "Dockerfile", LONGEST).ok()??;
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    lines.next()?.strip_prefix(MARK)?;
    lines.next()?.strip_prefix("# ").map(str::to_owned)
}

/// What was decided about the builds of the app is about its source, and not about an image.
pub(super) fn options_of_image(options: Options) -> Options {
    Options {
        today: options.today,
        ..Options::default()
    }
}

/// Says of a detection that it is an image.
pub(super) fn told(detection: &mut Detection, name: &str) {
    detection.builder = format!("{BUILDER}{name}");
    detection.evidence.clear();
}

/// What the builder of a given image begins with; its name follows.
pub(super) const BUILDER: &str = "image:";

/// The image among the bases of a build that came in an archive, and that no registry has.
pub(super) fn loaded(base_images: &[String]) -> Option<&String> {
    base_images.iter().find(|name| is_loaded(name))
}

/// Whether an image came in an archive.
pub(super) fn is_loaded(name: &str) -> bool {
    name.starts_with(KEPT_PREFIX)
}

/// The refusal to build of an image that was loaded and is gone.
pub(super) fn gone(app: &AppName) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("{app} was not deployed: its image is gone from Docker"),
        "it was loaded from an archive, so no registry has it, and it is not part of a backup",
        format!("load it again: `docker save IMAGE | ssh mini git:load-image {app} IMAGE`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_of_an_image_says_where_it_is_from() {
        let image = GivenImage {
            with: "git:from-image",
            name: "nginx:alpine".parse().unwrap(),
            from: "nginx:alpine@sha256:12".to_owned(),
        };
        assert_eq!(
            dockerfile(&image),
            "# Given with `git:from-image`: the image below is deployed as it is.\n# nginx:alpine\nFROM nginx:alpine@sha256:12\n"
        );
    }
}
