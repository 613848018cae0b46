//! `logs`.

use std::time::Duration;

use mini::engine::Stream;

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_printed_and_followed_across_a_restart_without_repeating() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "echo begun; sleep"), ("worker", "sleep")])
        .await;
    house.types("ps:scale blog worker=1").await;
    let web = house.process("blog", "web", 1).await;
    let worker = house.process("blog", "worker", 1).await;
    house.engine.say(&web.id, Stream::Stdout, "one");
    house.engine.say(&worker.id, Stream::Stderr, "two");
    house.engine.say(&web.id, Stream::Stdout, "three");
    house.transcript();
    transcript!(
        "logs",
        house,
        [
            "logs blog",
            "logs blog -q",
            "logs blog -q -n 2",
            "logs blog -q -p web",
            "logs blog -q -p worker.1",
            "logs blog -q -p worker.2",
            "logs blog -p web.x",
            "logs nope",
        ]
    );

    let json = house.json("logs blog -n 1 --format json").await;
    assert_eq!(json[0]["process"], "web.1");
    assert_eq!(json[0]["text"], "three");
    assert_eq!(json[0]["stream"], "stdout");
    let mut said = house.begins("logs blog -t -q -p web");
    let next = async |said: &mut tokio::sync::mpsc::Receiver<_>| {
        let part: Option<(Stream, bytes::Bytes)> =
            tokio::time::timeout(Duration::from_secs(30), said.recv())
                .await
                .unwrap();
        String::from_utf8_lossy(&part.unwrap().1).into_owned()
    };
    for expected in ["begun\n", "one\n", "three\n"] {
        assert_eq!(next(&mut said).await, expected);
    }
    house.engine.say(&web.id, Stream::Stdout, "four");
    assert_eq!(next(&mut said).await, "four\n");
    house.types("ps:restart blog").await;
    assert_eq!(next(&mut said).await, "begun\n");
    let renewed = loop {
        let web = house.process("blog", "web", 1).await;
        if web.release.0 == 2 {
            break web;
        }
        tokio::task::yield_now().await;
    };
    house.engine.say(&renewed.id, Stream::Stdout, "five");
    assert_eq!(next(&mut said).await, "five\n");
}
