//! Frees the disk of what no deploy needs any more: images without a release, and what of the build cache is over its budget.
//!
//! An image that a release refers to can be rolled back to, and one that a container was made from is in use; neither is
//! touched, whatever the budget. What does not carry our labels is not even looked at, but for the cache, which has none.

use std::collections::{BTreeMap, HashSet};

use super::{Deployer, Deploys, problem};
use crate::engine::{AppImage, BuildCacheUse, EngineError};
use crate::model::{AppName, ImageId, Problem};

/// What was, or would be, removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Images.
    pub images: Vec<AppImage>,
    /// The build cache as it was before; none where one app was meant.
    pub cache: Option<BuildCacheUse>,
    /// What of it was, or would be, freed.
    pub cache_freed_bytes: u64,
}

impl Deploys {
    /// What the build cache of Docker may take, bytes, if that was set.
    pub fn build_cache_budget_bytes(&self) -> Option<u64> {
        self.deployer.settings.build_cache_budget_bytes
    }

    /// Removes what is not needed: of one app, or of all and of the cache. With `is_dry_run` it only says what.
    ///
    /// # Errors
    /// The store or Docker does not answer; what was removed before that stays removed.
    pub async fn prune(&self, app: Option<&AppName>, is_dry_run: bool) -> Result<Pruned, Problem> {
        let deployer = &self.deployer;
        let engine = &deployer.engine;
        let failed =
            |error: EngineError| problem::engine("Not everything was removed".to_owned(), &error);
        let held = deployer.clearing.hold_builds().await;
        // In this order: what a deploy makes meanwhile is in a later list than the releases it is missing from.
        let found = engine.images(app).await.map_err(failed)?;
        let busy: HashSet<AppName> = self.apps_under_way().into_iter().collect();
        let referred: HashSet<ImageId> = deployer.store.release_images().await?;
        let unneeded = found.into_iter().filter(|image| {
            !image.is_used && !referred.contains(&image.id) && !busy.contains(&image.app)
        });
        let mut pruned = Pruned {
            images: unneeded.collect(),
            ..Pruned::default()
        };
        if !is_dry_run {
            let mut by_app: BTreeMap<AppName, Vec<ImageId>> = BTreeMap::new();
            for image in &pruned.images {
                let ids = by_app.entry(image.app.clone()).or_default();
                ids.push(image.id.clone());
            }
            let mut removed = HashSet::new();
            for (app, ids) in by_app {
                removed.extend(engine.remove_images(&app, &ids).await.map_err(failed)?);
            }
            pruned.images.retain(|image| removed.contains(&image.id));
        }
        drop(held);
        if app.is_none() {
            let cache = engine.build_cache().await.map_err(failed)?;
            pruned.cache = Some(cache);
            if let Some(budget) = self.build_cache_budget_bytes() {
                pruned.cache_freed_bytes = match is_dry_run {
                    true => cache
                        .bytes
                        .saturating_sub(budget)
                        .min(cache.removable_bytes),
                    false => engine.shrink_build_cache(budget).await.map_err(failed)?,
                };
            }
        }
        Ok(pruned)
    }
}

/// Keeps the build cache within its budget, where there is one. Nothing waits for it.
pub(super) async fn shrink_cache(deployer: &Deployer) {
    let Some(budget) = deployer.settings.build_cache_budget_bytes else {
        return;
    };
    match deployer.engine.shrink_build_cache(budget).await {
        Ok(0) => {}
        Ok(bytes) => tracing::info!(bytes, budget, "the build cache was shrunk to its budget"),
        Err(error) => tracing::warn!(%error, "the build cache could not be shrunk to its budget"),
    }
}
