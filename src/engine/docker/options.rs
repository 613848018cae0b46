//! The options of an app's containers, as Docker's API has them.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, Mount, MountType, ResourcesUlimits,
};

use crate::model::ContainerOption;

/// The request with what was asked for beside, or in place of, what every container of ours has. The last one of its kind
/// counts where there can be one only.
pub(super) fn with(
    mut request: ContainerCreateBody,
    options: &[ContainerOption],
) -> ContainerCreateBody {
    let mut host = request.host_config.take().unwrap_or_default();
    for option in options {
        apply(option, &mut request, &mut host);
    }
    request.host_config = Some(host);
    request
}

fn apply(option: &ContainerOption, request: &mut ContainerCreateBody, host: &mut HostConfig) {
    match option {
        ContainerOption::Memory(bytes) => {
            // Without swap, as every limit of ours.
            host.memory = Some(whole(*bytes));
            host.memory_swap = host.memory;
        }
        ContainerOption::Cpus(nanos) => host.nano_cpus = Some(whole(*nanos)),
        ContainerOption::CpuShares(shares) => host.cpu_shares = Some(i64::from(*shares)),
        ContainerOption::SharedMemory(bytes) => host.shm_size = Some(whole(*bytes)),
        ContainerOption::Ulimit(name, soft, hard) => {
            host.ulimits.get_or_insert_default().push(ResourcesUlimits {
                name: Some(name.clone()),
                soft: Some(*soft),
                hard: Some(*hard),
            });
        }
        ContainerOption::Tmpfs(path, options) => {
            let tmpfs: &mut HashMap<_, _> = host.tmpfs.get_or_insert_default();
            tmpfs.insert(path.clone(), options.clone());
        }
        ContainerOption::AddHost(line) => {
            host.extra_hosts.get_or_insert_default().push(line.clone());
        }
        ContainerOption::Dns(address) => {
            host.dns.get_or_insert_default().push(address.to_string());
        }
        ContainerOption::Hostname(name) => request.hostname = Some(name.clone()),
        ContainerOption::Label(key, value) => {
            let labels: &mut HashMap<_, _> = request.labels.get_or_insert_default();
            labels.insert(key.clone(), value.clone());
        }
        ContainerOption::User(user) => request.user = Some(user.clone()),
        ContainerOption::Workdir(path) => request.working_dir = Some(path.clone()),
        ContainerOption::StopSignal(signal) => request.stop_signal = Some(signal.clone()),
        ContainerOption::ReadOnly => host.readonly_rootfs = Some(true),
        ContainerOption::Privileged => {
            host.privileged = Some(true);
            host.cap_drop = None;
            host.security_opt = None;
        }
        ContainerOption::CapAdd(name) => host.cap_add.get_or_insert_default().push(name.clone()),
        ContainerOption::Device(path, inside) => {
            host.devices.get_or_insert_default().push(DeviceMapping {
                path_on_host: Some(path.clone()),
                path_in_container: Some(inside.clone()),
                cgroup_permissions: Some("rwm".to_owned()),
            });
        }
        ContainerOption::Volume(source, target, is_read_only) => {
            host.mounts.get_or_insert_default().push(Mount {
                source: Some(source.clone()),
                target: Some(target.clone()),
                typ: Some(MountType::BIND),
                read_only: Some(*is_read_only),
                ..Mount::default()
            });
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stands_beside_what_all_have() {
        let request = ContainerCreateBody {
            host_config: Some(HostConfig {
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(vec!["KILL".to_owned()]),
                memory: Some(1),
                memory_swap: Some(1),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = [
            "--memory 64m",
            "--cpus 0.5",
            "--cap-add NET_ADMIN",
            "--ulimit nofile=10:20",
            "--tmpfs /tmp:size=1m",
            "-v /srv:/srv:ro",
            "--label a=b",
            "--user 7",
        ];
        let options = options.map(|text| text.parse().unwrap());
        let made = with(request.clone(), &options);
        let host = made.host_config.unwrap();
        assert_eq!(
            (host.memory, host.memory_swap),
            (Some(64 << 20), Some(64 << 20))
        );
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.cap_add.unwrap(), ["KILL", "NET_ADMIN"]);
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.ulimits.unwrap()[0].hard, Some(20));
        assert_eq!(host.tmpfs.unwrap()["/tmp"], "size=1m");
        assert_eq!(host.mounts.unwrap()[0].read_only, Some(true));
        assert_eq!(made.labels.unwrap()["a"], "b");
        assert_eq!(made.user.as_deref(), Some("7"));
        assert_eq!(with(request.clone(), &[]), request);
    }
}
