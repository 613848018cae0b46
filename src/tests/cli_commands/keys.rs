//! Keys, and who removes them.

use mini::model::Caller;

use super::House;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@laptop\n";

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_listed_and_removed() {
    let mut house = House::new();
    house.types_with("ssh-keys:add me", KEY).await;
    house.types_with("ssh-keys:add other", KEY).await;
    house
        .types_with(
            "ssh-keys:add me",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAHlLkA5bqEAyXIv63DcvWvDqVpOHGJWTzBqdVtV0tUN\n",
        )
        .await;
    house
        .types_with("ssh-keys:add x", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
        .await;
    house.types_with("ssh-keys:add x", "hello\n").await;
    house.types("ssh-keys:add x").await;
    house.types("ssh-keys:add 'a b'").await;
    house.types("ssh-keys:list").await;
    house.types("ssh-keys:list --format json").await;
    house.types("ssh-keys:remove me").await;
    house.types("ssh-keys:remove me").await;
    house.types("ssh-keys:list").await;
    house.types("ssh-keys:list --format json").await;
    insta::assert_snapshot!("ssh_keys", house.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_key_is_not_removed_by_whoever_came_in_with_it() {
    let mut house = House::new();
    house.types_with("ssh-keys:add me", KEY).await;
    house.caller = Caller::Key {
        name: "me".parse().unwrap(),
        fingerprint: "SHA256:x".to_owned(),
    };
    house.transcript();
    assert_eq!(house.types("ssh-keys:remove me").await, 1);
    let text = house.transcript();
    assert!(text.contains("it is the last one"), "{text}");
    house.types("ssh-keys:list --quiet").await;
    assert!(house.transcript().contains("NAME=\"me\""));
    assert_eq!(house.types("ssh-keys:remove me --force").await, 0);

    house.types_with("ssh-keys:add me", KEY).await;
    house.caller = Caller::Console;
    assert_eq!(house.types("ssh-keys:remove me").await, 0);
}
