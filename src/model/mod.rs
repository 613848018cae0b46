//! Owns the words of mini as types: names, apps, releases, deploys, checks, permissions and `Problem`.
//! Must not know anything else: no async, no clock, no randomness, no files. Time and ids arrive as arguments.

mod address;
mod app;
mod app_proxy;
mod backup;
mod backup_place;
mod builder;
mod caller;
mod certificate;
mod certificate_order;
mod check;
mod container_option;
mod container_phase;
mod deploy;
mod environment;
mod git_source;
mod image_name;
mod name;
mod port_mapping;
mod problem;
mod process_setting;
mod proxy_options;
mod release;
mod secret;
mod source_file;
mod storage;
mod typed_option;
mod value_kind;

pub use address::{Address, AppRedirect, Exposure, Route};
pub use app::{App, AppId, AppLock, Domain, Scale};
pub use app_proxy::{AppProxy, HttpAuth, Maintenance, PageName};
pub use backup::{BackupRecord, BackupSchedule, BackupStanding, BackupStatus};
pub use backup_place::{BackupPlace, BucketPlace};
pub use builder::{BuildCache, BuildSecretId, Builder, BuilderSetting};
pub use caller::{Caller, Permission, SshKey};
pub use certificate::{
    AppCertificate, Automatic, CertificateId, CertificateOrigin, NewCertificate,
};
pub use certificate_order::{AuthorityAccount, FailedOrder, RenewalAdvice};
pub use check::{Check, CheckKind, CheckPolicy, DEFAULT_PORT};
pub use container_option::{ContainerOption, InvalidOption};
pub use container_phase::ContainerPhase;
pub use deploy::{Deploy, DeployFailure, DeployId, DeployStatus, FailureReason, Step, Trigger};
pub use environment::{TooLarge, require_startable};
pub use git_source::{GitCredential, GitHost, GitTransport, GitUrl, HostKey};
pub use image_name::ImageName;
pub use name::{
    AppName, BranchName, CommitId, ConfigKey, DomainName, ImageId, InvalidName, KeyName,
    ProcessType, ReleaseVersion, StorageName, UserName,
};
pub use port_mapping::{AppPort, PortChoice, PortMapping, PortScheme, StandardPorts};
pub use problem::{Kind, Problem};
pub use process_setting::{ProcessSetting, ProcessSettings};
pub use proxy_options::{ProxyOptions, ProxySetting, UpstreamProtocol};
pub use release::{ProcessCommand, Release, ReleaseStatus};
pub use secret::{ConfigVars, Secret};
pub use source_file::{SourceFile, SourceFileKind};
pub use storage::{AppMount, ContainerPath, StorageMount};
pub(crate) use typed_option::{flag_and_value, unquoted};
pub use value_kind::{
    ByteRate, Count, ListOf, Network, Networks, OffOr, PerTime, Rate, Size, Span, Switch,
    ValueKind, size_in_words,
};

/// A moment in UTC; what the journal, the store and every report print.
pub type Timestamp = jiff::Timestamp;
