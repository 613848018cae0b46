//! The domains of an app and those of all.

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_added_and_removed() {
    let mut house = House::new();
    transcript!(
        "domains",
        house,
        [
            "apps:create blog",
            "apps:create shop",
            "domains:add blog www.Example.com shop.example.org",
            "domains:add blog *.example.org Bücher.example",
            "domains:add blog www.example.com --format json",
            "domains:add shop www.example.com",
            "domains:add blog shop.localhost",
            "domains:add blog http://x",
            "domains blog",
            "domains:report blog --format json",
            "url blog",
            "url blog --format json",
            "urls blog",
            "urls blog --format json",
            "url nope",
            "domains:remove blog www.example.com never.example.com",
            "domains:remove blog www.example.com --format json",
        ]
    );
    transcript!(
        "domains_set",
        house,
        [
            "domains:set blog www.example.com shop.localhost",
            "domains:set shop shop.example.org",
            "domains:report shop",
            "domains:set blog www.example.com example.com",
            "domains:report blog",
            "domains:clear blog --format json",
            "url blog",
            "domains:reset blog",
            "urls blog",
            "domains:set shop a.example.org b.example.org --format json",
            "domains:disable shop",
            "domains:report shop",
            "urls shop",
            "domains:disable nope",
            "domains:enable shop --format json",
            "urls shop",
        ]
    );
    transcript!(
        "domains_global",
        house,
        [
            "domains:report --global",
            "domains:add-global Apps.example.com localhost",
            "domains:add-global *.example.com",
            "domains:report --global",
            "domains:report --global --format json",
            "urls blog",
            "domains:add blog shop.apps.example.com",
            "domains:set-global a.example.com b.example.com --format json",
            "domains:remove-global a.example.com c.example.com",
            "domains:remove-global localhost",
            "urls blog --format json",
            "domains:clear-global",
            "domains:report --global --format json",
            "domains:report blog --global",
        ]
    );
}
