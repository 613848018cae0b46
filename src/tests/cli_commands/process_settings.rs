//! What processes are started with: settings, options of their containers, and what is seen of them.

use mini::model::Caller;

use super::House;
use super::git::said;

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_set_and_a_start_command_is_in_force_from_the_next_deploy_on() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("worker", "sleep")])
        .await;
    transcript!(
        "set",
        house,
        [
            "ps:set blog stop-timeout-seconds 60",
            "ps:set blog stop-timeout-seconds 60 --format json",
            "ps:set blog stop-timeout-seconds 1h",
            "ps:set blog stop-timeout 60",
            "ps:set blog restart-policy always",
            "ps:set blog start-cmd 'sleep 7'",
            "ps:report blog --ps-start-cmd",
            "ps:report blog --ps-stop-timeout-seconds",
            "ps:set nope start-cmd x",
        ]
    );
    assert_eq!(house.types("ps:restart blog").await, 0);
    let commands = |inspected: &serde_json::Value| -> Vec<String> {
        let containers = inspected.as_array().unwrap().iter();
        let commands = containers.map(|container| container["Config"]["Cmd"].to_string());
        commands.collect()
    };
    house.retires("blog").await;
    let inspected = house.json("ps:inspect blog").await;
    assert_eq!(commands(&inspected), ["\"sleep 7\""]);
    assert_eq!(house.types("ps:scale blog worker=1").await, 0);
    let inspected = house.json("ps:inspect blog").await;
    assert_eq!(commands(&inspected), ["\"sleep 7\"", "\"sleep\""]);
    for line in ["ps:set blog start-cmd", "ps:restart blog"] {
        assert_eq!(house.types(line).await, 0);
    }
    house.retires("blog").await;
    let inspected = house.json("ps:inspect blog --format json").await;
    assert_eq!(commands(&inspected), ["\"sleep\"", "\"sleep\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_have_options_and_what_is_of_the_host_is_given_on_the_server_alone() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let me = std::mem::replace(
        &mut house.caller,
        Caller::Key {
            name: "me".parse().unwrap(),
            fingerprint: "SHA256:me".to_owned(),
        },
    );
    for line in [
        "docker-options:add blog deploy,run '--memory 512m'",
        "docker-options:add blog run '--ulimit nofile=64'",
        "docker-options:add blog deploy '--privileged'",
        "docker-options:add blog deploy '-v /:/host'",
        "docker-options:add blog deploy '--network host'",
        "docker-options:add blog start '--memory 512m'",
        "docker-options:add blog build,deploy '--memory 512m'",
        "docker-options:add nope deploy '--privileged'",
    ] {
        house.types(line).await;
    }
    house.caller = me;
    transcript!(
        "options",
        house,
        [
            "docker-options:add blog deploy '--cap-add NET_ADMIN' ",
            "docker-options:report blog",
            "docker-options:list blog run",
            "docker-options:remove blog run '-m 512m'",
            "docker-options:remove blog run '--memory 512m'",
            "--format json docker-options:add blog deploy '--cpus 1.5'",
        ]
    );
    assert_eq!(house.types("ps:restart blog").await, 0);
    house.retires("blog").await;
    let inspected = house.json("ps:inspect blog").await;
    let options = &inspected[0]["HostConfig"]["Options"];
    let expected = ["--cap-add NET_ADMIN", "--cpus 1.5", "--memory 512m"];
    assert_eq!(*options, serde_json::json!(expected));
    house.types("docker-options:clear blog deploy").await;
    house.types("docker-options:clear blog --format json").await;
    let text = house.transcript();
    assert!(text.contains(r#""removed":1"#), "{text}");
    let report = said(&mut house, "docker-options:report blog", b"", 0).await;
    assert!(report.contains("Docker options run:"), "{report}");
    for option in ["--memory", "--ulimit", "--cpus"] {
        assert!(!report.contains(option), "{report}");
    }
}

/// One such row, and the processes of no app were looked after any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_does_not_read_stops_nobody_and_is_removed_by_its_text() {
    let mut house = House::new();
    house.deploy("blog", &[("web", "sleep")]).await;
    let database = rusqlite::Connection::open(house.database()).unwrap();
    let rows = ["--label  =", "--label 'mini.app=x'", "--label 'old=x'"];
    for row in rows {
        let insert = "INSERT INTO container_options (app_id, phase, option) \
                      SELECT id, 'deploy', ?1 FROM apps WHERE name = 'blog'";
        assert_eq!(database.execute(insert, [row]).unwrap(), 1);
    }
    let add = "docker-options:add blog deploy '--cpus 1.5'";
    said(&mut house, add, b"", 0).await;
    said(&mut house, "ps:restart blog", b"", 0).await;
    house.retires("blog").await;
    let inspected = house.json("ps:inspect blog").await;
    let options = &inspected[0]["HostConfig"]["Options"];
    assert_eq!(*options, serde_json::json!(["--cpus 1.5", "--label old=x"]));
    for row in rows {
        let report = said(&mut house, "docker-options:report blog", b"", 0).await;
        assert!(report.contains(row), "{row}: {report}");
        let remove = format!("docker-options:remove blog deploy \"{row}\"");
        let text = said(&mut house, &remove, b"", 0).await;
        assert!(text.contains(&format!("Removed {row} from")), "{text}");
        // What it says is why it could not be an option.
        said(&mut house, &remove, b"", 1).await;
    }
    let list = said(&mut house, "docker-options:list blog deploy", b"", 0).await;
    assert!(!list.contains("--label"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_inspected_has_no_value_of_a_config_var() {
    let mut house = House::new();
    house.types("apps:create blog").await;
    house
        .deploy("shop", &[("web", "serve --token hunter2x")])
        .await;
    house.types("config:set shop TOKEN=hunter2x --quiet").await;
    house.retires("shop").await;
    house.transcript();
    house.types("ps:inspect shop").await;
    let text = house.verbatim();
    assert!(text.contains("TOKEN=********"), "{text}");
    assert!(text.contains("serve --token ********"), "{text}");
    assert!(!text.contains("hunter2x"), "{text}");
    assert_eq!(house.json("ps:inspect blog").await, serde_json::json!([]));
    assert_eq!(house.types("ps:inspect nope").await, 20);
}
