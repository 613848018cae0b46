//! Keys, and who removes them.

use mini::model::Caller;

use super::{House, KEY};

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
