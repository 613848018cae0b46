//! Config vars of files and of all apps.

use super::House;

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
