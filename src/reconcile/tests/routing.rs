//! Where requests lead: addresses, pauses, and how long browsers keep to HTTPS.

use super::*;

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
