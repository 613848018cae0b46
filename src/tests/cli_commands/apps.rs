//! Apps that are locked, all apps at once, and what a release has changed.

use super::House;

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
