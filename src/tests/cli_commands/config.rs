//! Config vars of files and of all apps.

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn config_vars_are_set_shown_and_unset() {
    let mut house = House::new();
    transcript!(
        "config",
        house,
        [
            "apps:create blog",
            "config blog",
            "config:set blog A='b c' TOKEN=x=y",
            "config:set blog A=d --show --format json",
            "config:set blog KEY",
            "config:set blog 1A=x",
            "config:set blog",
            "config:set nope A=b",
            "config:show blog",
            "config:show blog --show",
            "config:show blog --format json",
            "config:keys blog",
            "config:keys blog --format json",
            "config:get blog TOKEN",
            "config:get blog TOKEN --quoted",
            "config:get blog TOKEN --format json",
            "config:get blog NOPE",
            "config:get nope A",
            "config:export blog",
            "config:export blog --format json",
            "config:export blog --format xml",
            "config:unset blog TOKEN NOPE",
            "config:unset blog NOPE --format json",
            "config:show blog --format json",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_app_is_deployed_again_with_new_config() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    for line in [
        "config:set blog A=b --no-restart",
        "releases blog",
        "config:set blog SECRET=hunter2",
        "config:set blog A=c --format json",
        "config:unset blog A",
        "releases blog",
        "ps:restart blog",
        "rollback blog v1",
        "rollback blog v99",
        "releases blog --format json",
        "builds:list blog",
    ] {
        house.retires("blog").await;
        house.types(line).await;
    }
    insta::assert_snapshot!("config_deployed", house.transcript());
    house.types("builds:output blog").await;
    house.types("builds:output blog current --quiet").await;
    let json = house.json("builds:list blog --num 1 --format json").await;
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["status"], "succeeded");
    assert_eq!(json[0]["trigger"], "rollback");
    let info = house.json("builds:info blog --format json").await;
    assert_eq!(info["id"], json[0]["id"]);
    let output = house.json("builds:output blog --format json").await;
    assert_eq!(output["status"], "succeeded");
    assert!(!output["events"].as_array().unwrap().is_empty());
    insta::assert_snapshot!("builds_output", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_redeploy_says_that_the_vars_are_stored_and_the_old_release_runs() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let script = "echo no database; exit 1";
    house.engine.set_script(&"blog".parse().unwrap(), script);
    assert_eq!(house.types("config:set blog A=b").await, 1);
    let text = house.transcript();
    assert!(
        text.contains("The config vars are stored, but v1 keeps running"),
        "{text}"
    );
    assert!(text.contains("no database"), "{text}");
    house.types("ps:report blog --running").await;
    house.types("config:get blog A").await;
    let text = house.transcript();
    assert_eq!(
        text,
        "$ ps:report blog --running\ntrue\n$ config:get blog A\nb\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_for_all_apps_is_under_what_an_app_has_of_its_own() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house.deploy("shop", &[("web", "sleep")]).await;
    transcript!(
        "global",
        house,
        [
            "config:show --global",
            "config:set --global A=1 B=2 --no-restart",
            "config:set shop A=own --no-restart",
            "config:show --global --show",
            "config:keys shop",
            "config:keys shop --merged",
            "config:show shop --merged --show",
            "config:show blog --show",
            "config:export shop --merged --format envfile",
            "config:get --global A",
            "config:get blog A",
            "config:set --global A=3",
            "releases shop",
            "config:unset --global B NOPE",
            "config:clear --global --no-restart --format json",
            "config:show --global --format json",
            "config:set --glob A=1",
        ]
    );
    let info = house.json("releases:info blog v2 --format json").await;
    assert_eq!(info["config"]["added"], serde_json::json!(["A", "B"]));
    assert_eq!(info["compared_with"], 1);
    assert_eq!(info["actor"], "console");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_with_what_all_apps_have_that_fails_for_one_is_told_and_others_have_it() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    house.deploy("shop", &[("web", "sleep")]).await;
    let script = "echo no database; exit 1";
    house.engine.set_script(&"blog".parse().unwrap(), script);
    assert_eq!(house.types("config:set --global A=1").await, 1);
    let text = house.transcript();
    assert!(
        text.contains("Not every app runs with the config vars: blog"),
        "{text}"
    );
    let info = house.json("releases:info shop --format json").await;
    assert_eq!(info["config"]["added"], serde_json::json!(["A"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_set_as_a_whole_or_not_at_all() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.transcript();
    let file = "# of the app\nexport A='one\ntwo'\nB=\"x\\ty\" # tabbed\n\nC=plain\n";
    house.types_with("config:import blog", file).await;
    house.types("config:export blog").await;
    house
        .types_with("config:import blog --replace", "{\"C\": 1}")
        .await;
    house.types("config:export blog").await;
    house
        .types_with("config:import blog", "D=1\nhunter2\n")
        .await;
    house.types_with("config:import blog", "").await;
    house.types_with("config:import nope", "A=1\n").await;
    house.sends("config:import blog", b"A=\xff").await;
    house.types("config:keys blog").await;
    house.types("config:clear blog").await;
    house.types("config:clear blog --format json").await;
    insta::assert_snapshot!("imported", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_imported_byte_by_byte() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.types("apps:create copy").await;
    let value = "a b=c\n\"d\" 'e' $F `g` \\h #i \u{fc}\r\n\t";
    let json = serde_json::json!({"VALUE": value, "EMPTY": "", "HASH": "#1"}).to_string();
    assert_eq!(house.types_with("config:import blog", &json).await, 0);
    let stored = house.json("config:export blog --format json").await;
    assert_eq!(stored["VALUE"], value);
    for format in ["envfile", "json", "json-list", "exports"] {
        house.verbatim();
        house
            .types(&format!("config:export blog --format {format}"))
            .await;
        let said = house.verbatim();
        let (_, exported) = said.split_once('\n').unwrap();
        house.types("config:clear copy").await;
        assert_eq!(
            house.types_with("config:import copy", exported).await,
            0,
            "{format}"
        );
        let again = house.json("config:export copy --format json").await;
        assert_eq!(again, stored, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_app_json_wants_is_set_once() {
    let mut house = House::new();
    let app_json = r#"{"env": {
        "GREETING": "hello", "SECRET": {"generator": "secret"}, "BUCKET": {"description": "of S3"}, "MINE": {"value": "theirs"}
    }}"#;
    let dockerfile = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let files = [("Dockerfile", dockerfile.as_str()), ("app.json", app_json)];
    house.deploy_source("blog", &files).await;
    house.types("config:set blog MINE=mine --no-restart").await;
    house.transcript();
    let exit_code = house.types("ps:rebuild blog").await;
    let text = house.transcript();
    assert_eq!(exit_code, 0, "{text}");
    assert!(text.contains("app.json sets GREETING, SECRET\n"), "{text}");
    assert!(
        text.contains("asks for the config var BUCKET, which is not set (of S3)"),
        "{text}"
    );
    let first = house.json("config:export blog --format json").await;
    assert_eq!(first["GREETING"], "hello");
    assert_eq!(first["MINE"], "mine");
    assert_eq!(first["SECRET"].as_str().unwrap().len(), 64);
    assert!(!text.contains(first["SECRET"].as_str().unwrap()));
    house.retires("blog").await;
    assert_eq!(house.types("ps:rebuild blog").await, 0);
    assert!(!house.transcript().contains("app.json sets"));
    assert_eq!(house.json("config:export blog --format json").await, first);
}

/// Nothing started any more, for a reason that named no variable.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_program_can_be_given_is_refused() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let longest = format!("A={}", "x".repeat(131_069));
    let longer = format!("B=1\n{longest}x");
    assert_eq!(
        house.sends("config:import blog", longer.as_bytes()).await,
        1
    );
    let text = house.transcript();
    assert!(text.contains("the value of A is too long"), "{text}");
    house.types("config:keys blog").await;
    assert_eq!(house.transcript(), "$ config:keys blog\n");
    assert_eq!(
        house.sends("config:import blog", longest.as_bytes()).await,
        0
    );
}

/// They were stored, and nothing of the app started any more.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_no_program_can_be_given_together_are_refused() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let lines = |names: &str| {
        let value = "x".repeat(120_000);
        let lines = names.chars().map(|name| format!("{name}={value}\n"));
        lines.collect::<String>().into_bytes()
    };
    for names in ["ABCDEFGH", "IJKLMNOP"] {
        assert_eq!(house.sends("config:import blog", &lines(names)).await, 0);
    }
    house.transcript();
    for line in ["config:import blog", "config:import --global"] {
        assert_eq!(house.sends(line, &lines("Q")).await, 1);
        let text = house.transcript();
        for part in [
            "No config var was set: the config vars are too large together",
            "blog: they would take 2040187 bytes",
            "more than 1966080 bytes",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }
    house.types("config:get blog Q").await;
    house.types("config:keys --global").await;
    let text = house.transcript();
    assert!(text.ends_with("$ config:keys --global\n"), "{text}");
    let replace = "config:import blog --replace";
    assert_eq!(house.sends(replace, &lines("Q")).await, 0);
}

/// Half of a file was set, and with `--replace` what stood in the other half was unset.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_short_changes_nothing() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house.types("config:set blog OLD=1").await;
    let code = house
        .leaves("config:import --replace blog", b"TOKEN=abc")
        .await;
    assert_ne!(code, 0);
    house.transcript();
    house.types("config:keys blog").await;
    assert_eq!(house.transcript(), "$ config:keys blog\nOLD\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_an_archive_with_a_file_for_each_config_var() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    let value = "a b=c\n\"d\" 'e' $F `g` \\h #i \u{fc}\r\n\t";
    let json = serde_json::json!({"VALUE": value, "EMPTY": ""}).to_string();
    house
        .types_with("config:import blog --no-restart", &json)
        .await;
    house.types("config:set --global ALL=1 --no-restart").await;
    house.verbatim();
    assert_eq!(house.types("config:bundle blog --merged").await, 0);
    let said = house.verbatim();
    let (_, archive) = said.split_once('\n').unwrap();
    // The last line feed is that of the transcript, behind the end of the archive.
    let mut found = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(archive.as_bytes()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut value = String::new();
        std::io::Read::read_to_string(&mut entry, &mut value).unwrap();
        found.insert(entry.path().unwrap().display().to_string(), value);
    }
    let expected = [("ALL", "1"), ("EMPTY", ""), ("VALUE", value)];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(found, expected.into());
    transcript!(
        "bundle",
        house,
        ["--format json config:bundle blog", "config:bundle nope"]
    );
}
