//! The part that has the data directory: store, reconciler, deploys, SSH and API. Started and closed as one.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::acme::Acme;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::front::Front;
use super::ready::ServerFile;
use super::settings::Settings;
use super::takeover::Role;
use super::wiring::{self, Running, Stores};
use crate::commands::Platform;
use crate::engine::ContainerEngine;
use crate::http;
use crate::model::{AppName, Kind, Problem};
use crate::reconcile::ReconcileTask;
use crate::ssh::SshServer;

/// How long commands over SSH may go on after a signal. Pushes are over by then: their deploys are cancelled first.
const SSH_DRAIN: Duration = Duration::from_secs(10);
/// How long orders for certificates may take to clear up after a signal: a DNS hook may have a record to remove.
const ACME_DRAIN: Duration = Duration::from_secs(15);
/// How long answers to API requests may take after a signal.
const API_DRAIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Control {
    platform: Platform,
    reconcile: ReconcileTask,
    acme: Option<Acme>,
    images: AbortOnDropHandle<()>,
    backups: AbortOnDropHandle<()>,
    ssh: SshServer,
    stop_api: CancellationToken,
    api: TaskTracker,
    file: ServerFile,
    leaving: watch::Sender<bool>,
}

impl Control {
    /// Starts the reconciler, settles what a crash left, and lets SSH and API in.
    pub(super) async fn start(
        settings: &Settings,
        stores: Stores,
        front: &Front,
    ) -> Result<Control, Problem> {
        let leaving = watch::Sender::new(false);
        let Running {
            platform,
            reconcile,
            acme,
            images,
            backups,
        } = wiring::start(settings, stores, front, leaving.subscribe()).await?;
        warn_without_docker(platform.engine.as_ref()).await;
        if let Err(error) = platform.engine.remove_leftovers().await {
            tracing::warn!(%error, "one-off containers of an earlier run could not be removed");
        }
        // From here on users are told that things are done, which an older mini must not take back.
        platform.store.trust_schema().await?;
        let listeners = front.kept.listeners(Role::Ssh).map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "SSH could not be started",
                error.to_string(),
                "",
            )
        })?;
        let ssh = wiring::ssh(settings, &platform, listeners)?;
        let file = ServerFile::write(&platform.facts).map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "run/server.json could not be written",
                error.to_string(),
                "",
            )
        })?;
        let mut control = Control {
            platform,
            reconcile,
            acme,
            images,
            backups,
            ssh,
            stop_api: CancellationToken::new(),
            api: TaskTracker::new(),
            file,
            leaving,
        };
        control.serve_api(front);
        Ok(control)
    }

    fn serve_api(&mut self, front: &Front) {
        self.stop_api = CancellationToken::new();
        self.api.spawn(http::serve(
            Arc::clone(&front.api),
            self.platform.clone(),
            self.stop_api.clone(),
        ));
        match front.kept.listeners(Role::Metrics) {
            Ok(listeners) => {
                let platform = self.platform.clone();
                let stop = self.stop_api.clone();
                self.api
                    .spawn(http::serve_metrics(listeners, platform, stop));
            }
            Err(error) => tracing::error!(%error, "the figures for monitoring cannot be served"),
        }
    }

    /// Lets nothing new begin over SSH, and resolves when neither pushes nor deploys nor commands go on. Commands of this
    /// machine may begin until the others are over. Cancelled, it is taken back by [`Control::resume`].
    pub(super) async fn settle(&self) {
        let deploys = &self.platform.deploys;
        self.ssh.pause().await;
        while {
            self.ssh.idle().await;
            deploys.idle().await;
            self.ssh.is_at_work()
        } {}
        self.stop_api.cancel();
        self.api.close();
        self.api.wait().await;
        deploys.idle().await;
    }

    /// Ends commands that would go on for ever.
    pub(super) fn end_follows(&self) {
        self.leaving.send_replace(true);
    }

    /// What [`Control::settle`] waits for, in words; empty when it is nothing.
    pub(super) fn under_way(&self) -> String {
        let pushes = self.ssh.pushes();
        let mut under_way: Vec<String> =
            pushes.iter().map(|app| format!("push to {app}")).collect();
        let pushed: BTreeSet<&AppName> = pushes.iter().collect();
        let deploys = self.platform.deploys.apps_under_way();
        let deploys = deploys.iter().filter(|app| !pushed.contains(app));
        under_way.extend(deploys.map(|app| format!("deploy of {app}")));
        if pushed.is_empty() && self.ssh.is_at_work() {
            under_way.push("commands over SSH".to_owned());
        }
        if self.stop_api.is_cancelled() && !self.api.is_empty() {
            under_way.push("commands on this machine".to_owned());
        }
        under_way.join(", ")
    }

    /// Lets everything in again after a [`Control::settle`].
    pub(super) fn resume(&mut self, front: &Front) {
        self.leaving.send_replace(false);
        if self.stop_api.is_cancelled() {
            self.serve_api(front);
        }
        self.ssh.resume();
    }

    /// Ends what still goes on and closes the data, so that another server can have it. `run/server.json` stays for that
    /// one to replace.
    pub(super) async fn close(mut self) {
        self.file.leave();
        self.stop(async {}).await;
    }

    /// Lets nothing new begin, ends deploys and commands, and closes the data when `meanwhile` is done as well. Apps keep
    /// running.
    pub(super) async fn stop(self, meanwhile: impl Future<Output = ()>) {
        let Control {
            platform,
            reconcile,
            acme,
            images,
            backups,
            ssh,
            stop_api,
            api,
            file,
            leaving,
        } = self;
        drop(file);
        stop_api.cancel();
        leaving.send_replace(true);
        // Before deploys are cancelled: it would begin the next.
        drop(images);
        drop(backups);
        let ssh = async {
            // Cancelled at once, so that a push learns of it while its connection is there.
            tokio::join!(ssh.shutdown(SSH_DRAIN), platform.deploys.stop());
        };
        api.close();
        let api = tokio::time::timeout(API_DRAIN, api.wait());
        let acme = async {
            if let Some(acme) = acme
                && tokio::time::timeout(ACME_DRAIN, acme.stop()).await.is_err()
            {
                tracing::warn!("an order for a certificate was cut short");
            }
        };
        let _ = tokio::join!(ssh, api, acme, meanwhile);
        reconcile.stop().await;
        platform.journal.close().await;
        if let Err(error) = platform.store.close().await {
            tracing::error!(%error, "the store did not close in order");
        }
    }
}

/// Without Docker the server runs all the same, and looks again until it comes.
async fn warn_without_docker(engine: &dyn ContainerEngine) {
    match engine.version().await {
        Ok(version) => tracing::info!(name = version.name, version = version.version, "docker"),
        Err(error) => {
            tracing::warn!(%error, "apps are started when Docker answers; `mini doctor` says more");
        }
    }
}
