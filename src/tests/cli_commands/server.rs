//! What the server says of itself.

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_what_it_is_and_what_is_wrong() {
    let mut house = House::new();
    transcript!(
        "server",
        house,
        [
            "version",
            "--version",
            "version --format json",
            "help builds",
            "foo",
            "apps:lst",
            "config:set blog A='b"
        ]
    );
    assert_eq!(house.types("doctor --format json").await, 0);
    house.engine.go_down();
    assert_eq!(house.types("doctor").await, 1);
    let text = house.transcript();
    assert!(text.contains("failed   docker"), "{text}");
    assert!(text.contains("systemctl start docker"), "{text}");
}
