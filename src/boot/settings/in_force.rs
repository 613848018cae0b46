//! What `mini server --check-config` prints: every setting as it is in force, and where it comes from.

use std::net::SocketAddr;
use std::time::Duration;

use super::Settings;
use super::catalogue::{SETTINGS, Setting};

/// What stands for a secret.
const HIDDEN: &str = "********";

/// The values of one setting, and what set them.
pub(in crate::boot) struct Origin {
    pub name: &'static str,
    pub place: String,
    pub values: Vec<String>,
}

/// Lines in the form of the settings file; what nobody has set is marked as a default.
pub(super) fn lines(settings: &Settings, origins: &[Origin]) -> String {
    let mut text = String::from("# The settings in force, and what has set them\n");
    for setting in SETTINGS {
        // The last place wins.
        let origin = origins
            .iter()
            .rev()
            .find(|origin| origin.name == setting.name);
        let (values, place) = match origin {
            Some(origin) => (origin.values.clone(), origin.place.as_str()),
            None => (default(settings, setting.name), "default"),
        };
        let line = match values.is_empty() {
            true => format!("# {} is not set", setting.name),
            false => format!(
                "{} = {}  # {place}",
                setting.name,
                written(setting, &values)
            ),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn written(setting: &Setting, values: &[String]) -> String {
    let quoted = |value: &String| toml::Value::String(value.clone()).to_string();
    match (setting.is_secret, setting.is_list, values) {
        (true, _, _) => format!("\"{HIDDEN}\""),
        (false, false, [value]) => quoted(value),
        (false, _, values) => {
            let values: Vec<String> = values.iter().map(quoted).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

/// What holds where nobody has set it, as one would write it; nothing where there is no such value.
fn default(settings: &Settings, name: &str) -> Vec<String> {
    let addresses = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect();
    let one = |value: String| vec![value];
    match name {
        "data-dir" => one(settings.data_dir.display().to_string()),
        "ssh-listen" => addresses(&settings.ssh_listen),
        "http-listen" => addresses(&settings.http_listen),
        "https-listen" => addresses(&settings.https_listen),
        "base-domain" => settings
            .base_domains
            .iter()
            .map(ToString::to_string)
            .collect(),
        "acme-directory" => one(settings.automatic.directory.clone()),
        "create-apps" => one(settings.creates_apps.to_string()),
        "network-pool" => one(settings.network_pool.to_string()),
        "build-timeout" => one(duration(settings.build_limits.timeout)),
        "takeover-wait" => one(duration(
            settings
                .takeover_wait
                .unwrap_or(settings.build_limits.timeout),
        )),
        "builds-at-once" => one(settings.builds_at_once.to_string()),
        "keep-releases" => one(settings.keep_releases.to_string()),
        "min-free-space" => one(size(settings.disk_floor.bytes)),
        "min-free-percent" => one(settings.disk_floor.percent.to_string()),
        "max-upload" => one(size(settings.upload.total_bytes)),
        "max-upload-entries" => one(settings.upload.entries.to_string()),
        "check-timeout" => one(duration(settings.checks.listen_within)),
        "check-uptime" => one(duration(settings.checks.uptime)),
        "pids-limit" => one(settings.limits.pids.to_string()),
        "stop-grace" => one(duration(settings.stop_grace)),
        "drain" => one(duration(settings.drain)),
        "restart-limit" => one(settings.restart_limit.to_string()),
        "proxy-protocol" => one(settings.proxy_protocol.to_string()),
        "access-log" => one(settings.has_access_log.to_string()),
        "access-log-max-size" => one(size(settings.access_log_bytes)),
        "access-log-queries" => one(settings.access_log.with_queries.to_string()),
        "backup-s3-region" => one(settings.backup_access.region.clone()),
        "log-format" => one(if settings.has_json_log {
            "json"
        } else {
            "text"
        }
        .to_owned()),
        _ => Vec::new(),
    }
}

fn duration(value: Duration) -> String {
    match (value.as_secs(), value.subsec_millis()) {
        (seconds, 0) if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", value.as_millis()),
    }
}

fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1_u64 << 10, "KiB")];
    let unit = units
        .iter()
        .find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match unit {
        Some((factor, unit)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as a default can be written into the file, and changes nothing there.
    #[test]
    fn defaults_are_written_as_they_are_read() {
        let settings = Settings::new(false);
        let mut again = settings.clone();
        for setting in SETTINGS {
            let values = default(&settings, setting.name);
            if !values.is_empty() {
                (setting.apply)(&mut again, &values).unwrap();
                assert_eq!(default(&again, setting.name), values, "{}", setting.name);
            }
        }
        assert_eq!(
            format!("{:?}", again.upload),
            format!("{:?}", settings.upload)
        );
        assert_eq!(again.access_log_bytes, settings.access_log_bytes);
        assert_eq!(again.checks.uptime, settings.checks.uptime);
    }

    #[test]
    fn a_secret_is_not_printed_and_the_last_place_is_named() {
        let origin = |name, place: &str, value: &str| Origin {
            name,
            place: place.to_owned(),
            values: vec![value.to_owned()],
        };
        let text = lines(
            &Settings::new(false),
            &[
                origin("drain", "/etc/mini/mini.toml", "5s"),
                origin("drain", "--drain", "6s"),
                origin("acme-eab-hmac-key", "MINI_ACME_EAB_HMAC_KEY", "c2VjcmV0"),
            ],
        );
        assert!(text.contains("drain = \"6s\"  # --drain\n"), "{text}");
        assert!(text.contains("acme-eab-hmac-key = \"********\"  # MINI_ACME_EAB_HMAC_KEY\n"));
        assert!(!text.contains("c2VjcmV0"));
        assert!(
            text.contains("build-timeout = \"15m\"  # default\n"),
            "{text}"
        );
        assert!(text.contains("# memory-limit is not set\n"), "{text}");
    }
}
