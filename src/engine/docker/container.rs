//! What every container of ours looks like: its hardening, its limits and its log.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::{Inner, options};
use crate::engine::{EngineError, Limits, TerminalSize, ensure_folder};
use crate::model::{ConfigVars, ContainerOption, StorageMount};

/// The capabilities a container keeps of Docker's fourteen. Each is one that images in common use need while they start
/// as root:
/// - CHOWN, DAC_OVERRIDE, FOWNER: entry points that make and hand over their data folders (postgres, nginx, redis)
/// - SETGID, SETUID: dropping from root to the app's own user (gosu, su-exec, nginx workers)
/// - KILL: a root supervisor that signals workers it has handed to another user
/// - NET_BIND_SERVICE: listening on 80 or 443 as a user that is not root
///
/// Not kept: NET_RAW (forged packets in the app's network), MKNOD, SYS_CHROOT, AUDIT_WRITE, SETFCAP, SETPCAP, FSETID.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
];

/// What differs between one container and another.
pub(super) struct Container<'a> {
    pub(super) image: &'a str,
    /// None leaves the image's own command.
    pub(super) command: Option<Vec<String>>,
    pub(super) environment: &'a ConfigVars,
    pub(super) labels: HashMap<String, String>,
    pub(super) limits: Limits,
    pub(super) network: &'a str,
    /// The name it answers to inside that network, beside its own.
    pub(super) alias: Option<String>,
    pub(super) stop_timeout_seconds: Option<i64>,
    pub(super) attached: Option<Attached>,
    pub(super) mounts: Vec<Mount>,
    pub(super) options: &'a [ContainerOption],
}

/// How a one-off container's ends are set up.
pub(super) struct Attached {
    pub(super) has_stdin: bool,
    pub(super) terminal: Option<TerminalSize>,
}

impl Container<'_> {
    /// The request that creates it. The environment goes only here: never into labels or names, which `docker ps` shows.
    pub(super) fn request(self) -> ContainerCreateBody {
        let endpoint = EndpointSettings {
            aliases: self.alias.map(|alias| vec![alias]),
            ..EndpointSettings::default()
        };
        let is_attached = self.attached.is_some();
        let has_stdin = self.attached.as_ref().is_some_and(|a| a.has_stdin);
        let terminal = self.attached.and_then(|a| a.terminal);
        let request = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            cmd: self.command,
            env: Some(
                self.environment
                    .iter()
                    .map(|(key, value)| format!("{key}={}", value.reveal()))
                    .collect(),
            ),
            labels: Some(self.labels),
            stop_timeout: self.stop_timeout_seconds,
            attach_stdin: Some(has_stdin),
            attach_stdout: Some(is_attached),
            attach_stderr: Some(is_attached),
            open_stdin: Some(has_stdin),
            stdin_once: Some(has_stdin),
            tty: Some(terminal.is_some()),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.to_owned()),
                mounts: (!self.mounts.is_empty()).then_some(self.mounts),
                // Only engines from API 1.42 on read it; the others get a resize after the start.
                console_size: terminal
                    .map(|size| vec![usize::from(size.rows), usize::from(size.columns)]),
                ..hardened(self.limits)
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network.to_owned(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        };
        options::with(request, self.options)
    }
}

impl Inner {
    /// Folders of the storage as a container sees them. What a restore has brought for one is put in place first. One that is
    /// missing, as after a restore without it, is made empty: Docker would refuse the container, and the app is worth more than a
    /// folder that it can fill again.
    ///
    /// # Errors
    /// `Refused` where it cannot be made or put back.
    pub(super) async fn mounts(&self, mounts: &[StorageMount]) -> Result<Vec<Mount>, EngineError> {
        for mount in mounts {
            self.settle_storage(&mount.name).await?;
        }
        seen(&self.storage, mounts).await
    }
}

async fn seen(storage: &Path, mounts: &[StorageMount]) -> Result<Vec<Mount>, EngineError> {
    let mut all = Vec::new();
    for mount in mounts {
        let source = storage.join(mount.name.as_str());
        let (name, made) = (&mount.name, source.clone());
        let ensured = tokio::task::spawn_blocking(move || ensure_folder(&made)).await;
        let ensured = ensured.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
        let is_new = ensured.map_err(|error| EngineError::Refused {
            said: format!("the folder of the storage `{name}` cannot be made: {error}"),
        })?;
        if is_new {
            tracing::warn!(%name, "a folder of the storage was missing, and was made empty");
        }
        all.push(Mount {
            target: Some(mount.target.to_string()),
            source: Some(source.display().to_string()),
            typ: Some(MountType::BIND),
            read_only: Some(mount.is_read_only),
            ..Mount::default()
        });
    }
    Ok(all)
}

fn hardened(limits: Limits) -> HostConfig {
    let memory = limits
        .memory_bytes
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    HostConfig {
        // Reaps orphans, and passes SIGTERM to apps that, as process 1, would ignore it.
        init: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.iter().map(|name| name.to_string()).collect()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        pids_limit: Some(i64::from(limits.pids)),
        memory,
        // The sum of memory and swap: the same figure means no swap, so that an app over its limit ends and does not
        // make the whole host slow.
        memory_swap: memory,
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "5".to_owned()),
            ])),
        }),
        // mini starts processes again, so that no address changes hands without its knowing.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..HostConfig::default()
    }
}
