//! A table made of arbitrary routes, and a request: where it goes is what a slow reading of the rules says; redirects are one line.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mini_proxy::{
    Destination, HostPattern, PathPrefix, PathRoute, RouteTable, Service, Target, Unrouted, fuzzing,
};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    routes: Vec<Route<'a>>,
    host: &'a str,
    path: &'a str,
    destination: &'a str,
}

#[derive(Arbitrary, Debug)]
struct Route<'a> {
    host: Name<'a>,
    path: Option<Path<'a>>,
    is_removed: bool,
}

/// Mostly few names, so that routes and requests meet.
#[derive(Arbitrary, Debug)]
enum Name<'a> {
    A,
    B,
    AboveA,
    AboveB,
    BelowA,
    Other(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Path<'a> {
    X,
    Y,
    XY,
    Other(&'a str),
}

impl Name<'_> {
    fn text(&self) -> &str {
        match self {
            Name::A => "a.test",
            Name::B => "b.a.test",
            Name::AboveA => "*.test",
            Name::AboveB => "*.a.test",
            Name::BelowA => "c.a.test",
            Name::Other(text) => text,
        }
    }
}

impl Path<'_> {
    fn text(&self) -> &str {
        match self {
            Path::X => "/x",
            Path::Y => "/y",
            Path::XY => "/x/y",
            Path::Other(text) => text,
        }
    }
}

/// Hosts as their patterns are written, each with what its paths lead to; "" is the whole host.
type Slow = BTreeMap<String, BTreeMap<String, String>>;

fuzz_target!(|input: Input<'_>| {
    let mut table = RouteTable::default();
    let mut slow = Slow::new();
    for (number, route) in input.routes.iter().enumerate() {
        let Ok(host) = route.host.text().parse::<HostPattern>() else {
            continue;
        };
        assert_eq!(
            host.to_string().parse::<HostPattern>().as_ref(),
            Ok(&host),
            "a pattern reads as it is written"
        );
        let written = host.to_string();
        if route.is_removed {
            assert_eq!(
                table.remove(&host).is_some(),
                slow.remove(&written).is_some()
            );
            continue;
        }
        let name = format!("service-{number}");
        let service = Arc::new(Service::serving(name.clone(), []));
        match &route.path {
            None => {
                table.insert(host, service);
                slow.entry(written).or_default().insert(String::new(), name);
            }
            Some(path) => {
                let Ok(prefix) = path.text().parse::<PathPrefix>() else {
                    continue;
                };
                slow.entry(written)
                    .or_default()
                    .insert(prefix.to_string(), name);
                let target = Target::Service(service);
                table.insert_path(
                    host,
                    PathRoute {
                        prefix,
                        is_stripped: number % 2 == 0,
                        target,
                    },
                );
            }
        }
    }
    assert_eq!(table.len(), slow.len());
    let chosen = table.choose(input.host, input.path);
    assert_eq!(
        chosen.map(|chosen| chosen.target.name()),
        choose(&slow, input.host, input.path),
        "{slow:?} {:?} {:?}",
        input.host,
        input.path
    );
    if let Ok(chosen) = chosen
        && let Some(route) = chosen.path
    {
        let rest = fuzzing::strip(&route.prefix, input.path);
        assert!(
            rest.starts_with('/') && !rest.starts_with("//") && !rest.starts_with("/\\"),
            "{rest:?}"
        );
        assert!(
            input.path.ends_with(rest.trim_start_matches('/')),
            "{rest:?} is the end of {:?}",
            input.path
        );
    }
    check_redirect(&input);
});

fn choose<'a>(slow: &'a Slow, host: &str, path: &str) -> Result<&'a str, Unrouted> {
    let name = name_of(host).ok_or(Unrouted::Malformed)?;
    assert_eq!(fuzzing::routing_name(host).as_ref(), Some(&name));
    let above = name
        .split_once('.')
        .filter(|(label, _)| !label.is_empty())
        .map(|(_, above)| format!("*.{above}"));
    let levels = [slow.get(&name), above.and_then(|above| slow.get(&above))];
    // A host that leaves nothing open asks no path at all.
    if let Some(exact) = levels[0]
        && exact.len() == 1
        && let Some(whole) = exact.get("")
    {
        return Ok(whole);
    }
    let lead = |path: &[u8]| {
        levels.iter().flatten().find_map(|routes| {
            let fits = |prefix: &&String| {
                path.strip_prefix(prefix.as_bytes())
                    .is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
            };
            let longest = routes
                .keys()
                .filter(|prefix| !prefix.is_empty())
                .filter(fits)
                .max_by_key(|prefix| prefix.len());
            longest
                .and_then(|prefix| routes.get(prefix))
                .or_else(|| routes.get(""))
        })
    };
    let path = if path.starts_with('/') { path } else { "/" };
    let (written, resolved) = (lead(&written(path)), lead(&resolved(path)));
    if written.map(String::as_str) != resolved.map(String::as_str) {
        return Err(Unrouted::Ambiguous);
    }
    written.map(String::as_str).ok_or(Unrouted::Unknown)
}

/// RFC 3986 section 3.2.2 and what we allow of it: no user, a port of digits, one dot at the end is no part of the name.
fn name_of(host: &str) -> Option<String> {
    let (name, port) = if host.starts_with('[') {
        let end = host.find(']')?;
        (&host[..=end], &host[end + 1..])
    } else {
        let end = host.find(':').unwrap_or(host.len());
        (&host[..end], &host[end..])
    };
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()));
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = match name.strip_prefix('[') {
        Some(rest) => {
            rest.len() > 1
                && rest.ends_with(']')
                && rest[..rest.len() - 1]
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        }
        // What a URL may have for a host, in either direction.
        None => {
            !name.is_empty()
                && !name
                    .contains(|c: char| !c.is_ascii_graphic() || "/@?#,\\<>\"^`{|}[]:".contains(c))
        }
    };
    (is_port && is_name).then(|| name.to_ascii_lowercase())
}

fn undone(path: &str, slash: bool) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes
            .get(at + 1..at + 3)
            .filter(|code| bytes[at] == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let code =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code.filter(|code| slash || *code != b'/') {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

fn written(path: &str) -> Vec<u8> {
    undone(path, false)
}

fn resolved(path: &str) -> Vec<u8> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in undone(path, true).split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment: Vec<u8> = segment
            .iter()
            .copied()
            .take_while(|byte| *byte != b';')
            .collect();
        if segment == b".." {
            segments.pop();
        } else if !segment.is_empty() && segment != b"." {
            segments.push(segment);
        }
    }
    segments
        .iter()
        .flat_map(|segment| [b"/".as_slice(), segment].concat())
        .collect()
}

fn check_redirect(input: &Input<'_>) {
    let Ok(to) = input.destination.parse::<Destination>() else {
        return;
    };
    assert_eq!(
        to.to_string().parse::<Destination>().as_ref(),
        Ok(&to),
        "a destination reads as it is written"
    );
    // What hyper takes for a target and what routing takes for a host is all that gets here.
    let (Ok(target), Some(_)) = (
        input.path.parse::<http::Uri>(),
        fuzzing::routing_name(input.host),
    ) else {
        return;
    };
    let Ok(prefix) = "/x".parse::<PathPrefix>() else {
        return;
    };
    for prefix in [None, Some(&prefix).filter(|_| input.path.starts_with("/x"))] {
        let location = fuzzing::location(&to, input.host, &target, prefix);
        assert!(
            !location.contains(|c: char| c.is_ascii_control() || c == ' '),
            "{location:?}"
        );
        assert!(
            http::HeaderValue::try_from(&location).is_ok(),
            "{location:?}"
        );
        let (scheme, rest) = location.split_once("://").expect("it is a URL");
        assert!(matches!(scheme, "http" | "https"), "{location:?}");
        // No path may change whose address it is.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = to.host().map_or(input.host, mini_proxy::Host::as_str);
        assert!(
            rest[..end].starts_with(host) && !rest[..end].contains(['@', '\\']),
            "{location:?} leads to {host:?}"
        );
    }
}
