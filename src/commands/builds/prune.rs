//! `builds:prune`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::engine::AppImage;
use crate::model::{AppName, Permission, Problem, size_in_words};

/// Remove images that no release needs, and what of Docker's build cache is over its budget
///
/// Every deploy does the same for its app. What can be rolled back to, what a container was made from, and what mini did
/// not make are never removed, and neither are images of an app that is being deployed. Docker does not tell whose its
/// build cache is, so it is left alone unless the setting `build-cache-budget` of the server gives it a budget.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// The app; all of them, those that are gone and the build cache, when it is not given
    #[serde(default)]
    pub app: Option<AppName>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Serialize)]
pub struct Pruned {
    is_dry_run: bool,
    images: Vec<AppImage>,
    /// Images share layers, so this is the most it can be.
    image_bytes: u64,
    build_cache: Option<Cache>,
}

#[derive(Debug, Serialize)]
struct Cache {
    bytes: u64,
    freed_bytes: u64,
    budget_bytes: Option<u64>,
}

impl Command for Prune {
    type Output = Pruned;

    fn permission(&self) -> Permission {
        match &self.app {
            Some(app) => Permission::ChangeApp(app.clone()),
            None => Permission::Administer,
        }
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Pruned, Problem> {
        let deploys = &platform.deploys;
        let pruned = deploys.prune(self.app.as_ref(), self.dry_run).await?;
        Ok(Pruned {
            is_dry_run: self.dry_run,
            image_bytes: pruned.images.iter().map(|image| image.size_bytes).sum(),
            images: pruned.images,
            build_cache: pruned.cache.map(|cache| Cache {
                bytes: cache.bytes,
                freed_bytes: pruned.cache_freed_bytes,
                budget_bytes: deploys.build_cache_budget_bytes(),
            }),
        })
    }
}

impl Output for Pruned {
    fn print(&self, page: &mut Page) {
        let (removed, freed) = match self.is_dry_run {
            true => ("Would remove", "would be freed"),
            false => ("Removed", "freed"),
        };
        match self.images.len() {
            0 => page.header("No image is without a release"),
            1 => page.header(format!(
                "{removed} 1 image that no release needs, {}",
                size_in_words(self.image_bytes)
            )),
            count => page.header(format!(
                "{removed} {count} images that no release needs, {} at most",
                size_in_words(self.image_bytes)
            )),
        }
        for image in &self.images {
            let id = image.id.as_str().trim_start_matches("sha256:");
            page.detail(format!(
                "{}  {}  {}",
                id.get(..12).unwrap_or(id),
                image.app,
                size_in_words(image.size_bytes)
            ));
        }
        if let Some(cache) = &self.build_cache {
            let bytes = size_in_words(cache.bytes);
            page.header(match cache.budget_bytes {
                Some(budget) => format!(
                    "Build cache of Docker: {bytes}, {} of it {freed} (budget {})",
                    size_in_words(cache.freed_bytes),
                    size_in_words(budget)
                ),
                None => format!(
                    "Build cache of Docker: {bytes}, left alone (no `build-cache-budget` is set)"
                ),
            });
        }
    }
}
