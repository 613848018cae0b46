//! Releases: recorded as candidates, promoted, drained, forgotten. Their config is sealed as one value.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use zeroize::Zeroizing;

use super::seal::{Place, Seal};
use super::{Store, StoreError, apps, row, scale};
use crate::model::{
    AppId, ConfigVars, ImageId, Release, ReleaseStatus, ReleaseVersion, Scale, Timestamp,
};

/// How many retired and failed releases of an app are remembered at most, whatever their images: each `config:set` adds
/// a release of the same image.
const REMEMBERED: usize = 100;

impl Store {
    /// Records a release and gives it the next number of its app; the number it comes with is not looked at. Numbers are
    /// never given twice.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn add_release(&self, release: Release) -> Result<Release, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| add(tx, &seal, release)).await
    }

    /// The number the next release of an app gets.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn next_version(&self, app: AppId) -> Result<ReleaseVersion, StoreError> {
        self.read(move |tx| {
            let newest: Option<u32> = tx
                .prepare_cached("SELECT last_version FROM apps WHERE id = ?1")?
                .query_row([app.0], |found| found.get(0))
                .optional()?;
            apps::found(usize::from(newest.is_some()))?;
            Ok(ReleaseVersion(newest.unwrap_or_default() + 1))
        })
        .await
    }

    /// The releases of an app, newest first, with their config.
    ///
    /// # Errors
    /// `Damaged` if a row or a config does not read.
    pub async fn releases(&self, app: AppId) -> Result<Vec<Release>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            tx.prepare_cached("SELECT * FROM releases WHERE app_id = ?1 ORDER BY version DESC")?
                .query_and_then([app.0], |found| read(&seal, found))?
                .collect()
        })
        .await
    }

    /// One release, with its config.
    ///
    /// # Errors
    /// `Damaged` if its row or config does not read.
    pub async fn release(
        &self,
        app: AppId,
        version: ReleaseVersion,
    ) -> Result<Option<Release>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            tx.prepare_cached("SELECT * FROM releases WHERE app_id = ?1 AND version = ?2")?
                .query_and_then(params![app.0, version.0], |found| read(&seal, found))?
                .next()
                .transpose()
        })
        .await
    }

    /// Says where a release stands. To make one current use [`Store::promote`]. A release that does not drain loses its
    /// drain deadline.
    ///
    /// # Errors
    /// `NotFound`; `Sql` for `Current` while another release is.
    pub async fn set_release_status(
        &self,
        app: AppId,
        version: ReleaseVersion,
        status: ReleaseStatus,
    ) -> Result<(), StoreError> {
        self.write(move |tx| set_status(tx, app, version, status))
            .await
    }

    /// Every release of an app that has this image has the other one from now on, which was made of the same commit.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn replace_image(
        &self,
        app: AppId,
        gone: ImageId,
        made: ImageId,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE releases SET image = ?3 WHERE app_id = ?1 AND image = ?2")?
                .execute(params![app.0, gone.as_str(), made.as_str()])?;
            Ok(())
        })
        .await
    }

    /// One transaction: `version` becomes current (and the app runs again if `start` is set), the one that was current
    /// drains until `drain_until`. Returns the previous current release. For a release that is current already this
    /// returns `None` and drains nothing, so that it can be repeated after a crash.
    ///
    /// # Errors
    /// `NotFound` if there is no such release, or it failed or was current before: only a candidate or prepared one can
    /// become current.
    pub async fn promote(
        &self,
        app: AppId,
        version: ReleaseVersion,
        drain_until: Timestamp,
        start: bool,
    ) -> Result<Option<ReleaseVersion>, StoreError> {
        self.write(move |tx| promote(tx, app, version, drain_until, start))
            .await
    }

    /// Every release of an app that is on its way, candidate or prepared, has failed. Written soon: what fails is not
    /// promised.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn fail_unfinished(&self, app: AppId) -> Result<(), StoreError> {
        self.write_soon(move |tx| {
            tx.prepare_cached(
                "UPDATE releases SET status = 'failed', drain_until = NULL \
                 WHERE app_id = ?1 AND status IN ('candidate', 'prepared')",
            )?
            .execute([app.0])?;
            Ok(())
        })
        .await
    }

    /// Forgets releases of an app that are retired or failed: retired ones whose image is not among the newest `keep`
    /// distinct images that ever served, failed ones older than the newest release that served, and all beyond the
    /// newest 100. Never forgets current, draining, candidate or prepared ones. Returns the images that are still
    /// referred to, by this app or any other, in no order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn prune_releases(
        &self,
        app: AppId,
        keep: usize,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.write(move |tx| {
            let known = tx
                .prepare_cached(
                    "SELECT version, status, image FROM releases WHERE app_id = ?1 ORDER BY version DESC",
                )?
                .query_and_then([app.0], |found| {
                    Ok(Known {
                        version: found.get("version")?,
                        status: row::text(found, "status")?,
                        image: found.get("image")?,
                    })
                })?
                .collect::<Result<Vec<_>, StoreError>>()?;
            let mut forget =
                tx.prepare_cached("DELETE FROM releases WHERE app_id = ?1 AND version = ?2")?;
            for version in to_forget(&known, keep) {
                forget.execute(params![app.0, version])?;
            }
            images(tx)
        })
        .await
    }

    /// The images that releases of other apps than this one refer to.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn images_of_others(&self, app: AppId) -> Result<Vec<ImageId>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT DISTINCT image FROM releases WHERE app_id <> ?1")?
                .query_and_then([app.0], |found| row::text(found, "image"))?
                .collect()
        })
        .await
    }

    /// The images that a release of any app refers to.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn release_images(&self) -> Result<HashSet<ImageId>, StoreError> {
        self.read(images).await
    }
}

fn images<C: FromIterator<ImageId>>(tx: &Transaction<'_>) -> Result<C, StoreError> {
    tx.prepare_cached("SELECT DISTINCT image FROM releases")?
        .query_and_then([], |found| row::text(found, "image"))?
        .collect()
}

/// What pruning looks at.
struct Known {
    version: u32,
    status: ReleaseStatus,
    image: String,
}

/// The versions to forget among the releases of an app, which come newest first.
fn to_forget(known: &[Known], keep: usize) -> Vec<u32> {
    let mut kept_images: HashSet<&str> = HashSet::new();
    let mut has_served = false;
    let mut remembered = 0;
    let mut forgotten = Vec::new();
    for release in known {
        let is_old = match release.status {
            ReleaseStatus::Candidate | ReleaseStatus::Prepared => continue,
            ReleaseStatus::Current | ReleaseStatus::Draining => {
                has_served = true;
                kept_images.insert(&release.image);
                continue;
            }
            ReleaseStatus::Retired => {
                has_served = true;
                let is_kept = kept_images.contains(release.image.as_str())
                    || (kept_images.len() < keep && kept_images.insert(&release.image));
                !is_kept
            }
            ReleaseStatus::Failed => has_served,
        };
        if is_old || remembered == REMEMBERED {
            forgotten.push(release.version);
        } else {
            remembered += 1;
        }
    }
    forgotten
}

/// Gives a config that was opened before, by its release and its sealed form.
pub(super) type Opened<'a> = &'a dyn Fn(AppId, ReleaseVersion, &[u8]) -> Option<ConfigVars>;

/// The releases the reconciler works with: candidate, prepared, current or draining, by app and number; and their sealed
/// configs in the same order. What is `known` is not opened again.
pub(super) fn all_wanted(
    tx: &Transaction<'_>,
    seal: &Seal,
    known: Opened<'_>,
) -> Result<(Vec<Release>, Vec<Vec<u8>>), StoreError> {
    let mut query = tx.prepare_cached(
        "SELECT * FROM releases WHERE status IN ('candidate', 'prepared', 'current', 'draining') \
         ORDER BY app_id, version",
    )?;
    let mut rows = query.query([])?;
    let (mut releases, mut sealed) = (Vec::new(), Vec::new());
    while let Some(found) = rows.next()? {
        let app = AppId(found.get("app_id")?);
        let version = ReleaseVersion(found.get("version")?);
        let config: Vec<u8> = found.get("config")?;
        let opened = match known(app, version, &config) {
            Some(opened) => opened,
            None => thaw(seal, app, version, &config)?,
        };
        releases.push(read_with(found, opened)?);
        sealed.push(config);
    }
    Ok((releases, sealed))
}

/// See [`Store::add_release`].
pub(super) fn add(
    tx: &Transaction<'_>,
    seal: &Seal,
    mut release: Release,
) -> Result<Release, StoreError> {
    let version = tx
        .prepare_cached(
            "UPDATE apps SET last_version = last_version + 1 WHERE id = ?1 RETURNING last_version",
        )?
        .query_row([release.app.0], |found| found.get(0))
        .optional()?;
    release.version = ReleaseVersion(version.unwrap_or_default());
    apps::found(usize::from(version.is_some()))?;
    release.created_at = row::rounded(release.created_at);
    release.drain_until = release.drain_until.map(row::rounded);
    insert(tx, seal, &release)?;
    Ok(release)
}

/// See [`Store::set_release_status`].
pub(super) fn set_status(
    tx: &Transaction<'_>,
    app: AppId,
    version: ReleaseVersion,
    status: ReleaseStatus,
) -> Result<(), StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE releases SET status = ?3, \
             drain_until = CASE WHEN ?3 = 'draining' THEN drain_until END \
             WHERE app_id = ?1 AND version = ?2",
        )?
        .execute(params![app.0, version.0, status.as_str()])?;
    if changed == 0 {
        return Err(missing(version));
    }
    Ok(())
}

/// See [`Store::promote`].
pub(super) fn promote(
    tx: &Transaction<'_>,
    app: AppId,
    version: ReleaseVersion,
    drain_until: Timestamp,
    start: bool,
) -> Result<Option<ReleaseVersion>, StoreError> {
    if start {
        tx.prepare_cached("UPDATE apps SET is_stopped = 0 WHERE id = ?1")?
            .execute([app.0])?;
    }
    match status(tx, app, version)? {
        Some(ReleaseStatus::Current) => return Ok(None),
        Some(ReleaseStatus::Candidate | ReleaseStatus::Prepared) => {}
        Some(ReleaseStatus::Draining | ReleaseStatus::Retired | ReleaseStatus::Failed) | None => {
            return Err(missing(version));
        }
    }
    let previous = tx
        .prepare_cached(
            "UPDATE releases SET status = 'draining', drain_until = ?2 \
             WHERE app_id = ?1 AND status = 'current' RETURNING version",
        )?
        .query_row(params![app.0, row::micros(drain_until)], |found| {
            found.get(0).map(ReleaseVersion)
        })
        .optional()?;
    tx.prepare_cached(
        "UPDATE releases SET status = 'current', drain_until = NULL WHERE app_id = ?1 AND version = ?2",
    )?
    .execute(params![app.0, version.0])?;
    // The scale that it brings is in force from now on, also for what reads the scale alone.
    let formation = tx
        .prepare_cached("SELECT formation FROM releases WHERE app_id = ?1 AND version = ?2")?
        .query_and_then(params![app.0, version.0], formation)?
        .next()
        .transpose()?
        .flatten();
    if let Some(formation) = formation {
        scale::replace(tx, app, &formation)?;
    }
    Ok(previous)
}

fn status(
    tx: &Transaction<'_>,
    app: AppId,
    version: ReleaseVersion,
) -> Result<Option<ReleaseStatus>, StoreError> {
    tx.prepare_cached("SELECT status FROM releases WHERE app_id = ?1 AND version = ?2")?
        .query_and_then(params![app.0, version.0], |found| {
            row::text(found, "status")
        })?
        .next()
        .transpose()
}

fn missing(version: ReleaseVersion) -> StoreError {
    StoreError::NotFound {
        what: format!("the release {version}"),
    }
}

fn insert(tx: &Transaction<'_>, seal: &Seal, release: &Release) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO releases (app_id, version, status, image, commit_id, processes, release_command, port, checks, \
         config, origin, description, actor, created_at, drain_until, postdeploy_command, formation, start_command) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        release.app.0,
        release.version.0,
        release.status.as_str(),
        release.image.as_str(),
        release.commit.as_ref().map(|commit| commit.as_str()),
        row::to_json(&release.processes)?,
        release.release_command,
        release.port,
        row::to_json(&release.checks)?,
        freeze(seal, release)?,
        release.trigger.as_str(),
        release.description,
        release.actor,
        row::micros(release.created_at),
        release.drain_until.map(row::micros),
        release.postdeploy_command,
        release.formation.as_ref().map(row::to_json).transpose()?,
        release.start_command,
    ])?;
    Ok(())
}

fn read(seal: &Seal, found: &Row<'_>) -> Result<Release, StoreError> {
    let app = AppId(found.get("app_id")?);
    let version = ReleaseVersion(found.get("version")?);
    let sealed = found
        .get_ref("config")?
        .as_blob()
        .map_err(rusqlite::Error::from)?;
    let config = thaw(seal, app, version, sealed)?;
    read_with(found, config)
}

fn read_with(found: &Row<'_>, config: ConfigVars) -> Result<Release, StoreError> {
    Ok(Release {
        app: AppId(found.get("app_id")?),
        version: ReleaseVersion(found.get("version")?),
        status: row::text(found, "status")?,
        image: row::text(found, "image")?,
        commit: row::optional_text(found, "commit_id")?,
        processes: row::json(found, "processes")?,
        release_command: found.get("release_command")?,
        postdeploy_command: found.get("postdeploy_command")?,
        formation: formation(found)?,
        start_command: found.get("start_command")?,
        port: found.get("port")?,
        checks: row::json(found, "checks")?,
        config,
        trigger: row::text(found, "origin")?,
        description: found.get("description")?,
        actor: found.get("actor")?,
        created_at: row::moment(found.get("created_at")?)?,
        drain_until: found
            .get::<_, Option<i64>>("drain_until")?
            .map(row::moment)
            .transpose()?,
    })
}

/// The scale that goes with a release, if one does.
fn formation(found: &Row<'_>) -> Result<Option<Scale>, StoreError> {
    match found.get_ref("formation")? {
        ValueRef::Null => Ok(None),
        _ => row::json(found, "formation").map(Some),
    }
}

fn freeze(seal: &Seal, release: &Release) -> Result<Vec<u8>, StoreError> {
    let plain = Zeroizing::new(row::to_json(&release.config)?);
    let key = release.version.to_string();
    seal.close(place(release.app, &key), plain.as_bytes())
}

fn thaw(
    seal: &Seal,
    app: AppId,
    version: ReleaseVersion,
    sealed: &[u8],
) -> Result<ConfigVars, StoreError> {
    let key = version.to_string();
    seal.open(place(app, &key), sealed)
        .and_then(|plain| serde_json::from_slice(&plain).ok())
        .ok_or_else(|| {
            StoreError::damaged_row(format!(
                "the config of the release {version} does not decrypt"
            ))
        })
}

fn place(app: AppId, key: &str) -> Place<'_> {
    Place {
        table: "releases",
        app: app.0,
        key,
    }
}
