//! How an app is built: what is set, what is found, what is suggested.

use mini::engine::{BuildEvent, ContainerEngine, EngineError};

use super::House;

const PACKAGE: &str =
    r#"{"scripts": {"start": "node ."}, "dependencies": {"express": "5", "mongoose": "8"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn builders_are_set_reported_and_unset() {
    let mut house = House::new();
    transcript!(
        "builder",
        house,
        [
            "apps:create blog",
            "builder:report blog",
            "builder:set blog build-dir ./apps//web/",
            "builder:set blog selected node --format json",
            "builder-dockerfile:set blog dockerfile-path docker/Dockerfile.prod",
            "builder:set blog target production",
            "builder:report blog",
            "builder:report blog --builder-computed-build-dir",
            "builder:report --format json",
            "builder:set --global build-dir apps/all",
            "builder:set --global build-timeout 1200s --format json",
            "builder:set blog build-timeout 30m",
            "builder:set blog build-memory-limit 512MiB",
            "builder:set --global target production",
            "builder:set blog build-timeout never",
            "builder:set blog build-memory-limit 1k",
            "builder:report blog",
            "builder:set --global build-timeout",
            "builder:set blog build-dir",
            "builder:report blog --builder-computed-build-dir",
            "builder:set blog selected ''",
            "builder:set blog build-dir ../x",
            "builder:set blog build-dir /",
            "builder:set blog target 'a b'",
            "builder:set blog taget x",
            "builder:set nope target x",
            "builder:report blog --format json",
            "help builder:set",
        ]
    );
    for (name, why) in [
        ("nod", "there is no buildpack `nod`; did you mean `node`?"),
        ("herokuish", "mini has no builder `herokuish`"),
    ] {
        house
            .types(&format!("builder:set blog selected {name}"))
            .await;
        let text = house.transcript();
        assert!(
            text.contains(why) && text.contains("Choose one of dockerfile, "),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn build_arguments_are_added_and_removed() {
    let mut house = House::new();
    transcript!(
        "docker_options",
        house,
        [
            "apps:create blog",
            "docker-options:add blog build '--build-arg API_URL=https://api.example.com/?a=b'",
            "--format json docker-options:add blog build --build-arg MODE=fast",
            "docker-options:add blog build --build-arg MODE=slow",
            "docker-options:add blog build --build-arg MODE=slow --format json",
            "docker-options:report blog",
            "docker-options:add blog build --build-arg NONE",
            "docker-options:add blog build '--memory 1g'",
            "docker-options:add blog build '--cpu-quota 1000'",
            "docker-options:add blog build '--network host'",
            "docker-options:add blog build '--secret id=NPM_TOKEN'",
            "--format json docker-options:add blog build --secret id=npmrc,env=NPMRC",
            "docker-options:add blog build '--secret id=pip.conf'",
            "docker-options:add blog build '--secret id=a,src=/etc/shadow'",
            "docker-options:report blog",
            "docker-options:remove blog build '--secret id=npmrc'",
            "--format json docker-options:remove blog build --secret id=npmrc",
            "docker-options:list blog",
            "docker-options:list blog build --format json",
            "docker-options:list blog deploy",
            "builder:report blog --builder-secrets",
            "docker-options:add blog deploy '--build-arg A=1'",
            "docker-options:add blog build '--build-arg A-B=1'",
            "docker-options:remove blog build '--build-arg MODE'",
            "docker-options:remove blog build '--build-arg MODE'",
            "builder:report blog --builder-arguments",
            "docker-options:clear blog",
            "docker-options:report blog --docker-options-build",
            "docker-options:report nope",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_looked_at_with_its_settings() {
    let mut house = House::new();
    house
        .deploy_source(
            "shop",
            &[
                ("apps/web/Dockerfile", "FROM base AS only\nCMD sleep\n"),
                ("apps/web/package.json", PACKAGE),
                (
                    "apps/web/.env.example",
                    "# For cookies\nSESSION_SECRET=x\nCURRENCY=EUR\n",
                ),
                (
                    "apps/web/mini.toml",
                    "[build]\ntarget = \"only\"\n\n[build.arguments]\nA = 1\n",
                ),
            ],
        )
        .await;
    for line in [
        "buildpacks:detect shop",
        "buildpacks:dockerfile shop",
        "config:suggest shop",
    ] {
        assert_eq!(house.types(line).await, 1);
        let text = house.transcript();
        let next = "next: if the app is in apps/web, say so with the setting `build-dir`";
        assert!(text.contains(next), "{text}");
    }
    let error = house.json("buildpacks:detect shop --json").await;
    assert_eq!(error["error"]["code"], "app-failed");
    assert!(error["error"]["file"].is_null() && error["error"]["line"].is_null());
    transcript!(
        "buildpacks",
        house,
        [
            "builder:set shop build-dir apps/web",
            "config:set shop MINI_START_COMMAND='node server.js' --no-restart",
            "buildpacks:detect shop",
            "buildpacks:dockerfile shop",
            "config:suggest shop",
            "config:suggest shop --format json",
            "config:suggest shop --apply --no-restart",
            "config:keys shop",
            "config:suggest shop --template node-express --apply --no-restart",
            "config:suggest shop --template node-expres",
            "config:keys shop",
            "config:get shop PORT",
            "config:templates",
            "config:templates --format json",
            "repo:purge-cache shop",
            "repo:purge-cache nope --format json",
            "apps:create empty",
            "buildpacks:detect empty",
            "buildpacks:detect nope",
        ]
    );
    let detection = house.json("buildpacks:detect shop --format json").await;
    assert_eq!(detection["directory"], "apps/web");
    assert_eq!(detection["target"], "only");
    assert_eq!(detection["arguments"]["A"], "1");
    assert_eq!(detection, house.json("buildpacks:detect shop --json").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_by_what_is_set() {
    let mut house = House::new();
    let dockerfile = "FROM base AS first\nRUN echo first\nCMD sleep\nFROM base AS second\nRUN echo second\nCMD sleep\n";
    house
        .deploy_source(
            "shop",
            &[
                ("web/docker/Dockerfile", dockerfile),
                ("web/Procfile", "worker: sleep\n"),
            ],
        )
        .await;
    for line in [
        "ps:scale shop web=0",
        "builder:set shop build-dir nowhere",
        "ps:rebuild shop",
        "builder:set shop build-dir web",
        "builder:set shop dockerfile-path docker/Dockerfile",
        "builder:set shop target third",
        "ps:rebuild shop",
        "builder:set shop target first",
        "ps:rebuild shop",
    ] {
        house.types(line).await;
        // A deploy that has failed is told of before its turn is over.
        house.platform.deploys.idle().await;
    }
    insta::assert_snapshot!("builder_build", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_release_needs_is_pruned() {
    let mut house = House::new();
    house
        .deploy_source("shop", &[("Dockerfile", "FROM base\nCMD sleep\n")])
        .await;
    house.deploy("blog", &[("web", "sleep")]).await;
    house.types("ps:rebuild shop").await;
    house.platform.deploys.idle().await;
    house.transcript();
    let name = |name: &str| name.parse().unwrap();
    house.engine.add_image_of(&name("shop"), "mini/shop:old");
    house.engine.add_image_of(&name("gone"), "mini/gone:old");
    house.engine.add_image("foreign:1", &[]);
    transcript!(
        "builds_prune",
        house,
        [
            "builds:report shop",
            "builds:prune --dry-run",
            "builds:prune --dry-run --format json",
            "builds:prune blog",
            "builds:prune shop",
            "builds:prune",
            "builds:prune",
            "builds:prune nope",
            "builds:report --format json",
            "rollback shop",
        ]
    );
    let engine = &house.engine;
    assert!(engine.image("foreign:1").await.unwrap().is_some());
    assert!(engine.image("mini/shop:1").await.unwrap().is_some());
    assert!(engine.image("mini/gone:old").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_without_a_value_is_named_and_one_with_a_value_is_mounted_and_never_said() {
    let mut house = House::new();
    let package =
        r#"{"scripts": {"start": "node .", "build": "x"}, "dependencies": {"express": "5"}}"#;
    house
        .deploy_source("shop", &[("package.json", package)])
        .await;
    for line in [
        "docker-options:add shop build '--secret id=NPM_TOKEN'",
        "ps:rebuild shop",
    ] {
        house.types(line).await;
        house.platform.deploys.idle().await;
    }
    let text = house.transcript();
    assert!(
        text.contains("its build secret NPM_TOKEN has no value"),
        "{text}"
    );
    assert!(text.contains("config:set shop NPM_TOKEN=VALUE"), "{text}");

    house
        .types("config:set shop NPM_TOKEN=hush-hush --no-restart")
        .await;
    house.types("buildpacks:dockerfile shop").await;
    let text = house.transcript();
    let mounted = "RUN --mount=type=secret,id=NPM_TOKEN --mount=type=cache,";
    assert!(text.contains(mounted), "{text}");
    let said =
        ["before hush-hush after", "all is well"].map(|line| Ok(BuildEvent::Line(line.to_owned())));
    let failed = Err(EngineError::BuildFailed {
        step: Some("[2/2] RUN x".to_owned()),
        said: "401: hush-hush".to_owned(),
    });
    house
        .engine
        .script_build(said.into_iter().chain([failed]).collect());
    house.types("ps:rebuild shop").await;
    house.platform.deploys.idle().await;
    house.types("builds:output shop").await;
    house.types("builds:info shop").await;
    let text = house.transcript();
    assert!(!text.contains("hush-hush"), "{text}");
    assert!(
        text.contains("before ******** after") && text.contains("401: ********"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_whose_cache_has_lost_a_layer_is_made_once_more() {
    let mut house = House::new();
    house
        .deploy_source("shop", &[("Dockerfile", "FROM base\nCMD sleep\n")])
        .await;
    let lost = || {
        let said = "failed to get layer sha256:12ab: layer does not exist".to_owned();
        vec![Err(EngineError::CacheLost { said })]
    };
    house.engine.script_build(lost());
    house.types("ps:rebuild shop").await;
    house.platform.deploys.idle().await;
    let text = house.transcript();
    let told = "lost a layer (failed to get layer sha256:12ab: layer does not exist): building once more without the cache";
    assert!(
        text.contains(told) && text.contains("Starting web"),
        "{text}"
    );

    house.engine.script_build(lost());
    house.engine.script_build(lost());
    house.types("ps:rebuild shop").await;
    house.platform.deploys.idle().await;
    house.types("builds:info shop").await;
    let text = house.transcript();
    assert!(
        text.contains("the build cache of Docker is damaged"),
        "{text}"
    );
    assert!(!text.contains("Starting web"), "{text}");
}
