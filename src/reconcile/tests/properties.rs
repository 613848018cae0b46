//! Worlds made at random: carrying out plans satisfies them, and routes that follow changes end where a fresh start does.

use super::*;

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
