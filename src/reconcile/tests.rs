//! Rules of the plan, and two properties: a satisfied world needs nothing, and carrying out plans satisfies the world.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::{Hsts, RouteTable};
use proptest::prelude::*;

use super::addresses::Addresses;
use super::plan::{self, Action, Crash, Observed, Plan, ProcessKey, Refusal, Rules};
use super::routes::Routing;
use crate::engine::{Limits, Process, ProcessId, ProcessState};
use crate::model::{
    App, AppId, AppProxy, ConfigVars, Domain, ProcessType, Release, ReleaseStatus, ReleaseVersion,
    Scale, Timestamp, Trigger,
};
use crate::store::Desired;

mod ports;

fn rules() -> Rules {
    Rules {
        stop_grace: Duration::from_secs(30),
        drain: Duration::from_secs(60),
        limits: Limits {
            memory_bytes: None,
            pids: 1024,
        },
        restart_limit: 10,
        base_domains: vec!["localhost".parse().unwrap()],
        https_port: Some(443),
        has_wildcards: false,
        standard: Default::default(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn process_type(name: &str) -> ProcessType {
    name.parse().unwrap()
}

fn app(id: i64, name: &str) -> App {
    App {
        id: AppId(id),
        name: name.parse().unwrap(),
        created_at: at(0),
        deploy_branch: None,
        is_stopped: false,
        current: None,
    }
}

fn release(app: i64, version: u32, status: ReleaseStatus, types: &[&str]) -> Release {
    Release {
        app: AppId(app),
        version: ReleaseVersion(version),
        status,
        image: format!("sha256:{version:064x}").parse().unwrap(),
        commit: None,
        processes: types
            .iter()
            .map(|name| (process_type(name), None))
            .collect(),
        release_command: None,
        port: 5000,
        checks: BTreeMap::new(),
        config: ConfigVars::new(),
        trigger: Trigger::Push,
        description: String::new(),
        actor: "me".to_owned(),
        created_at: at(0),
        drain_until: (status == ReleaseStatus::Draining).then(|| at(60)),
    }
}

fn process(id: &str, app: &str, version: u32, name: &str, index: u16) -> Process {
    Process {
        id: ProcessId(id.to_owned()),
        app: app.parse().unwrap(),
        release: ReleaseVersion(version),
        process_type: process_type(name),
        index,
        state: ProcessState::Running,
        address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))),
        started_at: Some(at(0)),
    }
}

fn exited(mut process: Process) -> Process {
    process.state = ProcessState::Exited {
        code: 1,
        is_out_of_memory: false,
        at: Some(at(1)),
    };
    process
}

fn desired(apps: Vec<App>, releases: Vec<Release>) -> Desired {
    Desired {
        apps: apps.into(),
        releases: releases.into(),
        ..Desired::default()
    }
}

fn table(desired: &Desired, observed: &Observed, rules: &Rules, now: Timestamp) -> RouteTable {
    let mut addresses = Addresses::new(Arc::new(rules.clone()));
    let mut routing = Routing::default();
    routing.note(&addresses.follow(&Arc::new(desired.clone())));
    routing.follow(&addresses, observed, rules, now).clone()
}

fn plan(desired: &Desired, observed: &Observed, rules: &Rules, now: Timestamp) -> Plan {
    let table = table(desired, observed, rules, now);
    plan::plan(desired, observed, &table, rules, now)
}

/// The plan without its routes, as short words.
fn words(plan: &Plan) -> Vec<String> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::SetRoutes(_) => None,
            Action::Start { group, index } => Some(format!(
                "start {} {} {}.{index}",
                group.app, group.release, group.process_type
            )),
            Action::Restart(id) => Some(format!("restart {}", id.0)),
            Action::Stop(id) => Some(format!("stop {}", id.0)),
            Action::Remove(id) => Some(format!("remove {}", id.0)),
            Action::Retire(app, version) => Some(format!("retire {} {version}", app.0)),
        })
        .collect()
}

fn check(desired: &Desired, observed: &Observed, expected: &[&str]) -> Plan {
    let plan = plan(desired, observed, &rules(), at(10));
    assert_eq!(words(&plan), expected);
    plan
}

fn seen(processes: Vec<Process>) -> Observed {
    Observed {
        processes,
        ..Observed::default()
    }
}

#[test]
fn a_current_release_runs_one_web_and_no_worker_unless_scaled() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["web", "worker"])],
    );
    check(&world, &seen(vec![]), &["start shop v3 web.1"]);
    *world.scales = vec![(
        AppId(1),
        Scale([(process_type("web"), 2), (process_type("worker"), 1)].into()),
    )];
    check(
        &world,
        &seen(vec![process("a", "shop", 3, "web", 1)]),
        &["start shop v3 web.2", "start shop v3 worker.1"],
    );
}

#[test]
fn a_stopped_app_runs_nothing_but_a_pushed_candidate_is_started() {
    let mut shop = app(1, "shop");
    shop.is_stopped = true;
    let mut candidate = release(1, 4, ReleaseStatus::Candidate, &["web"]);
    let current = release(1, 3, ReleaseStatus::Current, &["web"]);
    let world = desired(vec![shop.clone()], vec![current.clone(), candidate.clone()]);
    check(
        &world,
        &seen(vec![process("a", "shop", 3, "web", 1)]),
        &["stop a", "start shop v4 web.1"],
    );
    candidate.trigger = Trigger::Config;
    check(
        &desired(vec![shop], vec![current, candidate]),
        &seen(vec![]),
        &[],
    );
}

#[test]
fn processes_of_unknown_apps_and_forgotten_releases_go() {
    let world = desired(vec![app(1, "shop")], vec![]);
    check(
        &world,
        &seen(vec![
            process("a", "gone", 1, "web", 1),
            exited(process("b", "shop", 1, "web", 1)),
        ]),
        &["stop a", "remove b"],
    );
}

#[test]
fn an_ended_process_is_started_again_with_waits_and_not_for_ever() {
    let world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["web"])],
    );
    let mut observed = seen(vec![exited(process("a", "shop", 3, "web", 1))]);
    check(&world, &observed, &["restart a"]);
    let crash = |count, second| {
        BTreeMap::from([(
            ProcessId("a".into()),
            Crash {
                count,
                restart_at: at(second),
            },
        )])
    };
    observed.crashes = crash(3, 12);
    let plan = check(&world, &observed, &[]);
    assert_eq!(plan.look_again_at, Some(at(12)));
    observed.crashes = crash(11, 5);
    assert_eq!(check(&world, &observed, &[]).look_again_at, None);
}

#[test]
fn a_candidate_gets_one_chance() {
    let world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Candidate, &["web"])],
    );
    check(
        &world,
        &seen(vec![exited(process("a", "shop", 3, "web", 1))]),
        &[],
    );
    let mut observed = seen(vec![]);
    let key = ProcessKey {
        app: "shop".parse().unwrap(),
        release: ReleaseVersion(3),
        process_type: process_type("web"),
        index: 1,
    };
    let refusal = Refusal {
        count: 1,
        retry_at: at(5),
        why: "no".to_owned(),
    };
    observed.refusals = BTreeMap::from([(key, refusal)]);
    check(&world, &observed, &[]);
}

#[test]
fn a_draining_release_finishes_its_requests_first() {
    let world = desired(
        vec![app(1, "shop")],
        vec![
            release(1, 2, ReleaseStatus::Draining, &["web"]),
            release(1, 3, ReleaseStatus::Current, &["web"]),
        ],
    );
    let mut observed = seen(vec![
        process("old", "shop", 2, "web", 1),
        process("new", "shop", 3, "web", 1),
    ]);
    observed.ready = BTreeSet::from([ProcessId("old".into()), ProcessId("new".into())]);

    // Routed still: the routes go first.
    let mut table = mini_proxy::RouteTable::default();
    let upstream = mini_proxy::Upstream {
        id: "old".into(),
        address: ([10, 0, 0, 2], 5000).into(),
    };
    table.insert(
        "shop.localhost".parse().unwrap(),
        Arc::new(mini_proxy::Service::serving("shop", [upstream])),
    );
    observed.routes = Arc::new(table);
    let first = check(&world, &observed, &[]);
    let Some(Action::SetRoutes(table)) = first.actions.first() else {
        panic!("the routes are to change: {first:?}");
    };
    assert_eq!(
        table.upstream_ids().into_iter().collect::<Vec<_>>(),
        ["new"]
    );

    // Unrouted, with a request in flight: it waits, but not beyond the deadline.
    observed.routes = Arc::new(table.clone());
    observed.in_flight = [(ProcessId("old".into()), 1)].into();
    observed.unrouted_since = BTreeMap::from([(ProcessId("old".into()), at(5))]);
    assert_eq!(check(&world, &observed, &[]).look_again_at, Some(at(60)));
    assert_eq!(
        words(&plan(&world, &observed, &rules(), at(60))),
        ["stop old"]
    );
    observed.in_flight.clear();
    check(&world, &observed, &["stop old"]);
    observed.processes.remove(0);
    check(&world, &observed, &["retire 1 v2"]);
}

#[test]
fn a_requested_restart_ends_and_starts_what_is_older() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["worker"])],
    );
    *world.scales = vec![(AppId(1), Scale([(process_type("worker"), 1)].into()))];
    *world.restarts = vec![(AppId(1), process_type("worker"), at(5))];
    let worker = process("a", "shop", 3, "worker", 1);
    check(&world, &seen(vec![worker.clone()]), &["stop a"]);
    check(&world, &seen(vec![exited(worker.clone())]), &["restart a"]);
    let mut newer = worker;
    newer.started_at = Some(at(6));
    check(&world, &seen(vec![newer]), &[]);
}

#[test]
fn only_ready_processes_get_requests() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["web"])],
    );
    *world.domains = vec![Domain {
        app: AppId(1),
        name: "shop.test".parse().unwrap(),
    }];
    let mut observed = seen(vec![process("a", "shop", 3, "web", 1)]);
    let table_of =
        |observed: &Observed| match plan(&world, observed, &rules(), at(10)).actions.first() {
            Some(Action::SetRoutes(table)) => table.clone(),
            other => panic!("no routes in {other:?}"),
        };
    let table = table_of(&observed);
    assert!(table.choose("shop.test", "/").is_ok() && table.upstream_ids().is_empty());
    observed.ready.insert(ProcessId("a".into()));
    let table = table_of(&observed);
    assert_eq!(chosen(&table, "shop.localhost", "/"), "shop a:5000");
    assert_eq!(
        table.choose("shop.test", "/"),
        table.choose("shop.localhost", "/")
    );
}

/// What a request leads to: a service with its upstreams, a redirect, or why nothing.
fn chosen(table: &mini_proxy::RouteTable, host: &str, path: &str) -> String {
    let found = match table.choose(host, path) {
        Ok(found) => found,
        Err(why) => return why.to_string(),
    };
    let stripped = found.path.filter(|path| path.is_stripped);
    let mut text = stripped
        .map(|path| format!("without {} ", path.prefix))
        .unwrap_or_default();
    match found.target {
        mini_proxy::Target::Service(service) => {
            text.push_str(&service.name);
            for upstream in &service.upstreams {
                text.push_str(&format!(" {}:{}", upstream.id, upstream.address.port()));
            }
        }
        mini_proxy::Target::Redirect(redirect) => text.push_str(&format!("to {}", redirect.to)),
    }
    text
}

#[test]
fn addresses_lead_where_they_were_routed_and_the_rest_to_web() {
    let mut world = desired(
        vec![app(1, "blog"), app(2, "shop")],
        vec![
            release(1, 1, ReleaseStatus::Current, &["web"]),
            release(2, 1, ReleaseStatus::Current, &["web", "api"]),
        ],
    );
    *world.scales = vec![(AppId(2), Scale([(process_type("api"), 1)].into()))];
    let domain = |app, name: &str| Domain {
        app: AppId(app),
        name: name.parse().unwrap(),
    };
    // One that the app `shop` would have by its name belongs to the app that asked for it.
    *world.domains = vec![
        domain(1, "*.blog.test"),
        domain(1, "shop.localhost"),
        domain(2, "a.blog.test"),
    ];
    let route = |app, address: &str, to, kind: &str, is_stripped| crate::model::Route {
        app: AppId(app),
        address: address.parse().unwrap(),
        to: AppId(to),
        process_type: process_type(kind),
        is_stripped,
    };
    *world.routes = vec![
        route(1, "/api", 2, "api", true),
        route(2, "a.blog.test/admin", 1, "web", false),
        // Of a domain that it has no longer.
        route(2, "x.blog.test", 2, "web", false),
        route(2, "blog.localhost/x", 2, "web", false),
    ];
    let redirect = |app, source: &str, to: &str| crate::model::AppRedirect {
        app: AppId(app),
        address: source.parse().unwrap(),
        to: to.parse().unwrap(),
        code: 308,
    };
    *world.redirects = vec![
        redirect(1, "www.blog.test", "blog.test"),
        redirect(1, "/old", "/new"),
    ];
    let mut observed = seen(vec![
        process("b", "blog", 1, "web", 1),
        process("s", "shop", 1, "web", 1),
        process("p", "shop", 1, "api", 1),
    ]);
    observed.ready = ["b", "s", "p"].map(|id| ProcessId(id.into())).into();
    let table_of = |world: &Desired| table(world, &observed, &rules(), at(10));
    let table = table_of(&world);
    let check = |host: &str, path: &str, expected: &str| {
        assert_eq!(chosen(&table, host, path), expected, "{host}{path}");
    };
    check("blog.localhost", "/", "blog b:5000");
    check("blog.localhost", "/api/x", "without /api shop p:5000");
    check("shop.localhost", "/", "blog b:5000");
    check("x.blog.test", "/", "blog b:5000");
    check("blog.localhost", "/x", "blog b:5000");
    check("x.blog.test", "/api", "without /api shop p:5000");
    check("x.blog.test", "/old", "to /new");
    check("www.blog.test", "/x", "to blog.test");
    check("a.blog.test", "/", "shop s:5000");
    check("a.blog.test", "/admin", "blog b:5000");

    *world.exposures = [(AppId(1), (false, true)), (AppId(2), (true, false))].into();
    let hidden = table_of(&world);
    let nowhere = "no route is for this host";
    for host in [
        "blog.localhost",
        "x.blog.test",
        "www.blog.test",
        "shop.localhost",
    ] {
        assert_eq!(chosen(&hidden, host, "/"), nowhere, "{host}");
    }
    assert_eq!(chosen(&hidden, "a.blog.test", "/"), "shop s:5000");
    *world.global_domains = vec!["apps.test".parse().unwrap()];
    world.exposures.clear();
    assert_eq!(
        chosen(&table_of(&world), "blog.apps.test", "/"),
        "blog b:5000"
    );
}

#[test]
fn a_routed_type_is_told_its_port() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["api"])],
    );
    *world.scales = vec![(AppId(1), Scale([(process_type("api"), 1)].into()))];
    let port = |world: &Desired| {
        let plan = plan(world, &seen(Vec::new()), &rules(), at(10));
        plan.actions.iter().find_map(|action| match action {
            Action::Start { group, .. } => {
                let port = group.environment.get(&"PORT".parse().unwrap());
                Some(port.map(|port| port.reveal().to_owned()))
            }
            _ => None,
        })
    };
    assert_eq!(port(&world), Some(None));
    *world.routes = vec![crate::model::Route {
        app: AppId(1),
        address: "/api".parse().unwrap(),
        to: AppId(1),
        process_type: process_type("api"),
        is_stripped: false,
    }];
    assert_eq!(port(&world), Some(Some("5000".to_owned())));
}

#[test]
fn requests_wait_for_as_long_as_their_app_is_paused() {
    let mut world = desired(
        vec![app(1, "shop"), app(2, "blog")],
        vec![release(1, 3, ReleaseStatus::Current, &["web"])],
    );
    *world.pauses = BTreeMap::from([(AppId(1), at(20))]);
    let mut observed = seen(vec![process("a", "shop", 3, "web", 1)]);
    let before = plan(&world, &observed, &rules(), at(10));
    let Some(Action::SetRoutes(table)) = before.actions.first() else {
        panic!("no routes in {before:?}");
    };
    let paused = |table: &RouteTable, host| {
        let chosen = table.choose(host, "/").unwrap();
        chosen.service().unwrap().paused_until
    };
    assert_eq!(paused(table, "shop.localhost"), Some(at(20).into()));
    assert_eq!(paused(table, "blog.localhost"), None);
    assert_eq!(before.look_again_at, Some(at(20)));

    // It ends by itself, and then there is nothing left to wait for.
    observed.routes = Arc::new(table.clone());
    let after = plan(&world, &observed, &rules(), at(20));
    let Some(Action::SetRoutes(table)) = after.actions.first() else {
        panic!("no routes in {after:?}");
    };
    assert_eq!(paused(table, "shop.localhost"), None);
    assert_eq!(after.look_again_at, None);
}

#[test]
fn browsers_are_kept_on_https_only_where_it_has_its_own_port() {
    let mut world = desired(vec![app(1, "shop")], vec![]);
    let hsts = |world: &Desired, https_port| {
        let rules = Rules {
            https_port,
            ..rules()
        };
        let plan = plan(world, &Observed::default(), &rules, at(10));
        match plan.actions.first() {
            Some(Action::SetRoutes(table)) => table
                .choose("shop.localhost", "/")
                .unwrap()
                .service()
                .unwrap()
                .hsts
                .clone(),
            other => panic!("no routes in {other:?}"),
        }
    };
    let half_a_year = Duration::from_secs(15_724_800);
    let default = Hsts::new(half_a_year, false, false);
    assert_eq!(hsts(&world, Some(443)), Some(default));
    assert_eq!(hsts(&world, Some(8443)), None);
    assert_eq!(hsts(&world, None), None);

    let mut decided = AppProxy::default();
    decided.options.set("hsts-max-age", "0").unwrap();
    decided
        .options
        .set("hsts-include-subdomains", "true")
        .unwrap();
    *world.proxy = [(AppId(1), decided.clone())].into();
    let forget = Hsts::new(Duration::ZERO, true, false);
    assert_eq!(hsts(&world, Some(443)), Some(forget));
    decided.options.set("hsts", "off").unwrap();
    *world.proxy = [(AppId(1), decided)].into();
    assert_eq!(hsts(&world, Some(443)), None);
}

/// A world in which every action works at once.
fn carry_out(plan: &Plan, desired: &mut Desired, observed: &mut Observed, next: &mut u32) {
    for action in &plan.actions {
        match action {
            Action::SetRoutes(table) => observed.routes = Arc::new(table.clone()),
            Action::Start { group, index } => {
                *next += 1;
                let id = format!("new{next}");
                let name = group.process_type.as_str();
                let started = process(&id, group.app.as_str(), group.release.0, name, *index);
                observed.ready.insert(started.id.clone());
                observed.processes.push(Process {
                    started_at: Some(at(1000)),
                    ..started
                });
            }
            Action::Restart(id) => {
                let found = observed
                    .processes
                    .iter_mut()
                    .find(|process| process.id == *id)
                    .unwrap();
                found.state = ProcessState::Running;
                found.started_at = Some(at(1000));
                observed.ready.insert(id.clone());
            }
            Action::Stop(id) => {
                let found = observed
                    .processes
                    .iter_mut()
                    .find(|process| process.id == *id)
                    .unwrap();
                assert!(
                    !observed.routes.upstream_ids().contains(id.0.as_str()),
                    "{id:?} still gets requests"
                );
                *found = exited(found.clone());
                observed.ready.remove(id);
            }
            Action::Remove(id) => observed.processes.retain(|process| process.id != *id),
            Action::Retire(app, version) => {
                desired
                    .releases
                    .retain(|release| release.app != *app || release.version != *version);
            }
        }
    }
}

fn any_world() -> impl Strategy<Value = (Desired, Observed)> {
    let statuses = prop::sample::select(vec![
        ReleaseStatus::Candidate,
        ReleaseStatus::Prepared,
        ReleaseStatus::Draining,
    ]);
    let release_of = (
        1..3_i64,
        1..5_u32,
        statuses,
        prop::sample::subsequence(vec!["web", "worker"], 1..=2),
    );
    let states = prop::sample::select(vec![
        ProcessState::Running,
        ProcessState::Created,
        ProcessState::Dead,
        ProcessState::Exited {
            code: 1,
            is_out_of_memory: false,
            at: None,
        },
    ]);
    let names = prop::sample::select(vec!["shop", "blog", "gone"]);
    let types = prop::sample::select(vec!["web", "worker", "old"]);
    let process_of = (names, 1..6_u32, types, 1..4_u16, states, any::<bool>());
    (
        prop::collection::vec(any::<bool>(), 2),
        prop::collection::vec(release_of, 0..4),
        prop::collection::vec(any::<bool>(), 2),
        prop::collection::vec(
            (
                1..3_i64,
                prop::sample::select(vec!["web", "worker"]),
                0..3_u16,
            ),
            0..4,
        ),
        prop::collection::vec(process_of, 0..8),
        prop::collection::vec(
            (1..3_i64, prop::sample::select(vec!["web", "worker"])),
            0..2,
        ),
    )
        .prop_map(
            |(stopped, releases, has_current, scales, processes, restarts)| {
                let mut world = desired(vec![app(1, "shop"), app(2, "blog")], vec![]);
                for (app, is_stopped) in world.apps.iter_mut().zip(stopped) {
                    app.is_stopped = is_stopped;
                }
                for (id, has_current) in (1..).zip(has_current) {
                    if has_current {
                        world.releases.push(release(
                            id,
                            5,
                            ReleaseStatus::Current,
                            &["web", "worker"],
                        ));
                    }
                }
                let mut taken = BTreeSet::new();
                for (id, version, status, types) in releases {
                    if taken.insert((id, version)) {
                        world.releases.push(release(id, version, status, &types));
                    }
                }
                let mut scaled: BTreeMap<i64, Scale> = BTreeMap::new();
                for (id, name, quantity) in scales {
                    scaled
                        .entry(id)
                        .or_default()
                        .0
                        .insert(process_type(name), quantity);
                }
                *world.scales = scaled
                    .into_iter()
                    .map(|(id, scale)| (AppId(id), scale))
                    .collect();
                *world.restarts = restarts
                    .into_iter()
                    .map(|(id, name)| (AppId(id), process_type(name), at(20)))
                    .collect();
                let mut observed = Observed::default();
                let mut keys = BTreeSet::new();
                for (number, (name, version, kind, index, state, is_ready)) in
                    processes.into_iter().enumerate()
                {
                    let mut found = process(&format!("p{number}"), name, version, kind, index);
                    found.state = state;
                    if !keys.insert(ProcessKey::of(&found)) {
                        continue;
                    }
                    if is_ready && found.state == ProcessState::Running {
                        observed.ready.insert(found.id.clone());
                    }
                    observed.processes.push(found);
                }
                (world, observed)
            },
        )
}

/// Four apps of which any two may quarrel about names, one of them the name of the server's domain in front of it.
fn any_addresses() -> impl Strategy<Value = Desired> {
    let apps = ["blog", "shop", "shop.localhost", "x.test"];
    let names = prop::sample::select(vec![
        "shop.localhost",
        "blog.apps.test",
        "x.test",
        "*.shop.test",
        "a.shop.test",
        "b.test",
    ]);
    let sources = prop::sample::select(vec![
        "/api",
        "/api/x",
        "b.test",
        "x.test/api",
        "a.shop.test",
    ]);
    let types = prop::sample::select(vec!["web", "api"]);
    let route_of = (1..5_i64, sources.clone(), 1..5_i64, types, any::<bool>());
    (
        prop::collection::vec(any::<bool>(), 4),
        prop::collection::btree_map(names, 1..5_i64, 0..5),
        prop::collection::btree_map((1..5_i64).prop_map(AppId), any::<(bool, bool)>(), 0..3),
        any::<bool>(),
        prop::collection::vec(route_of, 0..4),
        prop::collection::btree_map((1..5_i64, sources), any::<bool>(), 0..3),
        prop::collection::vec(any::<bool>(), 4),
    )
        .prop_map(
            move |(there, domains, exposures, has_added, routes, redirects, current)| {
                let is_there = |id: i64| usize::try_from(id - 1).is_ok_and(|at| there[at]);
                let ids = (1..5_i64).filter(|id| is_there(*id));
                let mut world = desired(
                    ids.clone()
                        .zip(0..)
                        .map(|(id, _)| app(id, apps[usize::try_from(id - 1).unwrap()]))
                        .collect(),
                    ids.zip(current)
                        .filter(|(_, is_current)| *is_current)
                        .map(|(id, _)| release(id, 1, ReleaseStatus::Current, &["web", "api"]))
                        .collect(),
                );
                let mut domains: Vec<Domain> = domains
                    .into_iter()
                    .filter(|(_, id)| is_there(*id))
                    .map(|(name, id)| Domain {
                        app: AppId(id),
                        name: name.parse().unwrap(),
                    })
                    .collect();
                domains.sort_by_key(|domain| (domain.app, domain.name.clone()));
                *world.domains = domains;
                *world.exposures = exposures;
                if has_added {
                    world.global_domains.push("apps.test".parse().unwrap());
                }
                let mut keyed = BTreeMap::new();
                for (id, address, to, name, is_stripped) in routes {
                    if is_there(id) && is_there(to) {
                        let address: crate::model::Address = address.parse().unwrap();
                        let route = crate::model::Route {
                            app: AppId(id),
                            is_stripped: is_stripped && address.path.is_some(),
                            address: address.clone(),
                            to: AppId(to),
                            process_type: process_type(name),
                        };
                        keyed.insert((id, address), route);
                    }
                }
                *world.routes = keyed.into_values().collect();
                let mut keyed = BTreeMap::new();
                for ((id, address), is_elsewhere) in redirects {
                    if is_there(id) {
                        let address: crate::model::Address = address.parse().unwrap();
                        let redirect = crate::model::AppRedirect {
                            app: AppId(id),
                            address: address.clone(),
                            to: if is_elsewhere { "/new" } else { "b.test" }
                                .parse()
                                .unwrap(),
                            code: 308,
                        };
                        keyed.insert((id, address), redirect);
                    }
                }
                *world.redirects = keyed.into_values().collect();
                world
            },
        )
}

proptest! {
    /// Whatever was followed before, the table is that of a fresh start; parts that are equal may be one or two.
    #[test]
    fn routes_that_follow_changes_end_where_a_fresh_start_does(
        worlds in prop::collection::vec((any_addresses(), any::<bool>()), 1..6)
    ) {
        let rules = rules();
        let mut addresses = Addresses::new(Arc::new(rules.clone()));
        let mut routing = Routing::default();
        let nothing = Observed::default();
        let mut before = Desired::default();
        for (mut world, is_shared) in worlds {
            if is_shared {
                // As the store does with what was not written.
                world.apps = before.apps.clone();
                world.releases = before.releases.clone();
                world.routes = before.routes.clone();
            }
            let world = Arc::new(world);
            routing.note(&addresses.follow(&world));
            let followed = routing.follow(&addresses, &nothing, &rules, at(10));
            let fresh = table(&world, &nothing, &rules, at(10));
            prop_assert_eq!(followed, &fresh);
            let all: BTreeSet<String> = fresh.iter().map(|(host, _)| host.to_string()).collect();
            for host in &all {
                let answers = |table: &RouteTable| ["/", "/api", "/api/x/y"].map(|path| chosen(table, host, path));
                prop_assert_eq!(answers(followed), answers(&fresh));
            }
            before = (*world).clone();
        }
    }

    #[test]
    fn carrying_out_plans_satisfies_the_world((mut world, mut observed) in any_world()) {
        let rules = rules();
        let mut next = 0;
        // Routes, stop, remove, retire: each may wait for the one before, so a handful of looks is the most it takes.
        for _ in 0..6 {
            let now = at(1100);
            let due = plan(&world, &observed, &rules, now);
            carry_out(&due, &mut world, &mut observed, &mut next);
        }
        let rest = plan(&world, &observed, &rules, at(1100));
        prop_assert!(rest.actions.is_empty(), "still to do: {rest:?}");
        for process in &observed.processes {
            let is_known = world.releases.iter().any(|release| release.version == process.release);
            prop_assert!(is_known, "{process:?} belongs to nothing");
        }
    }

    #[test]
    fn no_plan_ends_a_process_that_gets_requests((world, observed) in any_world()) {
        let first = plan(&world, &observed, &rules(), at(1100));
        let routed: BTreeSet<String> =
            observed.routes.upstream_ids().into_iter().map(str::to_owned).collect();
        for action in first.actions {
            if let Action::Stop(id) = action {
                prop_assert!(!routed.contains(&id.0));
            }
        }
    }
}
