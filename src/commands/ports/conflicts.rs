//! Which port mappings cannot be, and why.

use std::net::SocketAddr;

use crate::commands::{Platform, ServerFacts};
use crate::model::{
    App, AppName, ConfigVars, Kind, PortMapping, PortScheme, Problem, StandardPorts,
};

/// As many as one app may have: each port costs a socket for each thread and address, and somebody has to know what it is
/// for.
const MOST: usize = 50;

/// Refuses mappings that an app cannot have together, and of those that are `new` the ones that this server cannot open.
pub(super) async fn refuse(
    platform: &Platform,
    app: &App,
    after: &[PortMapping],
    new: &[PortMapping],
) -> Result<(), Problem> {
    let standard = &platform.reconciler.rules().standard;
    if let Some(problem) = among(&app.name, after, standard) {
        return Err(problem);
    }
    for mapping in new {
        if let Some(problem) = with_server(*mapping, &platform.facts, standard) {
            return Err(problem);
        }
    }
    refuse_other_port(platform, app, standard.container_port(new)).await?;
    for mapping in new {
        if let Err(why) = platform.reconciler.probe_port(*mapping).await {
            return Err(Problem::new(
                Kind::Unavailable,
                format!("Port {} cannot be opened", mapping.host_port),
                why,
                match mapping.host_port {
                    ..1024 => {
                        "Free it, give the server the right to it, or choose a port from 1024 on"
                    }
                    _ => "Free it, or choose another port",
                },
            ));
        }
    }
    Ok(())
}

/// What contradicts itself among the mappings of one app.
fn among(app: &AppName, all: &[PortMapping], standard: &StandardPorts) -> Option<Problem> {
    for (index, first) in all.iter().enumerate() {
        for second in all.iter().skip(index + 1) {
            if first.host_port == second.host_port {
                return Some(Problem::new(
                    Kind::Taken,
                    format!("Port {} of {app} would lead to two places", first.host_port),
                    format!("{first} and {second} contradict each other"),
                    format!(
                        "Remove one first, `ports:remove {app} {first}`, or give all at once with `ports:set`"
                    ),
                ));
            }
            let is_about_web = standard.has(*first) && standard.has(*second);
            if is_about_web && first.container_port != second.container_port {
                return Some(Problem::new(
                    Kind::Invalid,
                    format!("{first} and {second} contradict each other"),
                    "HTTP and HTTPS at the server's own ports lead to one port of the web processes, their PORT",
                    "Give both the same container port, or another host port to one of them",
                ));
            }
        }
    }
    (all.len() > MOST).then(|| {
        Problem::new(
            Kind::Invalid,
            format!("{app} would have {} ports", all.len()),
            format!("an app may have {MOST}"),
            format!("Remove some: `ports:remove {app} PORT`"),
        )
    })
}

/// What the server itself has the port for.
fn with_server(
    mapping: PortMapping,
    facts: &ServerFacts,
    standard: &StandardPorts,
) -> Option<Problem> {
    let port = mapping.host_port;
    let refused = |why: String, next: String| {
        let what = format!("Port {port} cannot be opened for {}", mapping.scheme);
        Some(Problem::new(Kind::Taken, what, why, next))
    };
    let listens = |addresses: &[SocketAddr]| addresses.iter().any(|it| it.port() == port);
    let choose = || "Choose another port".to_owned();
    if let Some(own) = standard
        .scheme_of(port)
        .filter(|own| *own != mapping.scheme)
    {
        return refused(
            format!("it is the server's own port for {own}"),
            format!(
                "Choose another port, or write {own}:{port}:{}",
                mapping.container_port
            ),
        );
    }
    if mapping.scheme == PortScheme::Https && standard.https.is_empty() {
        return refused(
            "HTTPS is turned off on this server".to_owned(),
            "Give it an address, `https-listen` in the server's settings, or use http".to_owned(),
        );
    }
    if standard.has(mapping) {
        return None;
    }
    if listens(&facts.ssh) {
        return refused("SSH of this server listens there".to_owned(), choose());
    }
    if listens(&facts.metrics) {
        return refused(
            "the figures of this server for monitoring are served there".to_owned(),
            choose(),
        );
    }
    None
}

/// The config var PORT goes before a mapping.
async fn refuse_other_port(
    platform: &Platform,
    app: &App,
    container_port: Option<u16>,
) -> Result<(), Problem> {
    let Some(port) = container_port else {
        return Ok(());
    };
    let says_other = |config: &ConfigVars| {
        let mut vars = config.iter();
        let var = vars.find(|(key, _)| key.as_str() == "PORT");
        var.map(|(_, value)| value.reveal().trim() != port.to_string())
    };
    let name = &app.name;
    let refused = |why: &str, next: String| {
        let what = format!("The web processes of {name} cannot be told to listen on {port}");
        Err(Problem::new(Kind::Taken, what, why, next))
    };
    // What an app has of its own goes before what all have.
    match says_other(&platform.store.config(app.id).await?) {
        Some(true) => refused(
            "the config var PORT says another port",
            format!("Remove it first: `config:unset {name} PORT --no-restart`"),
        ),
        Some(false) => Ok(()),
        None => match says_other(&platform.store.global_config().await?) {
            Some(true) => refused(
                "the config var PORT that all apps have says another port",
                format!(
                    "Give the app its own, `config:set {name} PORT={port} --no-restart`, or remove that of all apps: `config:unset --global PORT --no-restart`"
                ),
            ),
            Some(false) | None => Ok(()),
        },
    }
}

/// Another app has the port for the other scheme.
pub(super) fn other_scheme(port: &str, by: &AppName) -> Problem {
    Problem::new(
        Kind::Taken,
        format!("Port {port} is taken"),
        format!("the app {by} has it for the other scheme, and a port speaks one"),
        format!(
            "Use the same scheme, for apps may share a port, or choose another: `ports:list {by}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn facts() -> ServerFacts {
        let parse = |text: &str| vec![text.parse().unwrap()];
        ServerFacts {
            data_dir: "/x".into(),
            settings_file: None,
            ssh: parse("0.0.0.0:2222"),
            http: parse("0.0.0.0:80"),
            metrics: parse("127.0.0.1:9100"),
            https: parse("0.0.0.0:443"),
            base_domains: Vec::new(),
            certificate_authority: None,
            creates_apps: true,
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn standard(facts: &ServerFacts) -> StandardPorts {
        StandardPorts {
            http: facts.http.clone(),
            https: facts.https.clone(),
        }
    }

    #[track_caller]
    fn check_server(facts: &ServerFacts, mapping: &str, expected: Option<&str>) {
        let problem = with_server(mapping.parse().unwrap(), facts, &standard(facts));
        let why = problem.as_ref().map(|problem| problem.why.as_str());
        assert_eq!(why, expected, "{mapping}");
    }

    #[test]
    fn what_the_server_has_for_itself_is_refused() {
        let mut facts = facts();
        for mapping in [
            "http:8080:5000",
            "https:8443:5000",
            "http:80:1",
            "https:443:1",
        ] {
            check_server(&facts, mapping, None);
        }
        let ssh = "SSH of this server listens there";
        check_server(&facts, "http:2222:5000", Some(ssh));
        let metrics = "the figures of this server for monitoring are served there";
        check_server(&facts, "http:9100:5000", Some(metrics));
        let own = "it is the server's own port for https";
        check_server(&facts, "http:443:5000", Some(own));
        facts.https.clear();
        let off = "HTTPS is turned off on this server";
        check_server(&facts, "https:8443:5000", Some(off));
        check_server(&facts, "https:443:5000", Some(off));
    }

    #[test]
    fn mappings_of_one_app_must_not_contradict_each_other() {
        let app = "shop".parse().unwrap();
        let check = |list: &[&str], expected: Option<Kind>| {
            let all: Vec<PortMapping> = list.iter().map(|text| text.parse().unwrap()).collect();
            let problem = among(&app, &all, &standard(&facts()));
            assert_eq!(problem.map(|it| it.kind), expected, "{list:?}");
        };
        check(&["http:80:5000", "https:443:5000", "http:8080:5001"], None);
        check(&["http:8080:5000", "http:8080:5001"], Some(Kind::Taken));
        check(&["http:8080:5000", "https:8080:5000"], Some(Kind::Taken));
        check(&["http:80:5000", "https:443:5001"], Some(Kind::Invalid));
        let many: Vec<String> = (9000..9051).map(|port| format!("http:{port}:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, Some(Kind::Invalid));
        check(&many[1..], None);
    }
}
