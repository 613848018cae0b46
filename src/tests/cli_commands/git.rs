//! What an app is deployed from where it does not come by a push.

use mini::engine::ContainerEngine;
use mini::engine::contract::saved;
use mini::model::{AppName, Permission};

use super::House;
use mini::commands::AnyCommand;

pub(crate) fn name(app: &str) -> AppName {
    app.parse().unwrap()
}

pub(crate) async fn house_with(app: &str) -> House {
    let mut house = House::new();
    house.types(&format!("apps:create {app}")).await;
    house.engine.set_address(&name(app), [127, 0, 0, 1].into());
    house
}

/// What a line says; it has to end with this status.
pub(crate) async fn said(house: &mut House, line: &str, input: &[u8], code: u8) -> String {
    let ended = house.sends(line, input).await;
    house.platform.deploys.idle().await;
    let text = house.verbatim();
    assert_eq!(ended, code, "{text}");
    text
}

pub(crate) async fn versions(house: &House, app: &str) -> usize {
    let app = house.platform.store.app(&name(app)).await.unwrap().unwrap();
    house.platform.store.releases(app.id).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_deployed_once_and_again_when_its_name_has_moved_on() {
    let mut house = house_with("web").await;
    let deploy = "git:from-image web nginx:alpine";
    house.engine.publish("nginx:alpine", &[house.port]);
    let text = said(&mut house, deploy, b"", 0).await;
    for part in [
        "-----> Fetching the image nginx:alpine",
        "-----> Deploying web from the image nginx:alpine",
        "=====> Application deployed:",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let text = said(&mut house, deploy, b"", 0).await;
    assert!(
        text.contains("No changes detected: web runs just that already"),
        "{text}"
    );
    let line = "--quiet git:from-image web nginx:alpine --format json";
    let text = said(&mut house, line, b"", 0).await;
    assert!(
        text.contains(r#"{"app":"web","is_deployed":false}"#),
        "{text}"
    );
    assert_eq!(versions(&house, "web").await, 1);

    house.engine.publish("nginx:alpine", &[house.port]);
    said(&mut house, deploy, b"", 0).await;
    assert_eq!(versions(&house, "web").await, 2);
    // The same name, and by now what it stood for at first.
    said(&mut house, "rollback web", b"", 0).await;
    let text = said(&mut house, "releases web", b"", 0).await;
    assert!(text.contains("Rollback to v1"), "{text}");
    // What was decided about the source of the app is about its source.
    said(&mut house, "builder:set web selected node", b"", 0).await;
    said(&mut house, "builder:set web build-dir apps/web", b"", 0).await;
    let text = said(&mut house, "ps:rebuild web", b"", 0).await;
    assert!(text.contains("from the image nginx:alpine"), "{text}");
    let text = said(&mut house, "buildpacks:dockerfile web", b"", 0).await;
    assert!(text.contains("FROM nginx:alpine@sha256:"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_only_the_server_has_is_taken_from_there() {
    let mut house = house_with("web").await;
    let here = "127.0.0.1:1/none:1";
    let line = format!("git:from-image web {here}");
    let text = said(&mut house, &line, b"", 1).await;
    for part in [
        "is not on the server and could not be fetched",
        "connection refused",
        "docker pull",
        "git:load-image",
    ] {
        assert!(text.contains(part), "{text}");
    }
    house.engine.add_local_image(here, &[house.port]);
    let text = said(&mut house, &line, b"", 0).await;
    assert!(
        text.contains("the image of that name on the server is taken"),
        "{text}"
    );
    let text = said(&mut house, "buildpacks:dockerfile web", b"", 0).await;
    assert!(text.contains("FROM mini-source/"), "{text}");
    said(&mut house, "ps:rebuild web", b"", 0).await;
    said(&mut house, "git:from-image nope nginx", b"", 20).await;
    let text = said(&mut house, "git:from-image web 'a b'", b"", 2).await;
    assert!(
        text.contains("An image is written like nginx:alpine"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_loaded_from_an_archive() {
    let mut house = house_with("web").await;
    let archive = saved(&[("shop:1", house.port), ("other:1", 1)]).unwrap();
    let line = "git:load-image web shop:1";
    for (line, input, part) in [
        (line, &b""[..], "nothing came on standard input"),
        (line, b"hello", "neither a tar archive nor a packed one"),
        (
            "git:load-image web shop:2",
            &archive,
            "it holds shop:1, other:1, and not shop:2",
        ),
    ] {
        let text = said(&mut house, line, input, 1).await;
        assert!(
            text.contains(part) && text.contains("docker save"),
            "{text}"
        );
    }
    let text = said(&mut house, line, &archive, 0).await;
    assert!(
        text.contains("Deploying web from the image shop:1"),
        "{text}"
    );
    assert!(house.engine.image("shop:1").await.unwrap().is_none());
    let text = said(&mut house, line, &archive, 0).await;
    assert!(text.contains("No changes detected"), "{text}");
    said(&mut house, "ps:rebuild web", b"", 0).await;

    // Gone from Docker, it can be had from nowhere but where it came from.
    said(&mut house, "ps:stop web", b"", 0).await;
    house.engine.remove_app(&name("web"), &[]).await.unwrap();
    let text = said(&mut house, "ps:rebuild web", b"", 1).await;
    for part in [
        "its image is gone from Docker",
        "no registry has it, and it is not part of a backup",
        "git:load-image web IMAGE",
    ] {
        assert!(text.contains(part), "{text}");
    }
    said(&mut house, line, &archive, 0).await;
    assert!(house.process("web", "web", 1).await.address.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn source_is_deployed_from_an_archive() {
    let mut house = house_with("shop").await;
    let archive = |path: &str, text: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
        builder.into_inner().unwrap()
    };
    let dockerfile = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let source = archive("shop-1.0/Dockerfile", &dockerfile);
    let line = "git:from-archive shop";
    // Cut off between two files, an archive looks whole.
    let cut = source.get(..source.len() - 1024).unwrap();
    assert_ne!(house.leaves(line, cut).await, 0);
    house.platform.deploys.idle().await;
    assert_eq!(versions(&house, "shop").await, 0);
    let text = said(&mut house, line, &source, 0).await;
    for part in ["Building shop from Dockerfile", "Application deployed"] {
        assert!(text.contains(part), "{text}");
    }
    let text = said(&mut house, line, &source, 0).await;
    assert!(text.contains("No changes detected"), "{text}");
    let bad = archive("../Dockerfile", &dockerfile);
    let text = said(&mut house, line, &bad, 1).await;
    assert!(text.contains("the path `../Dockerfile`"), "{text}");
    let line = "git:from-archive shop https://example.com/a.tar";
    let text = said(&mut house, line, b"", 1).await;
    assert!(
        text.contains("curl -fsSL URL | ssh mini git:from-archive shop"),
        "{text}"
    );
    assert_eq!(versions(&house, "shop").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_creates_its_app_where_that_is_asked_for_and_the_server_does_so() {
    let mut house = house_with("other").await;
    house
        .engine
        .set_address(&name("shop"), [127, 0, 0, 1].into());
    let mut builder = tar::Builder::new(Vec::new());
    let text = format!("FROM base\nEXPOSE {}\nCMD sleep\n", house.port);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "app/Dockerfile", text.as_bytes())
        .unwrap();
    let source = builder.into_inner().unwrap();
    said(&mut house, "git:from-archive shop", &source, 20).await;
    let line = "git:from-archive shop --create";
    let facts = std::sync::Arc::make_mut(&mut house.platform.facts);
    facts.creates_apps = false;
    let text = said(&mut house, line, &source, 20).await;
    assert!(text.contains("Create it with `apps:create shop`"), "{text}");
    let facts = std::sync::Arc::make_mut(&mut house.platform.facts);
    facts.creates_apps = true;
    // What is no archive creates nothing.
    said(&mut house, line, b"hello", 1).await;
    said(&mut house, "apps:exists shop", b"", 20).await;
    let text = said(&mut house, line, &source, 0).await;
    for part in ["-----> Creating shop...", "Application deployed"] {
        assert!(text.contains(part), "{text}");
    }
    let text = said(&mut house, line, &source, 0).await;
    assert!(
        text.contains("No changes detected") && text.contains("shop.localhost"),
        "{text}"
    );
    assert!(!text.contains("Creating"), "{text}");
    // As it is, there is no Dockerfile at the root.
    let text = said(&mut house, "git:from-archive shop --as-is", &source, 1).await;
    assert!(text.contains("shop was not deployed"), "{text}");
}

#[test]
fn what_brings_source_needs_the_permission_to_change_the_app_and_streams_where_it_must() {
    for (text, is_streamed) in [
        (
            r#"{"command": "git:from-image", "arguments": {"app": "shop", "image": "nginx"}}"#,
            false,
        ),
        (
            r#"{"command": "git:load-image", "arguments": {"app": "shop", "image": "nginx"}}"#,
            true,
        ),
        (
            r#"{"command": "git:from-archive", "arguments": {"app": "shop"}}"#,
            true,
        ),
    ] {
        let command: AnyCommand = serde_json::from_str(text).unwrap();
        assert_eq!(command.needs_stream().is_some(), is_streamed, "{text}");
        assert_eq!(command.reads_input(), is_streamed, "{text}");
        assert_eq!(
            command.permissions(),
            (Permission::ChangeApp(name("shop")), None)
        );
    }
}
