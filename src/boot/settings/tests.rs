use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::*;

/// Reads settings from a file's content, variables and flags.
fn read_all(
    file: &str,
    variables: &[(&str, &str)],
    words: &[&str],
) -> Result<Settings, Vec<String>> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let all = std::iter::once("server").chain(words.iter().copied());
    let flags = flags().try_get_matches_from(all).unwrap();
    let sources = Sources {
        flags: &flags,
        variable: &|name| variables.get(name).map(OsString::from),
        file: &|path| {
            if path == Path::new(FILE) && !file.is_empty() {
                Ok(file.to_owned())
            } else {
                Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
            }
        },
    };
    read(&sources).map_err(|mistakes| mistakes.0)
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let file =
        "ssh-listen = [\"1.1.1.1:1\", \"2.2.2.2:2\"]\nbuild-timeout = \"5m\"\nkeep-releases = 7";
    let variables = [
        ("MINI_SSH_LISTEN", "3.3.3.3:3, 4.4.4.4:4"),
        ("MINI_KEEP_RELEASES", "8"),
    ];
    let settings = read_all(file, &variables, &["--keep-releases", "9"]).unwrap();
    assert_eq!(settings.ssh_listen, addresses(&["3.3.3.3:3", "4.4.4.4:4"]));
    assert_eq!(settings.build_limits.timeout, Duration::from_secs(300));
    assert_eq!(settings.keep_releases, 9);
}

#[test]
fn dev_changes_defaults_only() {
    let settings = read_all("", &[], &["--dev", "--http-listen", "127.0.0.1:0"]).unwrap();
    assert_eq!(settings.ssh_listen, addresses(&["127.0.0.1:2222"]));
    assert_eq!(settings.http_listen, addresses(&["127.0.0.1:0"]));
    assert_eq!(settings.https_listen, addresses(&["127.0.0.1:8443"]));
    assert_eq!(settings.base_domains, ["localhost".parse().unwrap()]);
    let base_domains = |file: &str, variables: &[(&str, &str)]| {
        let settings = read_all(file, variables, &[]).unwrap();
        settings.base_domains.len()
    };
    assert_eq!(base_domains("dev = true", &[]), 1);
    assert_eq!(base_domains("dev = true", &[("MINI_DEV", "0")]), 0);
    assert_eq!(base_domains("", &[]), 0);
}

#[test]
fn https_is_on_unless_it_is_turned_off() {
    let https = |file: &str, words: &[&str]| {
        let settings = read_all(file, &[], words).unwrap();
        let ports = settings.https_listen.iter().map(SocketAddr::port);
        ports.collect::<Vec<_>>()
    };
    assert_eq!(https("", &[]), [443]);
    assert!(https("https-listen = \"off\"", &[]).is_empty());
    let flag = ["--https-listen", "[::1]:4433"];
    assert_eq!(https("https-listen = \"off\"", &flag), [4433]);
    let both = ["--https-listen", "off", "--https-listen", "[::1]:1"];
    let mistakes = read_all("", &[], &both).unwrap_err();
    assert!(
        mistakes[0].contains("`off` is not an address"),
        "{mistakes:?}"
    );
}

#[test]
fn all_mistakes_are_told_together_each_with_its_place() {
    let file = "ssh-listn = \"x\"\npids-limit = 0\nmemory-limit = 1.5";
    let variables = [("MINI_HTTP_LISTEN", "nowhere"), ("MINI_DRAIN", "soon")];
    let words = ["--base-domain", "A B", "--stop-grace", "1y"];
    let mistakes = read_all(file, &variables, &words).unwrap_err();
    insta::assert_snapshot!(mistakes.join("\n"), @r"
    /etc/mini/mini.toml: `memory-limit` is a text, a number, true or false, or a list of these
    /etc/mini/mini.toml: there is no setting `ssh-listn`, did you mean `ssh-listen`?
    MINI_HTTP_LISTEN: `nowhere` is not an address, give ADDR:PORT such as 0.0.0.0:2222 or [::]:2222
    --base-domain: `A B` is not a domain, give a name such as apps.example.com
    /etc/mini/mini.toml: pids-limit: `0` is not a number from 1 to 4194304
    --stop-grace: `1y` is not a duration, give one such as 30s, 15m or 500ms
    MINI_DRAIN: `soon` is not a duration, give one such as 30s, 15m or 500ms
    ");
}

#[test]
fn a_file_that_was_named_must_be_there_and_be_toml() {
    let mistakes = read_all("", &[], &["--config", "/x/y.toml"]).unwrap_err();
    assert_eq!(mistakes, ["/x/y.toml: no such file"]);
    let mistakes = read_all("ssh-listen = [", &[], &[]).unwrap_err();
    assert!(
        mistakes[0].starts_with("/etc/mini/mini.toml: "),
        "{mistakes:?}"
    );
    assert_eq!(mistakes.len(), 1);
}

#[test]
fn mirrors_may_be_a_table() {
    let file = "[image-mirror]\nnode = \"registry.lan/node\"\n\"python\" = \"registry.lan/python\"";
    let settings = read_all(file, &[], &[]).unwrap();
    assert_eq!(settings.image_mirrors["node"], "registry.lan/node");
    assert_eq!(settings.image_mirrors.len(), 2);
}

#[test]
fn a_table_of_versions_is_read_at_once_and_its_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("versions.toml");
    let file = format!("versions-file = \"{}\"", path.display());
    let mistakes = read_all(&file, &[], &[]).unwrap_err();
    assert!(mistakes[0].contains("cannot be read"), "{mistakes:?}");
    std::fs::write(&path, "date = \"2026-11-20\"\nsource = = \"x\"\n").unwrap();
    let mistakes = read_all(&file, &[], &[]).unwrap_err();
    assert!(
        mistakes[0].contains("versions.toml`: line 2"),
        "{mistakes:?}"
    );
    let table = "[node]\ndefault = \"22\"\nlines = [{ version = \"22\", latest = \"22.1.0\" }]\n";
    let text = format!("date = \"2026-11-20\"\nsource = \"our mirror\"\n\n{table}");
    std::fs::write(&path, text).unwrap();
    assert!(read_all(&file, &[], &[]).unwrap().versions.is_some());
}

#[test]
fn every_setting_is_a_flag_with_a_help_line() {
    flags().debug_assert();
}

#[test]
fn automatic_certificates_need_what_belongs_together() {
    let file = "acme-email = \"ops@example.com\"\nacme-eab-hmac-key = \"c2VjcmV0\"\nhttps-listen = \"off\"";
    let mistakes = read_all(file, &[("MINI_ACME_CHALLENGE", "http-01,dns-01")], &[]).unwrap_err();
    insta::assert_snapshot!(mistakes.join("\n"), @r"
    acme-email: certificates are of no use while https-listen is off
    acme-eab-kid and acme-eab-hmac-key: an account is bound with both or not at all
    acme-challenge: dns-01 needs a program that sets records, give acme-dns-hook
    ");
    let file = "acme-email = \"ops@example.com\"";
    let key = [("MINI_ACME_EAB_HMAC_KEY", "c2VjcmV0")];
    let settings = read_all(file, &key, &["--acme-eab-kid", "kid-1"]).unwrap();
    let settings = settings.automatic.settings().unwrap();
    assert_eq!(settings.authority.email, "ops@example.com");
    assert_eq!(*settings.authority.binding.unwrap().hmac_key, b"secret");
}

#[test]
fn trusted_proxies_are_addresses_and_ranges_and_all_that_are_none_are_told() {
    let proxies = |file: &str, variables: &[(&str, &str)], words: &[&str]| {
        let settings = read_all(file, variables, words).unwrap();
        assert!(!settings.proxy_protocol);
        let shown = settings.trusted_proxies.iter();
        let shown = shown.map(|network| format!("{}/{}", network.address, network.prefix));
        shown.collect::<Vec<_>>()
    };
    assert!(proxies("", &[], &[]).is_empty());
    let file = "trusted-proxies = [\"10.0.0.5\", \"10.1.2.3/16\", \"2001:db8::/32\"]";
    let expected = ["10.0.0.5/32", "10.1.0.0/16", "2001:db8::/32"];
    assert_eq!(proxies(file, &[], &[]), expected);
    let variable = [("MINI_TRUSTED_PROXIES", "::1, 192.0.2.0/24")];
    assert_eq!(proxies(file, &variable, &[]), ["::1/128", "192.0.2.0/24"]);
    let flags = [
        "--trusted-proxies",
        "::/0",
        "--trusted-proxies",
        "0.0.0.0/0",
    ];
    assert_eq!(proxies(file, &variable, &flags), ["::/0", "0.0.0.0/0"]);

    let file = "trusted-proxies = [\"10.0.0.0/33\", \"10.0.0.1\", \"lb.example.com\"]\nproxy-protocol = \"v2\"";
    let variable = [("MINI_TRUSTED_PROXIES", "10.0.0.0/8,,::1/200")];
    insta::assert_snapshot!(read_all(file, &variable, &[]).unwrap_err().join("\n"), @r"
    /etc/mini/mini.toml: trusted-proxies: `10.0.0.0/33`, `lb.example.com`: no address and no range of addresses, give such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32
    MINI_TRUSTED_PROXIES: `::1/200`: no address and no range of addresses, give such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32
    /etc/mini/mini.toml: proxy-protocol: `v2` is neither true nor false
    ");
}

#[test]
fn the_proxy_protocol_needs_to_know_who_speaks_it() {
    let mistakes = read_all("", &[], &["--proxy-protocol", "on"]).unwrap_err();
    insta::assert_snapshot!(mistakes.join("\n"), @"proxy-protocol: nobody is believed about whose connection it hands on; name the proxies that do so in trusted-proxies");
    let flags = ["--proxy-protocol", "on", "--trusted-proxies", "10.0.0.5"];
    assert!(read_all("", &[], &flags).unwrap().proxy_protocol);
}

#[test]
fn every_setting_is_a_variable_of_the_ansible_role() {
    // Fixed by its units, or given in another form.
    const OTHERWISE: [&str; 5] = [
        "data-dir",
        "ssh-listen",
        "http-listen",
        "https-listen",
        "authorized-key",
    ];
    let written = include_str!("../../../ansible/roles/mini/vars/main.yml");
    let described = include_str!("../../../ansible/roles/mini/meta/argument_specs.yml");
    for setting in super::catalogue::SETTINGS {
        let name = setting.name;
        if OTHERWISE.contains(&name) {
            continue;
        }
        assert!(written.contains(&format!("\n  - {name}\n")), "{name}");
        let variable = format!("\n      mini_{}:\n", name.replace('-', "_"));
        assert!(described.contains(&variable), "{name}");
    }
}

#[test]
fn the_own_data_directory_is_where_programs_of_a_user_keep_theirs() {
    let check = |variables: &[(&str, &str)], expected: Option<&str>| {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let found = home_data_dir(|name| variables.get(name).map(OsString::from));
        assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
    };
    check(&[("HOME", "/home/me")], Some("/home/me/.local/share/mini"));
    check(
        &[("HOME", "/home/me"), ("XDG_DATA_HOME", "/data")],
        Some("/data/mini"),
    );
    check(
        &[("HOME", "/home/me"), ("XDG_DATA_HOME", "data")],
        Some("/home/me/.local/share/mini"),
    );
    check(&[], None);
}

#[test]
fn a_secret_is_taken_from_a_credential_and_nothing_else_is() {
    let flags = flags().try_get_matches_from(["server"]).unwrap();
    let read_with = |variables: &[(&str, &str)], name: &str, content: &str| {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let credential = Path::new("/run/credentials/mini.service").join(name);
        read(&Sources {
            flags: &flags,
            variable: &|name| variables.get(name).map(OsString::from),
            file: &|path| match path == credential {
                true => Ok(content.to_owned()),
                false => Err(io::ErrorKind::NotFound.into()),
            },
        })
        .map_err(|mistakes| mistakes.0)
    };
    let variables = [
        ("CREDENTIALS_DIRECTORY", "/run/credentials/mini.service"),
        ("MINI_ACME_EAB_KID", "kid"),
    ];
    let name = "mini.acme-eab-hmac-key";
    let settings = read_with(&variables, name, "c2VjcmV0\n").unwrap();
    let key = settings.automatic.eab_hmac_key.unwrap();
    assert_eq!(key.as_slice(), b"secret");
    let mistakes = read_with(&variables, name, "???").unwrap_err();
    assert!(mistakes[0].starts_with("the credential mini.acme-eab-hmac-key: "));
    assert!(!mistakes[0].contains("???"), "{mistakes:?}");
    let read_unreadable = |variables: &[(&str, &str)]| {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        read(&Sources {
            flags: &flags,
            variable: &|name| variables.get(name).map(OsString::from),
            file: &|path| match path.starts_with("/run/credentials") {
                true => Err(io::ErrorKind::PermissionDenied.into()),
                false => Err(io::ErrorKind::NotFound.into()),
            },
        })
        .map_err(|mistakes| mistakes.0)
    };
    // systemd 252 in some containers; where the secret is needed, that is said.
    assert!(read_unreadable(&variables[..1]).is_ok());
    assert!(read_unreadable(&variables).unwrap_err()[0].contains("bound with both"));
    // Without systemd, and for a setting that is no secret.
    assert!(read_with(&variables[1..], name, "c2VjcmV0").is_err());
    assert!(read_with(&variables[..1], "mini.drain", "1s").is_ok_and(|s| s.drain.as_secs() == 60));
}
