//! `mini doctor` where no server runs: what it would do by its settings, for [`Doctor::without_server`] to look at.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use super::settings::{self, DATA_DIR, Settings, Sources, home_data_dir};
use crate::commands::doctor::{Doctor, Findings, Place, Unserved};
use crate::engine::{DockerEngine, DockerSettings};

/// Looks at this machine for the server of a data directory.
pub(super) async fn look(doctor: Doctor, data_dir: &Path) -> Findings {
    let nothing = format!(
        "is not running: nothing answers at {}/run/api.sock",
        data_dir.display()
    );
    let (settings, why) = match read(data_dir) {
        Ok(settings) => (Some(settings), nothing),
        Err(mistakes) => (
            None,
            format!("{nothing}, and its settings are wrong: {mistakes}"),
        ),
    };
    let settings = settings.unwrap_or_else(|| Settings {
        data_dir: data_dir.to_owned(),
        ..Settings::new(false)
    });
    let engine = DockerEngine::connect(DockerSettings {
        socket: settings.docker_socket.clone(),
        // Only its version is asked for.
        ..DockerSettings::new("none")
    });
    let unserved = Unserved {
        data_dir: data_dir.to_owned(),
        why,
        places: places(&settings),
        base_domains: settings.base_domains,
        disk_floor: settings.disk_floor,
    };
    doctor.without_server(&unserved, &engine).await
}

/// The settings that a server of this data directory would have; all mistakes in one line.
fn read(data_dir: &Path) -> Result<Settings, String> {
    let mut words: Vec<OsString> = vec!["server".into(), "--data-dir".into(), data_dir.into()];
    if home_data_dir(|name| std::env::var_os(name)).is_some_and(|own| own == data_dir) {
        words.push("--dev".into());
    }
    let flags = settings::flags()
        .try_get_matches_from(words)
        .map_err(|error| error.to_string())?;
    let sources = Sources {
        flags: &flags,
        variable: &|name| std::env::var_os(name),
        file: &|path| fs::read_to_string(path),
    };
    settings::read(&sources).map_err(|mistakes| mistakes.0.join("; "))
}

/// Where it would listen: on what its units of systemd say where those are, else on what its settings say.
fn places(settings: &Settings) -> Vec<Place> {
    let mut places = Vec::new();
    for (role, addresses) in [
        ("ssh", &settings.ssh_listen),
        ("http", &settings.http_listen),
        ("https", &settings.https_listen),
    ] {
        let unit = format!("mini-{role}.socket");
        // Those of systemd belong to the installed server.
        let of_unit = match settings.data_dir == Path::new(DATA_DIR) {
            true => listens(&unit),
            false => Vec::new(),
        };
        let elsewhere = match of_unit.is_empty() {
            true => format!("choose another port: `--{role}-listen`"),
            false => format!("choose another port: `systemctl edit {unit}`"),
        };
        let addresses = match of_unit.is_empty() {
            true => addresses.clone(),
            false => of_unit,
        };
        places.extend(addresses.into_iter().map(|address| Place {
            role,
            address,
            elsewhere: elsewhere.clone(),
        }));
    }
    places
}

/// What a socket unit listens on (`Listen=[::]:80 (Stream)` for each address); nothing where it or systemd is not there.
fn listens(unit: &str) -> Vec<SocketAddr> {
    let said = Command::new("systemctl")
        .args(["show", unit, "--property=Listen", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let said = said.map(|said| said.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said)
        .lines()
        .filter_map(address)
        .collect()
}

fn address(listen: &str) -> Option<SocketAddr> {
    let (text, kind) = listen.split_once(' ')?;
    let address = text.parse().ok().or_else(|| {
        Some(SocketAddr::from((
            Ipv6Addr::UNSPECIFIED,
            text.parse().ok()?,
        )))
    });
    address.filter(|_| kind == "(Stream)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_systemd_prints_them() {
        for (text, expected) in [
            ("[::]:80 (Stream)", Some("[::]:80")),
            ("192.0.2.1:2222 (Stream)", Some("192.0.2.1:2222")),
            ("80 (Stream)", Some("[::]:80")),
            ("/run/x.sock (Stream)", None),
            ("[::]:80 (Datagram)", None),
            ("", None),
        ] {
            let expected = expected.map(|it| it.parse().unwrap());
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
