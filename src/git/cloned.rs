//! A second repository with what is in a first one (`apps:clone`).

use std::path::Path;

use super::repositories::blocking;
use super::{GitError, Repositories, child, leftovers};
use crate::model::AppName;

/// How often a copy is tried: a push or a clean-up of the source that ends meanwhile takes away what git is about to copy.
const COPY_TRIES: usize = 3;

impl Repositories {
    /// Gives an app that has none a copy of another one's repository: its branches and tags, and the objects, which both
    /// share as hard links until one of them is packed anew. Makes an empty one where there is nothing to copy. Whatever stood
    /// in its place is replaced, so its name is to be claimed before. The source may be pushed to and tidied meanwhile. If
    /// cancelled, at most a folder whose name begins with a dot is left.
    ///
    /// # Errors
    /// `Failed` if what its branches and tags reach is not all there.
    pub async fn copy(&self, from: &AppName, to: &AppName) -> Result<(), GitError> {
        let source = self.path(from);
        if let Some(aside) = self.set_aside(to).await? {
            aside.remove().await?;
        }
        if !tokio::fs::try_exists(source.join("HEAD")).await? {
            return self.create(to).await;
        }
        let mut tries = COPY_TRIES;
        loop {
            let beside = self.beside(to, "copy")?;
            let made = async {
                copy_whole(&source, &beside).await?;
                Ok(tokio::fs::rename(&beside, self.path(to)).await?)
            };
            let made: Result<(), GitError> = made.await;
            if made.is_err() {
                let _ = tokio::fs::remove_dir_all(&beside).await;
            }
            tries -= 1;
            match made {
                Err(GitError::Failed(why)) if tries > 0 => {
                    tracing::info!(app = %from, why, "the repository is copied again");
                }
                made => return made,
            }
        }
    }
}

/// Makes a repository `to` with what the branches and tags of another one reach, and nothing that is being written there.
async fn copy_whole(from: &Path, to: &Path) -> Result<(), GitError> {
    child::output(
        None,
        [
            "clone".as_ref(),
            "--bare".as_ref(),
            "--local".as_ref(),
            "--quiet".as_ref(),
            "--template=".as_ref(),
            from.as_os_str(),
            to.as_os_str(),
        ],
    )
    .await?;
    // It is nobody's clone: no address of this server stays in it.
    let words = ["config", "--remove-section", "remote.origin"];
    child::output(Some(to), words).await?;
    let copied = to.to_owned();
    blocking(move || {
        leftovers::remove_unfinished(&copied);
        Ok(())
    })
    .await?;
    // A local clone looks at none of the objects, and those that were packed meanwhile may have come neither way.
    let words = ["rev-list", "--objects", "--all", "--quiet"];
    child::output(Some(to), words).await.map(drop)
}
