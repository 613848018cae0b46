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
use super::settled::{ending, is_of_wish};
use crate::engine::{Limits, Process, ProcessId, ProcessState};
use crate::model::{
    App, AppId, AppProxy, ConfigVars, Domain, ProcessType, Release, ReleaseStatus, ReleaseVersion,
    Scale, Timestamp, Trigger,
};
use crate::store::Desired;

mod ports;
mod properties;
mod routing;

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
        postdeploy_command: None,
        formation: None,
        start_command: None,
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

/// After a `ps:restart` the clock was put back by an hour: everything was ended and started again for that hour.
#[test]
fn a_restart_that_was_requested_before_the_clock_was_put_back_does_not_go_on_for_ever() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["web"])],
    );
    *world.restarts = vec![(AppId(1), process_type("web"), at(3600))];
    let web = process("a", "shop", 3, "web", 1);
    let mut observed = seen(vec![web.clone()]);
    observed.ready.insert(web.id.clone());
    let plan = check(&world, &observed, &[]);
    let Some(Action::SetRoutes(table)) = plan.actions.first() else {
        panic!("no routes in {plan:?}");
    };
    assert_eq!(chosen(table, "shop.localhost", "/"), "shop a:5000");
    // Once that moment has come, it is done, at last and once.
    let world = Arc::new(world);
    let (mut addresses, mut routing) = (Addresses::new(Arc::new(rules())), Routing::default());
    routing.note(&addresses.follow(&world));
    routing.follow(&addresses, &observed, &rules(), at(10));
    let table = routing.follow(&addresses, &observed, &rules(), at(3601));
    assert_eq!(chosen(table, "shop.localhost", "/"), "shop");
    let due = plan::plan(&world, &observed, table, &rules(), at(3601));
    assert_eq!(words(&due), ["stop a"]);
}

/// `ps:restart` did nothing about a process that was started before the clock was put back.
#[test]
fn a_restart_after_the_clock_was_put_back_is_done() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["worker"])],
    );
    *world.scales = vec![(AppId(1), Scale([(process_type("worker"), 1)].into()))];
    *world.restarts = vec![(AppId(1), process_type("worker"), at(5))];
    let mut worker = process("a", "shop", 3, "worker", 1);
    worker.started_at = Some(at(3600));
    check(&world, &seen(vec![worker.clone()]), &["stop a"]);
    check(&world, &seen(vec![exited(worker.clone())]), &["restart a"]);
    // An engine whose clock is a little ahead of ours has started it since.
    worker.started_at = Some(at(11));
    check(&world, &seen(vec![worker]), &[]);
}

/// Whatever had been restarted at any time was restarted again, unasked, whenever the clock was put back.
#[test]
fn a_clock_that_is_put_back_restarts_nothing_that_was_restarted_long_ago() {
    let mut world = desired(
        vec![app(1, "shop")],
        vec![release(1, 3, ReleaseStatus::Current, &["worker"])],
    );
    *world.scales = vec![(AppId(1), Scale([(process_type("worker"), 1)].into()))];
    *world.restarts = vec![(AppId(1), process_type("worker"), at(5))];
    let mut worker = process("a", "shop", 3, "worker", 1);
    worker.started_at = Some(at(90_000));
    let put_back = plan(&world, &seen(vec![worker.clone()]), &rules(), at(86_400));
    assert_eq!(words(&put_back), [""; 0]);
    // One that is asked for now is done.
    *world.restarts = vec![(AppId(1), process_type("worker"), at(86_390))];
    let asked = plan(&world, &seen(vec![worker]), &rules(), at(86_400));
    assert_eq!(words(&asked), ["stop a"]);
}

/// A container of a failed release that Docker does not remove made every `ps:scale` of its app fail.
#[test]
fn what_is_left_of_a_release_that_is_over_is_not_waited_for() {
    let releases = [
        (1, ReleaseStatus::Failed, false),
        (2, ReleaseStatus::Retired, false),
        (3, ReleaseStatus::Draining, false),
        (4, ReleaseStatus::Current, true),
        (5, ReleaseStatus::Prepared, true),
        (6, ReleaseStatus::Candidate, true),
        (7, ReleaseStatus::Current, false),
    ];
    let mut world = desired(vec![app(1, "shop")], vec![]);
    *world.releases = releases[..6]
        .iter()
        .map(|(version, status, _)| release(1, *version, *status, &["web"]))
        .collect();
    for (version, status, is_waited_for) in releases {
        // Of a type that has none.
        let process = process("a", "shop", version, "worker", 1);
        let case = format!("v{version} {status:?}");
        assert_eq!(is_of_wish(&world, &process), is_waited_for, "{case}");
        let waits = !ending(&world, &seen(vec![process])).is_empty();
        assert_eq!(waits, is_waited_for, "{case}");
    }
    let of_another = process("a", "blog", 4, "worker", 1);
    assert!(!is_of_wish(&world, &of_another));
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
