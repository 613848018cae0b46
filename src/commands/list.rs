//! The list of all commands. A command that is not here does not exist; one that is here is reached by every door, in
//! every help page and in the reference.

use serde::{Deserialize, Serialize};

use super::command::{Command, Output};
use super::options::Format;
use super::{
    Authorized, Dialog, Page, Platform, apps, backup, builder, buildpacks, builds, certs, checks,
    config, docker_options, doctor, domains, git, help, http_auth, logs, maintenance, ports, proxy,
    ps, redirects, releases, repo, rollback, routes, run, ssh_keys, storage, url, urls, version,
};
use crate::model::{Permission, Problem};

/// An answer in the form that was asked for.
pub(super) enum Form {
    /// Lines.
    Text(Page),
    /// The value itself.
    Json(serde_json::Value),
}

/// What came of a command.
pub(super) struct Answer {
    /// The answer.
    pub form: Form,
    /// The exit status.
    pub exit_code: u8,
}

async fn carry_out<C: Command>(
    command: C,
    platform: &Platform,
    authorized: &Authorized,
    dialog: &mut Dialog,
) -> Result<Answer, Problem> {
    let output = command.run(platform, authorized, dialog).await?;
    let form = match dialog.options().format {
        Format::Text => {
            let mut page = dialog.page();
            output.print(&mut page);
            Form::Text(page)
        }
        Format::Json => Form::Json(serde_json::to_value(&output).map_err(|error| {
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::new(
                crate::model::Kind::Internal,
                "The answer could not be written as JSON",
                "",
                "Ask without `--format json`",
            )
        })?),
    };
    Ok(Answer {
        form,
        exit_code: output.exit_code(),
    })
}

macro_rules! commands {
    ($($name:literal $(or $alias:literal)? => $variant:ident($type:ty)),+ $(,)?) => {
        /// Any command with its arguments. As JSON: `{"command": "apps:create", "arguments": {"app": "shop"}}`.
        #[derive(Debug, Clone, clap::Subcommand, Serialize, Deserialize)]
        #[serde(tag = "command", content = "arguments")]
        #[expect(missing_docs, reason = "the doc comment of a command's struct is its help page")]
        pub enum AnyCommand {
            $(
                #[command(name = $name $(, alias = $alias)?)]
                #[serde(rename = $name)]
                $variant($type),
            )+
        }

        impl AnyCommand {
            /// The names of all commands, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Other names by which some are known, with the name they stand for.
            pub const ALIASES: &'static [(&'static str, &'static str)] = &[$($(($alias, $name),)?)+];

            /// Its name, such as `apps:create`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(AnyCommand::$variant(_) => $name,)+
                }
            }

            /// Why it cannot be answered by one JSON value, if it cannot.
            pub fn needs_stream(&self) -> Option<&'static str> {
                match self {
                    $(AnyCommand::$variant(command) => command.needs_stream(),)+
                }
            }

            /// What the caller must be allowed, and what besides where it is about a second app.
            pub fn permissions(&self) -> (Permission, Option<Permission>) {
                match self {
                    $(AnyCommand::$variant(command) => (command.permission(), command.further_permission()),)+
                }
            }

            /// Does it.
            pub(super) async fn run(
                self,
                platform: &Platform,
                authorized: &Authorized,
                dialog: &mut Dialog,
            ) -> Result<Answer, Problem> {
                match self {
                    $(AnyCommand::$variant(command) => carry_out(command, platform, authorized, dialog).await,)+
                }
            }
        }
    };
}

commands! {
    "help" => Help(help::Help),
    "version" => Version(version::Version),
    "apps:clone" => AppsClone(apps::Clone),
    "apps:create" => AppsCreate(apps::Create),
    "apps:destroy" => AppsDestroy(apps::Destroy),
    "apps:exists" => AppsExists(apps::Exists),
    "apps:list" => AppsList(apps::List),
    "apps:lock" => AppsLock(apps::Lock),
    "apps:locked" => AppsLocked(apps::Locked),
    "apps:rename" => AppsRename(apps::Rename),
    "apps:report" => AppsReport(apps::Report),
    "apps:set" => AppsSet(apps::Set),
    "apps:unlock" or "git:unlock" => AppsUnlock(apps::Unlock),
    "backup:create" => BackupCreate(backup::Create),
    "backup:list" => BackupList(backup::List),
    "backup:report" or "backup" => BackupReport(backup::Report),
    "backup:run" => BackupRun(backup::Run),
    "backup:schedule" => BackupSchedule(backup::Schedule),
    "backup:unschedule" => BackupUnschedule(backup::Unschedule),
    "builder:report" or "builder-dockerfile:report" => BuilderReport(builder::Report),
    "builder:set" or "builder-dockerfile:set" => BuilderSet(builder::Set),
    "buildpacks:detect" => BuildpacksDetect(buildpacks::Detect),
    "buildpacks:dockerfile" => BuildpacksDockerfile(buildpacks::Dockerfile),
    "builds:cancel" => BuildsCancel(builds::Cancel),
    "builds:info" => BuildsInfo(builds::Info),
    "builds:list" => BuildsList(builds::List),
    "builds:output" => BuildsOutput(builds::Output),
    "builds:prune" => BuildsPrune(builds::Prune),
    "builds:report" => BuildsReport(builds::Report),
    "certs:add" or "certs:update" => CertsAdd(certs::Add),
    "certs:auto" => CertsAuto(certs::Auto),
    "certs:auto-global" => CertsAutoGlobal(certs::AutoGlobal),
    "certs:generate" => CertsGenerate(certs::Generate),
    "certs:remove" => CertsRemove(certs::Remove),
    "certs:renew" => CertsRenew(certs::Renew),
    "certs:report" or "certs" => CertsReport(certs::Report),
    "certs:show" => CertsShow(certs::Show),
    "checks:report" => ChecksReport(checks::Report),
    "config:bundle" => ConfigBundle(config::Bundle),
    "config:clear" => ConfigClear(config::Clear),
    "config:export" => ConfigExport(config::Export),
    "config:get" => ConfigGet(config::Get),
    "config:import" => ConfigImport(config::Import),
    "config:keys" => ConfigKeys(config::Keys),
    "config:set" => ConfigSet(config::Set),
    "config:show" or "config" => ConfigShow(config::Show),
    "config:suggest" => ConfigSuggest(config::Suggest),
    "config:templates" => ConfigTemplates(config::Templates),
    "config:unset" => ConfigUnset(config::Unset),
    "docker-options:add" => DockerOptionsAdd(docker_options::Add),
    "docker-options:clear" => DockerOptionsClear(docker_options::Clear),
    "docker-options:list" => DockerOptionsList(docker_options::List),
    "docker-options:remove" => DockerOptionsRemove(docker_options::Remove),
    "docker-options:report" or "docker-options" => DockerOptionsReport(docker_options::Report),
    "doctor" => Doctor(doctor::Doctor),
    "domains:add" => DomainsAdd(domains::Add),
    "domains:add-global" => DomainsAddGlobal(domains::AddGlobal),
    "domains:clear" => DomainsClear(domains::Clear),
    "domains:clear-global" => DomainsClearGlobal(domains::ClearGlobal),
    "domains:disable" => DomainsDisable(domains::Disable),
    "domains:enable" => DomainsEnable(domains::Enable),
    "domains:remove" => DomainsRemove(domains::Remove),
    "domains:remove-global" => DomainsRemoveGlobal(domains::RemoveGlobal),
    "domains:report" or "domains" => DomainsReport(domains::Report),
    "domains:reset" => DomainsReset(domains::Reset),
    "domains:set" => DomainsSet(domains::Set),
    "domains:set-global" => DomainsSetGlobal(domains::SetGlobal),
    "git:allow-host" => GitAllowHost(git::AllowHost),
    "git:auth" => GitAuth(git::Auth),
    "git:auth-status" => GitAuthStatus(git::AuthStatus),
    "git:from-archive" => GitFromArchive(git::FromArchive),
    "git:from-image" => GitFromImage(git::FromImage),
    "git:generate-deploy-key" => GitGenerateDeployKey(git::GenerateDeployKey),
    "git:load-image" => GitLoadImage(git::LoadImage),
    "git:public-key" => GitPublicKey(git::PublicKey),
    "git:report" or "git" => GitReport(git::Report),
    "git:sync" => GitSync(git::Sync),
    "http-auth:add-user" => HttpAuthAddUser(http_auth::AddUser),
    "http-auth:off" or "http-auth:disable" => HttpAuthOff(http_auth::Off),
    "http-auth:on" or "http-auth:enable" => HttpAuthOn(http_auth::On),
    "http-auth:remove-user" => HttpAuthRemoveUser(http_auth::RemoveUser),
    "http-auth:report" or "http-auth" => HttpAuthReport(http_auth::Report),
    "logs" or "apps:logs" => Logs(logs::Logs),
    "maintenance:custom-page" => MaintenanceCustomPage(maintenance::CustomPage),
    "maintenance:off" or "maintenance:disable" => MaintenanceOff(maintenance::Off),
    "maintenance:on" or "maintenance:enable" => MaintenanceOn(maintenance::On),
    "maintenance:report" or "maintenance" => MaintenanceReport(maintenance::Report),
    "ports:add" => PortsAdd(ports::Add),
    "ports:clear" => PortsClear(ports::Clear),
    "ports:list" => PortsList(ports::List),
    "ports:remove" => PortsRemove(ports::Remove),
    "ports:report" or "ports" => PortsReport(ports::Report),
    "ports:set" => PortsSet(ports::Set),
    "proxy:access-logs" or "nginx:access-logs" => ProxyAccessLogs(proxy::AccessLogs),
    "proxy:error-page" => ProxyErrorPage(proxy::ErrorPage),
    "proxy:pause" => ProxyPause(proxy::Pause),
    "proxy:report" or "nginx:report" => ProxyReport(proxy::Report),
    "proxy:resume" => ProxyResume(proxy::Resume),
    "proxy:set" or "nginx:set" => ProxySet(proxy::Set),
    "proxy:stats" => ProxyStats(proxy::Stats),
    "ps:inspect" => PsInspect(ps::Inspect),
    "ps:rebuild" => PsRebuild(ps::Rebuild),
    "ps:report" or "ps" => PsReport(ps::Report),
    "ps:restart" => PsRestart(ps::Restart),
    "ps:scale" => PsScale(ps::Scale),
    "ps:set" => PsSet(ps::Set),
    "ps:start" => PsStart(ps::Start),
    "ps:stop" => PsStop(ps::Stop),
    "redirects:report" or "redirects" => RedirectsReport(redirects::Report),
    "redirects:set" => RedirectsSet(redirects::Set),
    "redirects:unset" => RedirectsUnset(redirects::Unset),
    "releases" or "releases:list" => Releases(releases::Releases),
    "releases:info" => ReleasesInfo(releases::Info),
    "repo:purge-cache" => RepoPurgeCache(repo::PurgeCache),
    "rollback" => Rollback(rollback::Rollback),
    "routes:add" => RoutesAdd(routes::Add),
    "routes:remove" => RoutesRemove(routes::Remove),
    "routes:report" or "routes" => RoutesReport(routes::Report),
    "run" => Run(run::Run),
    "ssh-keys:add" => SshKeysAdd(ssh_keys::Add),
    "ssh-keys:authorized" => SshKeysAuthorized(ssh_keys::Authorized),
    "ssh-keys:list" => SshKeysList(ssh_keys::List),
    "ssh-keys:remove" => SshKeysRemove(ssh_keys::Remove),
    "storage:ensure-directory" => StorageEnsureDirectory(storage::EnsureDirectory),
    "storage:list" => StorageList(storage::List),
    "storage:mount" => StorageMount(storage::Mount),
    "storage:report" or "storage" => StorageReport(storage::Report),
    "storage:unmount" => StorageUnmount(storage::Unmount),
    "url" => Url(url::Url),
    "urls" => Urls(urls::Urls),
}

impl AnyCommand {
    /// Whether it gives the caller's terminal, where there is one, to a container.
    pub fn takes_terminal(&self) -> bool {
        matches!(self, AnyCommand::Run(run) if !run.no_tty)
    }

    /// Whether it may ask for a secret, which no terminal is to show.
    pub fn asks_secret(&self) -> bool {
        matches!(
            self,
            AnyCommand::BackupCreate(_)
                | AnyCommand::BackupSchedule(_)
                | AnyCommand::GitAuth(_)
                | AnyCommand::HttpAuthAddUser(_)
        )
    }

    /// Whether it may read what the caller types or pipes into it.
    pub fn reads_input(&self) -> bool {
        match self {
            AnyCommand::CertsAdd(add) => add.reads_input(),
            command => matches!(
                command,
                AnyCommand::Run(_)
                    | AnyCommand::AppsDestroy(_)
                    | AnyCommand::BackupCreate(_)
                    | AnyCommand::BackupSchedule(_)
                    | AnyCommand::ConfigImport(_)
                    | AnyCommand::GitAuth(_)
                    | AnyCommand::GitFromArchive(_)
                    | AnyCommand::GitLoadImage(_)
                    | AnyCommand::HttpAuthAddUser(_)
                    | AnyCommand::MaintenanceCustomPage(_)
                    | AnyCommand::ProxyErrorPage(_)
                    | AnyCommand::SshKeysAdd(_)
            ),
        }
    }
}
