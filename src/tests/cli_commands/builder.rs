//! How an app is built: what is set, what is found, what is suggested.

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
            "builder:set blog build-dir",
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
