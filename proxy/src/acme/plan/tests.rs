//! Cases of the plan, and a world in which it is carried out for months.

use super::{Limits, Plan, Work, plan};
use crate::acme::{
    Advice, CertName, Draw, Failure, Held, Origin, Tries, Window, World, next_try, renew_at,
};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

fn name(text: &str) -> CertName {
    text.parse().unwrap()
}

fn ordered(names: &str, not_before: SystemTime) -> Held {
    Held {
        names: vec![name(names)],
        not_before,
        not_after: not_before + 90 * DAY,
        origin: Origin::Ordered {
            id: None,
            advice: None,
        },
    }
}

fn given(names: &str, not_after: SystemTime) -> Held {
    Held {
        names: vec![name(names)],
        not_before: start() - 300 * DAY,
        not_after,
        origin: Origin::Given,
    }
}

fn failed(failures: u32, next_try: SystemTime) -> Tries {
    Tries { failures, next_try }
}

fn with_hook() -> Limits {
    Limits {
        wildcards: true,
        ..Limits::default()
    }
}

fn orders(plan: &Plan) -> Vec<&str> {
    let orders = plan.work.iter().map(|work| match work {
        Work::Order { name, .. } => name.as_str(),
        Work::Ask { .. } => panic!("nothing is to be asked here: {plan:?}"),
    });
    orders.collect()
}

/// The orders planned at the start of time, with a hook for DNS-01.
fn check(wanted: &[&str], held: &[Held], tries: &[(&str, Tries)], expected: &[&str]) {
    let world = World {
        wanted: wanted.iter().map(|text| name(text)).collect(),
        held: held.to_vec(),
        tries: tries
            .iter()
            .map(|(text, tries)| (name(text), tries.clone()))
            .collect(),
        ..World::default()
    };
    let plan = plan(&world, &HashSet::new(), &with_hook(), start());
    assert_eq!(orders(&plan), expected, "{world:?}");
}

#[test]
fn a_name_without_a_valid_certificate_is_ordered() {
    check(&["a.test"], &[], &[], &["a.test"]);
    check(&["a.test"], &[ordered("b.test", start())], &[], &["a.test"]);
    let expired = ordered("a.test", start() - 90 * DAY);
    check(&["a.test"], &[expired], &[], &["a.test"]);
    check(&[], &[ordered("a.test", start() - 80 * DAY)], &[], &[]);
}

#[test]
fn a_certificate_is_renewed_after_two_thirds_of_its_life_and_not_before() {
    let aged = |days: u32| ordered("a.test", start() - days * DAY);
    check(&["a.test"], &[aged(0)], &[], &[]);
    check(&["a.test"], &[aged(59)], &[], &[]);
    check(&["a.test"], &[aged(63)], &[], &["a.test"]);
    // The newest of several counts.
    check(&["a.test"], &[aged(63), aged(1)], &[], &[]);
}

#[test]
fn a_given_certificate_counts_while_it_is_valid() {
    check(&["a.test"], &[given("a.test", start() + HOUR)], &[], &[]);
    check(
        &["a.test"],
        &[given("*.test.test", start() + HOUR)],
        &[],
        &["a.test"],
    );
    let wildcard = given("*.apps.test", start() + HOUR);
    check(&["a.apps.test"], &[wildcard], &[], &[]);
    check(&["a.test"], &[given("a.test", start())], &[], &["a.test"]);
}

#[test]
fn after_a_failure_the_next_try_waits_for_its_time() {
    let later = failed(1, start() + HOUR);
    check(
        &["a.test", "b.test"],
        &[],
        &[("a.test", later)],
        &["b.test"],
    );
    let now = failed(3, start());
    let fresh = ["a.test", "b.test"];
    check(&fresh, &[], &[("a.test", now)], &["b.test", "a.test"]);
}

#[test]
fn a_name_that_another_engine_works_on_waits_for_it() {
    let world = World {
        wanted: vec![name("a.test"), name("b.test")],
        claims: HashMap::from([(name("a.test"), start() + HOUR)]),
        ..World::default()
    };
    let planned = plan(&world, &HashSet::new(), &with_hook(), start());
    assert_eq!(orders(&planned), ["b.test"]);
    assert_eq!(planned.look_again, Some(start() + HOUR));
    let planned = plan(&world, &HashSet::new(), &with_hook(), start() + HOUR);
    assert_eq!(orders(&planned), ["a.test", "b.test"]);
}

#[test]
fn a_wildcard_carries_the_names_below_it_as_long_as_it_can_be_had() {
    let both = ["*.apps.test", "a.apps.test"];
    check(&both, &[], &[], &["*.apps.test"]);
    check(&both, &[ordered("*.apps.test", start())], &[], &[]);
    // It cannot be had: the names look after themselves.
    let failing = ("*.apps.test", failed(1, start() + HOUR));
    check(&both, &[], std::slice::from_ref(&failing), &["a.apps.test"]);
    // It is due and fails, but has a while to go; then it has not.
    let old = ordered("*.apps.test", start() - 70 * DAY);
    check(&both, &[old], std::slice::from_ref(&failing), &[]);
    let older = ordered("*.apps.test", start() - 89 * DAY);
    check(&both, &[older], &[failing], &["a.apps.test"]);
    // Not wanted any more: the name gets its own in time.
    let last = ordered("*.apps.test", start() - 80 * DAY);
    check(&["a.apps.test"], &[last], &[], &["a.apps.test"]);
}

#[test]
fn a_wildcard_that_many_share_is_given_up_only_after_some_time() {
    let orders_after = |failures: u32| {
        let next_try = start() + HOUR;
        let world = World {
            wanted: vec![name("*.apps.test"), name("a.apps.test")],
            shared: HashSet::from([name("*.apps.test")]),
            tries: HashMap::from([(name("*.apps.test"), failed(failures, next_try))]),
            ..World::default()
        };
        let plan = plan(&world, &HashSet::new(), &with_hook(), start());
        assert_eq!(plan.look_again, Some(next_try));
        orders(&plan).len()
    };
    assert_eq!((orders_after(1), orders_after(4)), (0, 0));
    assert_eq!(orders_after(5), 1, "its name looks after itself");
}

#[test]
fn a_wildcard_of_somebody_else_carries_nothing() {
    let world = World {
        wanted: vec![name("*.apps.test"), name("a.apps.test")],
        alone: HashSet::from([name("a.apps.test")]),
        held: vec![ordered("*.apps.test", start())],
        ..World::default()
    };
    let plan = plan(&world, &HashSet::new(), &with_hook(), start());
    assert_eq!(orders(&plan), ["a.apps.test"]);
}

#[test]
fn without_a_way_to_prove_wildcards_none_is_ordered() {
    let world = World {
        wanted: vec![name("*.apps.test"), name("a.apps.test")],
        ..World::default()
    };
    let plan = plan(&world, &HashSet::new(), &Limits::default(), start());
    assert_eq!(orders(&plan), ["a.apps.test"]);
}

#[test]
fn no_more_is_begun_than_the_limits_allow() {
    let world = World {
        wanted: (0..10).map(|n| name(&format!("n{n}.test"))).collect(),
        orders: vec![start() - 2 * HOUR, start() - HOUR, start() - 4 * HOUR],
        ..World::default()
    };
    let limits = Limits {
        orders: 5,
        ..Limits::default()
    };
    let first = plan(&world, &HashSet::new(), &limits, start());
    assert_eq!(orders(&first), ["n0.test", "n1.test", "n2.test"]);
    assert_eq!(first.look_again, Some(start() + HOUR));
    let busy: HashSet<CertName> = ["n0.test", "n1.test", "n2.test"].map(name).into();
    let second = plan(&world, &busy, &limits, start());
    assert_eq!(orders(&second), ["n3.test"]);
}

#[test]
fn a_renewal_says_what_it_replaces_and_the_authority_is_asked_when_it_said_so() {
    let mut held = ordered("a.test", start());
    let mut at = |advice: Option<Advice>, now: SystemTime| {
        let id = Some("aki.serial".to_owned());
        held.origin = Origin::Ordered { id, advice };
        let world = World {
            wanted: vec![name("a.test")],
            held: vec![held.clone()],
            ..World::default()
        };
        plan(&world, &HashSet::new(), &Limits::default(), now)
    };
    let ask = Work::Ask {
        name: name("a.test"),
        id: "aki.serial".to_owned(),
        known: None,
    };
    let order = Work::Order {
        name: name("a.test"),
        replaces: Some("aki.serial".to_owned()),
    };
    assert_eq!(at(None, start()).work, [ask]);
    let advice = Advice {
        window: Some(Window {
            start: start() + 5 * DAY,
            end: start() + 6 * DAY,
        }),
        ask_again: start() + HOUR,
    };
    let quiet = at(Some(advice), start());
    assert_eq!(
        (quiet.work.len(), quiet.look_again),
        (0, Some(start() + HOUR))
    );
    let ask = Work::Ask {
        name: name("a.test"),
        id: "aki.serial".to_owned(),
        known: advice.window,
    };
    assert_eq!(at(Some(advice), start() + HOUR).work, [ask]);
    assert_eq!(at(Some(advice), start() + 6 * DAY).work, [order]);
}

/// A world in which some names always fail, some sometimes, and the rest never.
struct Simulation {
    world: World,
    limits: Limits,
    now: SystemTime,
    placed: HashMap<CertName, Vec<SystemTime>>,
    seed: u64,
}

impl Simulation {
    fn new(names: usize, limits: Limits, seed: u64) -> Simulation {
        let world = World {
            wanted: (0..names).map(|n| name(&format!("n{n}.test"))).collect(),
            ..World::default()
        };
        Simulation {
            world,
            limits,
            now: start(),
            placed: HashMap::new(),
            seed,
        }
    }

    fn draw(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Carries a plan out and goes to the next moment something is due, but `most` on at most.
    fn step(&mut self, failing: impl Fn(&CertName, u64) -> Option<Failure>, most: Duration) {
        let plan = plan(&self.world, &HashSet::new(), &self.limits, self.now);
        for work in &plan.work {
            let name = work.name().clone();
            let draw = self.draw();
            match failing(&name, draw) {
                Some(failure) => {
                    if failure == Failure::Refused {
                        self.place(&name);
                    }
                    let failures = self.world.tries.get(&name).map_or(0, |t| t.failures) + 1;
                    let draw = Draw::from_bits(self.draw());
                    let next = next_try(self.now, failures, failure, None, draw);
                    self.world.tries.insert(name, failed(failures, next));
                }
                None => {
                    self.place(&name);
                    self.world.tries.remove(&name);
                    let issued = ordered(name.as_str(), self.now);
                    self.world.held.retain(|held| held.names != issued.names);
                    self.world.held.push(issued);
                }
            }
        }
        // What was done may have brought something forward: only a plan without work says when to look again.
        let next = match plan.work.is_empty() {
            true => plan.look_again.unwrap_or(self.now + most),
            false => self.now + Duration::from_secs(1),
        };
        self.now = next.min(self.now + most);
    }

    fn place(&mut self, name: &CertName) {
        self.world.orders.push(self.now);
        self.placed.entry(name.clone()).or_default().push(self.now);
    }

    /// Whether no span of this length holds more than `most` of these times, which are in order.
    fn at_most(most: usize, times: &[SystemTime], span: Duration) -> bool {
        let mut spans = times.windows(most + 1);
        spans.all(|within| within[most] >= within[0] + span)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_name_is_tried_at_most_four_times_in_an_hour_whatever_happens(seed in any::<u64>(), outcomes in vec(0u8..4, 64)) {
        let mut simulation = Simulation::new(2, Limits::default(), seed);
        for _ in 0..200 {
            simulation.step(|_, draw| match outcomes[draw as usize % outcomes.len()] {
                0 => Some(Failure::Unasked),
                _ => Some(Failure::Refused),
            }, DAY);
        }
        for times in simulation.placed.values() {
            prop_assert!(times.len() > 4);
            prop_assert!(Simulation::at_most(4, times, HOUR), "{times:?}");
        }
    }

    #[test]
    fn the_account_never_places_more_orders_than_its_limit(seed in any::<u64>(), names in 20usize..60) {
        let limits = Limits { orders: 10, ..Limits::default() };
        let mut simulation = Simulation::new(names, limits, seed);
        for _ in 0..300 {
            simulation.step(|_, draw| (draw % 3 == 0).then_some(Failure::Refused), HOUR);
        }
        prop_assert!(Simulation::at_most(10, &simulation.world.orders, 3 * HOUR));
        prop_assert!(simulation.world.held.len() == names, "all get theirs in the end");
    }

    #[test]
    fn a_satisfied_world_has_no_work_until_a_renewal_and_certificates_never_run_out(seed in any::<u64>(), names in 1usize..6) {
        let mut simulation = Simulation::new(names, Limits::default(), seed);
        while simulation.world.held.len() < names {
            simulation.step(|_, _| None, DAY);
        }
        let settled = plan(&simulation.world, &HashSet::new(), &simulation.limits, simulation.now);
        prop_assert!(settled.work.is_empty());
        let first = simulation.world.held.iter().filter_map(renew_at).min();
        prop_assert!(settled.look_again == first);
        // Every other try fails, for two years: a certificate that is not renewed stays until it is.
        let end = simulation.now + 730 * DAY;
        while simulation.now < end {
            simulation.step(|_, draw| (draw % 2 > 0).then_some(Failure::Refused), 10 * DAY);
            prop_assert!(simulation.world.held.len() == names);
            let valid = simulation.world.held.iter().all(|held| simulation.now < held.not_after);
            prop_assert!(valid, "{:?} at {:?}", simulation.world.held, simulation.now);
        }
    }
}
