//! Config values: what goes in comes out, and nothing of it can be read in the files.

use std::fs;

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn config_is_set_and_unset_together() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    store
        .set_config(shop.id, vars(&[("A", "1"), ("B", "2"), ("C", "")]), vec![])
        .await
        .unwrap();
    store
        .set_config(blog.id, vars(&[("A", "blog")]), vec![])
        .await
        .unwrap();
    let unset = vec![parse("B"), parse("A"), parse("NEVER")];
    store
        .set_config(shop.id, vars(&[("A", "3")]), unset)
        .await
        .unwrap();
    assert_eq!(
        store.config(shop.id).await.unwrap(),
        vars(&[("A", "3"), ("C", "")])
    );
    assert_eq!(store.config(blog.id).await.unwrap(), vars(&[("A", "blog")]));

    let fixture = fixture.reopened().await;
    let kept = fixture.store.config(shop.id).await.unwrap();
    assert_eq!(kept, vars(&[("A", "3"), ("C", "")]));
}

#[tokio::test]
async fn no_value_stands_in_the_files_as_it_is() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let set = vars(&[("TOKEN", "correct-horse-battery-staple")]);
    fixture
        .store
        .set_config(shop.id, set.clone(), vec![])
        .await
        .unwrap();
    let mut frozen = release(shop.id, 1);
    frozen.config = set;
    fixture.store.add_release(frozen).await.unwrap();
    let contains = |name: &str, needle: &[u8]| {
        let content = fs::read(fixture.folder.path().join(name)).unwrap();
        content.windows(needle.len()).any(|window| window == needle)
    };
    assert!(
        contains("mini.db-wal", b"TOKEN"),
        "the test looks where the rows are"
    );
    assert!(!contains("mini.db-wal", b"battery"));
    fixture.store.close().await.unwrap();
    assert!(contains("mini.db", b"TOKEN"));
    assert!(!contains("mini.db", b"battery"));
}

#[tokio::test]
async fn a_value_moved_to_another_row_does_not_decrypt() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    store
        .set_config(shop.id, vars(&[("A", "1"), ("B", "2")]), vec![])
        .await
        .unwrap();
    store
        .set_config(blog.id, vars(&[("A", "3")]), vec![])
        .await
        .unwrap();
    let swap = store.write(|tx| {
        tx.execute(
            "UPDATE config_vars SET value = (SELECT value FROM config_vars WHERE app_id = ?1 AND key = 'B') WHERE key = 'A'",
            [1],
        )?;
        Ok(())
    });
    swap.await.unwrap();
    for app in [shop, blog] {
        let read = store.config(app.id).await;
        assert!(
            matches!(read, Err(StoreError::Damaged(ref why)) if why.contains('A')),
            "{read:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_comes_back(values in prop::collection::vec(any::<String>(), 1..8), newlines in "[\r\n\t\0 ]{0,9}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let set: ConfigVars = values
            .into_iter()
            .chain([newlines, "x".repeat(100_000)])
            .enumerate()
            .map(|(number, value)| (parse(&format!("KEY_{number}")), Secret::new(value)))
            .collect();
        runtime.block_on(async {
            let fixture = Fixture::new();
            let shop = fixture.app("shop").await;
            let mut frozen = release(shop.id, 1);
            frozen.config = set.clone();
            fixture.store.set_config(shop.id, set.clone(), vec![]).await.unwrap();
            fixture.store.add_release(frozen).await.unwrap();
            let fixture = fixture.reopened().await;
            assert_eq!(fixture.store.config(shop.id).await.unwrap(), set);
            assert_eq!(fixture.store.releases(shop.id).await.unwrap()[0].config, set);
        });
    }
}
