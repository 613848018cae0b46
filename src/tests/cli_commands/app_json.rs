//! What app.json says of deploys: commands that are run once, and how many processes there are.

use mini::engine::contract::within;
use mini::model::{
    Deploy, DeployId, DeployStatus, Release, ReleaseStatus, ReleaseVersion, Step, Timestamp,
    Trigger,
};

use super::House;
use super::house::{git, next_said};

/// A house with an app whose repository has this app.json.
async fn house_with(app_json: &str, procfile: &str) -> House {
    let house = House::new();
    let dockerfile = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let files = [
        ("Dockerfile", dockerfile.as_str()),
        ("Procfile", procfile),
        ("app.json", app_json),
    ];
    house.deploy_source("blog", &files).await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_run_in_the_order_that_dokku_has() {
    let scripts = r#"{"scripts": {"postdeploy": "echo seed", "dokku": {
        "predeploy": "echo assets", "postdeploy": "echo tell; exit 3"}}}"#;
    let mut house = house_with(scripts, "web: sleep\nrelease: echo migrate\n").await;
    for line in [
        "ps:rebuild blog",
        "config:set blog A=1",
        "ps:restart blog",
        "releases blog --format json",
    ] {
        assert_eq!(house.types(line).await, 0);
        house.retires("blog").await;
    }
    let text = house.transcript();
    let text = text.split("$ releases").next().unwrap();
    insta::assert_snapshot!("tasks", text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_run_at_the_first_deploy_is_run_at_no_other() {
    let mut house = House::new();
    let scripts = r#"{"scripts": {"postdeploy": "echo seed; exit 4"}}"#;
    house.types("apps:create blog").await;
    let name = "blog".parse().unwrap();
    house.engine.set_address(&name, [127, 0, 0, 1].into());
    let dockerfile = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let archive = |more: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in [
            ("Dockerfile", dockerfile.as_str()),
            ("app.json", scripts),
            ("more", more),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        builder.into_inner().unwrap()
    };
    assert_eq!(house.sends("git:from-archive blog", &archive("1")).await, 1);
    house.platform.deploys.idle().await;
    let text = house.transcript();
    for part in [
        "Running the postdeploy command of the first deploy: echo seed; exit 4",
        "=====> Start of blog postdeploy task output\n       seed\n=====> End of",
        "ended with status 4",
        "it is not run again by itself",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // It is not run twice, failed or not.
    assert_eq!(house.sends("git:from-archive blog", &archive("2")).await, 0);
    let text = house.transcript();
    assert!(!text.contains("seed"), "{text}");
    assert!(
        text.contains(
            "was begun before and is not run again; where it did not end well, `run blog COMMAND`"
        ),
        "{text}"
    );
    // From then on there is nothing to say.
    assert_eq!(house.sends("git:from-archive blog", &archive("3")).await, 0);
    let text = house.transcript();
    assert!(!text.contains("begun before"), "{text}");
}

/// It held the turn until its time was up, whatever was asked for, and ended unheard with the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_postdeploy_command_that_hangs_can_be_canceled() {
    let scripts = r#"{"scripts": {"dokku": {"postdeploy": "echo tell; sleep 9"}}}"#;
    let mut house = house_with(scripts, "web: sleep\n").await;
    let mut rebuild = house.begins("ps:rebuild blog");
    let mut text = String::new();
    while !text.contains("tell\n") {
        text.push_str(&next_said(&mut rebuild).await);
    }
    assert_eq!(house.types("builds:cancel blog").await, 0);
    while let Some((_, piece)) = within("its end", rebuild.recv()).await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(
        text.contains("The postdeploy command of blog was canceled; v2 serves all the same"),
        "{text}"
    );
    assert!(text.contains("Application deployed"), "{text}");
    house.platform.deploys.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_run_once_a_release_served_is_told_where_the_server_ended_before() {
    let scripts = r#"{"scripts": {"dokku": {"postdeploy": "echo tell"}}}"#;
    let mut house = house_with(scripts, "web: sleep\n").await;
    assert_eq!(house.types("ps:rebuild blog").await, 0);
    house.transcript();
    let (store, name) = (&house.platform.store, "blog".parse().unwrap());
    let app = store.app(&name).await.unwrap().unwrap();
    let deploy = Deploy {
        id: DeployId::new(Timestamp::now(), 7),
        app: app.id,
        trigger: Trigger::Rebuild,
        commit: None,
        actor: "me".to_owned(),
        step: Step::Route,
        status: DeployStatus::Running,
        release: Some(ReleaseVersion(2)),
        started_at: Timestamp::now(),
        finished_at: None,
        failure: None,
        reason: None,
    };
    store.add_deploy(&deploy).await.unwrap();
    house.platform.deploys.recover().await.unwrap();
    let line = format!("builds:output blog {}", deploy.id);
    assert_eq!(house.types(&line).await, 0);
    let text = house.transcript();
    assert!(
        text.contains("before the postdeploy command was seen to end: `echo tell`; where it has not, `run blog COMMAND`"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predeploy_command_that_fails_keeps_the_old_release() {
    let scripts = r#"{"scripts": {"dokku": {"predeploy": "echo hunter22; exit 5"}}}"#;
    let mut house = house_with(scripts, "web: sleep\n").await;
    house
        .types("config:set blog TOKEN=hunter22 --no-restart")
        .await;
    house.transcript();
    assert_eq!(house.types("ps:rebuild blog").await, 1);
    house.platform.deploys.idle().await;
    let text = house.transcript();
    assert!(text.contains("its predeploy command failed"), "{text}");
    assert!(
        text.contains("output\n       ********\n") && !text.contains("hunter22\n"),
        "{text}"
    );
    house.types("ps:report blog --release").await;
    assert!(house.transcript().ends_with("v1\n"));
}

/// What these commands said of passwords was kept, and shown by `builds:output`.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_of_a_deploy_tells_what_config_vars_are() {
    let scripts = r#"{"scripts": {"dokku": {
        "predeploy": "echo 1 hunter22", "postdeploy": "echo 3 hunter22"}}}"#;
    let mut house = house_with(scripts, "web: sleep\nrelease: echo 2 hunter22 >&2\n").await;
    house
        .types("config:set blog TOKEN=hunter22 --no-restart")
        .await;
    house.transcript();
    assert_eq!(house.types("ps:rebuild blog").await, 0);
    house.platform.deploys.idle().await;
    let text = house.transcript();
    for number in 1..=3 {
        let line = format!("       {number} ********\n");
        assert!(text.contains(&line), "no {line:?} in {text}");
    }
    for number in 1..=3 {
        let line = format!("       {number} hunter22\n");
        assert!(!text.contains(&line), "{text}");
    }
}

/// As a server leaves it that was killed when the branch had moved and before the release served.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_run_for_a_release_that_is_finished_at_the_next_start_is_told() {
    let scripts = r#"{"scripts": {"dokku": {"postdeploy": "echo tell"}}}"#;
    let mut house = house_with(scripts, "web: sleep\n").await;
    assert_eq!(house.types("ps:rebuild blog").await, 0);
    house.retires("blog").await;
    house.transcript();
    let (store, name) = (&house.platform.store, "blog".parse().unwrap());
    let app = store.app(&name).await.unwrap().unwrap();
    let serves = store.release(app.id, ReleaseVersion(2)).await.unwrap();
    let candidate = Release {
        status: ReleaseStatus::Candidate,
        ..serves.unwrap()
    };
    let promised = store.add_release(candidate).await.unwrap();
    let status = ReleaseStatus::Prepared;
    let version = promised.version;
    store
        .set_release_status(app.id, version, status)
        .await
        .unwrap();
    let commit = promised.commit.unwrap();
    let path = house.platform.repositories.path(&name);
    git(
        &path,
        &["update-ref", "refs/heads/main", commit.as_str()],
        "",
    );
    let main = "main".parse().unwrap();
    store.adopt_branch(app.id, &main).await.unwrap();
    let deploy = Deploy {
        id: DeployId::new(Timestamp::now(), 7),
        app: app.id,
        trigger: Trigger::Push,
        commit: Some(commit),
        actor: "me".to_owned(),
        step: Step::Prepared,
        status: DeployStatus::Running,
        release: Some(version),
        started_at: Timestamp::now(),
        finished_at: None,
        failure: None,
        reason: None,
    };
    store.add_deploy(&deploy).await.unwrap();
    house.platform.deploys.recover().await.unwrap();
    let line = format!("builds:output blog {}", deploy.id);
    assert_eq!(house.types(&line).await, 0);
    let text = house.transcript();
    assert!(text.contains("it was finished at the next start"), "{text}");
    assert!(
        text.contains(
            "The postdeploy command was not run: `echo tell`; `run blog COMMAND` does it"
        ),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formation_is_the_scale_from_the_switch_on_and_nobody_scales_by_hand() {
    let formation = r#"{"formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}}}"#;
    let procfile = "web: sleep\nworker: sleep\nclock: sleep\n";
    let mut house = house_with(formation, procfile).await;
    transcript!(
        "formation",
        house,
        [
            "ps:scale blog web=3",
            "ps:rebuild blog",
            "ps:scale blog",
            "ps:scale blog web=3",
            "ps:scale blog web=3 --format json",
            "ps:report blog --ps-can-scale",
            "ps:scale blog --format json",
        ]
    );
    // The release before has none: it leaves the scale as it is, and that may be changed again.
    house.retires("blog").await;
    for line in [
        "rollback blog v1",
        "ps:report blog --ps-can-scale",
        "ps:scale blog web=1",
    ] {
        assert_eq!(house.types(line).await, 0, "{}", house.transcript());
    }
    let wrong = r#"{"formation": {"web": {"quantity": 1000}}}"#;
    let mut house = house_with(wrong, procfile).await;
    assert_eq!(house.types("ps:rebuild blog").await, 1);
    let text = house.transcript();
    assert!(text.contains("may be from 0 to 100"), "{text}");
}
