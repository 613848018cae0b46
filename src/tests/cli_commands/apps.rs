//! Apps that are locked, all apps at once, and what a release has changed.

use mini::model::Caller;

use super::House;
use super::house::git;

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_made_listed_renamed_and_destroyed() {
    let mut house = House::new();
    transcript!(
        "apps",
        house,
        [
            "apps:list",
            "apps:list --format json",
            "apps:create blog",
            "apps:create blog",
            "apps:create shop --format json",
            "apps:create 'Test;id'",
            "apps:create ../x",
            "apps:list",
            "--quiet apps:list",
            "apps:list --format json",
            "apps:exists blog",
            "apps:exists nope",
            "apps:report blog",
            "apps:report blog --app-stopped",
            "apps:report blog --nonsense",
            "apps:report blog --app-stopped --format json",
            "apps:report --format json",
            "apps:report nope",
            "apps:report nope --format json",
            "apps:rename blog shop",
            "apps:rename blog news",
            "apps:rename blog news",
            "apps:destroy news",
            "apps:destroy nope --force",
        ]
    );
    house.types_with("apps:destroy news", "nws\n").await;
    house.types_with("apps:destroy news", "news\n").await;
    house.types("--force apps:destroy shop --format json").await;
    house.types("apps:list").await;
    insta::assert_snapshot!("apps_destroyed", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_app_takes_no_new_source_and_may_be_configured() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    for line in [
        "apps:locked blog",
        "apps:unlock blog",
        "apps:lock blog",
        "apps:lock blog",
        "apps:locked blog",
        "apps:report blog --app-locked",
        "ps:rebuild blog",
        "config:set blog A=1",
        "apps:locked nope",
    ] {
        house.types(line).await;
    }
    // Refused before anything is fetched.
    house
        .types("git:sync --build blog https://nosuch.invalid/blog.git")
        .await;
    house.types("apps:unlock blog --format json").await;
    house.types("apps:locked blog --format json").await;
    insta::assert_snapshot!("locked", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_apps_that_are_deployed_are_stopped_and_started() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house
        .deploy("shop", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    transcript!(
        "all",
        house,
        [
            "apps:create empty",
            "ps:stop --all",
            "ps:report shop --running",
            "ps:start --all",
            "ps:report blog --running",
            "ps:restart --all worker",
            "ps:restart --everything",
            "ps:stop empty",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_tells_what_it_changed() {
    let mut house = House::new();
    house.types("apps:create empty").await;
    house.deploy("blog", &[("web", "sleep")]).await;
    house.types("config:set blog A=1 B=hunter2 --quiet").await;
    house.retires("blog").await;
    house.types("config:set blog A=2 --quiet").await;
    house.types("releases:info blog v2").await;
    house.types("releases:info blog").await;
    house.types("releases:info blog v9").await;
    house.types("releases:info empty").await;
    house.types("help releases").await;
    let text = house.transcript();
    assert!(!text.contains("hunter2\n  "), "{text}");
    for line in [
        "=====> blog release v2 information\n",
        "       Config added:                  A B\n",
        "=====> blog release v3 information\n",
        "       Config changed:                A\n",
        "       Compared with:                 v2\n",
        "       By:                            console\n",
        "       Process web:                   sleep\n",
        " !     blog has no release v9\n",
        " !     App empty has not been deployed\n",
        "    releases       List the releases of an app, newest first\n",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
}

/// Whoever had typed the name and then pressed Ctrl-C, or lost the connection, had the app destroyed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_finished_destroys_nothing() {
    let mut house = House::new();
    house.types("apps:create shop").await;
    assert_ne!(house.leaves("apps:destroy shop", b"shop").await, 0);
    assert_eq!(house.types("apps:exists shop").await, 0);
    // With Enter it is one, whatever becomes of the connection.
    assert_eq!(house.leaves("apps:destroy shop", b"shop\n").await, 0);
    assert_ne!(house.types("apps:exists shop").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_cloned_with_its_settings_and_answers_at_an_address_of_its_own() {
    let mut house = House::new();
    let dockerfile = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    house
        .deploy_source("blog", &[("Dockerfile", dockerfile.as_str())])
        .await;
    house
        .engine
        .set_address(&"shop".parse().unwrap(), [127, 0, 0, 1].into());
    for line in [
        "config:set blog 'A=one two' --no-restart",
        "domains:add blog blog.test",
        "ports:add blog http:9999:5000",
        "storage:mount blog data:/data",
        "proxy:set blog first-byte-timeout 5s",
        "builder:set blog build-timeout 3m",
        "docker-options:add blog build '--build-arg A=1'",
        "apps:lock blog",
    ] {
        house.types(line).await;
    }
    house.transcript();
    transcript!(
        "cloned",
        house,
        [
            "apps:clone blog shop",
            "apps:clone blog shop",
            "apps:clone blog shop --ignore-existing",
            "--format json apps:clone blog shop --ignore-existing",
            "apps:clone nope other",
            "apps:clone blog 'Not good'",
            "config:export shop",
            "domains:report shop",
            "ports:report shop --ports-map",
            "storage:list shop",
            "proxy:report shop --proxy-first-byte-timeout",
            "builder:report shop --builder-build-timeout",
            "docker-options:list shop",
            "apps:locked shop",
            "releases shop",
            "ps:report shop --running",
            "apps:clone shop third --skip-deploy --format json",
            "ps:report third --deployed",
            "config:get third A",
        ]
    );
    // What is set of one is not set of the other.
    house.types("config:set shop A=2 --no-restart").await;
    house.types("config:get blog A").await;
    assert!(house.transcript().ends_with("one two\n"));
    // It has the source, and is built by itself.
    house.retires("shop").await;
    assert_eq!(house.types("ps:rebuild shop").await, 0);
    // Its image was that of the other, which goes without it.
    house.retires("shop").await;
    assert_eq!(
        house.types("rollback shop").await,
        0,
        "{}",
        house.transcript()
    );
    assert_eq!(house.types("apps:destroy blog --force").await, 0);
    house.types("ps:report shop --running").await;
    assert!(house.transcript().ends_with("true\n"));
    // As it is when the server dies in the middle of a renaming: a copy does not take its place.
    let repositories = &house.platform.repositories;
    let [from, to] = ["third", "fourth"].map(|name| name.parse().unwrap());
    let path = repositories.path(&from);
    let blob = git(&path, &["hash-object", "-w", "--stdin"], "kept");
    git(&path, &["update-ref", "refs/tags/kept", &blob], "");
    repositories.rename(&from, &to).await.unwrap();
    assert!(repositories.is_filled(&to).await.unwrap());
    assert_ne!(house.types("apps:clone shop fourth --skip-deploy").await, 0);
    house.transcript();
    assert_eq!(house.types("apps:rename third fourth").await, 0);
    assert!(house.platform.repositories.is_filled(&to).await.unwrap());
    assert_ne!(house.types("apps:exists third").await, 0);
}

/// Whoever may push to an app that has a part of the host has that part: a key must not make itself another such app.
#[tokio::test(flavor = "multi_thread")]
async fn what_gives_an_app_a_part_of_the_host_is_cloned_by_the_console_alone() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    for line in [
        "docker-options:add blog deploy,run '--memory 512m'",
        "docker-options:add blog deploy,run '--privileged'",
        "docker-options:add blog run '-v /srv:/srv'",
    ] {
        assert_eq!(house.types(line).await, 0, "{line}");
    }
    house.transcript();
    let console = std::mem::replace(
        &mut house.caller,
        Caller::Key {
            name: "me".parse().unwrap(),
            fingerprint: "SHA256:me".to_owned(),
        },
    );
    house.types("apps:clone blog mine --skip-deploy").await;
    house.types("docker-options:report mine").await;
    house.caller = console;
    house.types("apps:clone blog ours --skip-deploy").await;
    house.types("docker-options:report ours").await;
    insta::assert_snapshot!("cloned_options", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_apps_are_restarted_at_once_and_each_is_heard_in_one_piece() {
    let mut house = House::new();
    for name in ["blog", "shop", "news"] {
        house.deploy(name, &[("web", "sleep")]).await;
    }
    let script = "echo no database; exit 1";
    house.engine.set_script(&"news".parse().unwrap(), script);
    assert_eq!(house.types("ps:restart --all --parallel 3").await, 1);
    let text = house.transcript();
    for app in ["blog", "shop"] {
        let begin = text.find(&format!("http://{app}.localhost")).unwrap();
        let before = &text[..begin];
        let own = &before[before.rfind("Starting web").unwrap()..];
        assert!(own.contains("Application deployed"), "{app}: {text}");
    }
    assert!(text.contains("It failed for news"), "{text}");
    transcript!(
        "parallel",
        house,
        [
            "ps:stop --all --parallel -1 --quiet",
            "ps:report blog --running",
            "ps:start blog --parallel 2",
            "ps:stop --all --parallel 0",
            "ps:rebuild --all --parallel many",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn source_for_an_unknown_name_makes_no_app_where_that_was_said() {
    let mut house = House::new();
    transcript!(
        "autocreation",
        house,
        [
            "apps:set --global disable-autocreation true",
            "apps:set --global disable-autocreation true --format json",
            "apps:set --global disable-autocreation maybe",
            "apps:set --global autocreation true",
            "apps:set blog disable-autocreation true",
        ]
    );
    let name = "blog".parse().unwrap();
    let door: &dyn mini::ssh::Registry = &house.platform.store;
    let refused = door.create_app(&name).await.unwrap_err();
    assert!(refused.next.contains("apps:create blog"), "{refused:?}");
    house.types("apps:create blog").await;
    house.types("apps:set --global disable-autocreation").await;
    let name = "shop".parse().unwrap();
    let door: &dyn mini::ssh::Registry = &house.platform.store;
    door.create_app(&name).await.unwrap();
    let facts = std::sync::Arc::make_mut(&mut house.platform.facts);
    facts.creates_apps = false;
    house
        .types("apps:set --global disable-autocreation false")
        .await;
    insta::assert_snapshot!("autocreation_unset", house.transcript());
}
