//! `run`.

use super::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_in_a_container_of_its_own() {
    let mut house = House::new();
    house
        .deploy("blog", &[("web", "sleep"), ("hello", "echo good day")])
        .await;
    house.types("run blog echo a b").await;
    house.types("run blog exit 7").await;
    house.types("run blog hello").await;
    house.types("--quiet run blog hello").await;
    house.types_with("run blog cat", "typed\n").await;
    house.types("run blog --env X ls").await;
    house.types("run nope ls").await;
    house.types("run blog").await;
    insta::assert_snapshot!("run", house.transcript());
}
