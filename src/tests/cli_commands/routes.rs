//! Addresses that lead elsewhere: routes and redirects.

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_routed_to_other_processes_and_apps() {
    let mut house = House::new();
    house
        .deploy("shop", &[("web", "sleep"), ("api", "sleep")])
        .await;
    house.types("ps:scale shop api=1 --quiet").await;
    house.transcript();
    transcript!(
        "routes",
        house,
        [
            "apps:create blog",
            "routes:report",
            "routes:add shop /api --process api --strip",
            "routes:add shop shop.localhost/blog --to blog --format json",
            "routes:add shop /x",
            "routes:add shop shop.localhost --to blog --strip",
            "routes:add shop other.test/x --to blog",
            "routes:add shop /x --to nope",
            "routes:add shop /x --process clock",
            "routes:add shop /a/../b --to blog",
            "routes:add shop / --to blog",
            "routes:add blog /x --process later",
            "routes shop",
            "routes:report --format json",
            "routes:remove shop /api",
            "routes:remove shop /api",
            "routes:report shop",
            "routes:report nope",
        ]
    );
    // What was deployed again for its route listens on the port it was told.
    house.types("builds:list shop --num 1 --format json").await;
    assert!(house.transcript().contains("succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_redirected() {
    let mut house = House::new();
    transcript!(
        "redirects",
        house,
        [
            "apps:create shop",
            "apps:create blog",
            "redirects shop",
            "domains:add shop example.com",
            "redirects:set shop www.Example.com example.com 308",
            "redirects:set shop /old https://example.org/new/* --format json",
            "redirects:set shop example.com www.example.com",
            "redirects:set shop /old2 /old2/x",
            "redirects:set shop a.example.com b.example.com 200",
            "redirects:set shop a.example.com javascript:alert(1)",
            "redirects:set blog example.com blog.example.com",
            "redirects:set blog shop.localhost blog.localhost",
            "redirects:set blog www.example.com blog.example.com",
            "domains:add blog www.example.com",
            "routes:add shop /old --to blog",
            "redirects:report shop",
            "redirects:report --format json",
            "redirects:unset shop www.example.com",
            "redirects:unset shop www.example.com",
            "domains:add blog www.example.com",
            "redirects:report nope",
        ]
    );
}
