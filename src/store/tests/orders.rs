//! Orders for certificates: claims, failures, advice, and the account at the authority.

use std::fs;

use super::*;
use crate::model::{
    AuthorityAccount, CertificateOrigin, FailedOrder, NewCertificate, RenewalAdvice,
};

const DIRECTORY: &str = "https://ca.test/dir";

fn failed(name: &str, failures: u32) -> FailedOrder {
    FailedOrder {
        name: name.to_owned(),
        failures,
        reason: "it points elsewhere".to_owned(),
        failed_at: at(5),
        next_try: at(65),
    }
}

fn new(app: AppId, text: &str) -> NewCertificate {
    NewCertificate {
        app: Some(app),
        origin: CertificateOrigin::Acme,
        chain: text.to_owned(),
        key: Secret::new(text),
        created_at: at(4),
    }
}

#[tokio::test]
async fn a_name_is_claimed_by_one_until_it_is_released_or_the_claim_ends() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let claim = async |now, until| {
        let name = "shop.test".to_owned();
        store.claim_order(name, at(now), at(until)).await.unwrap()
    };
    assert!(claim(1, 10).await);
    assert!(!claim(2, 11).await);
    assert!(store.failed_orders().await.unwrap().is_empty());
    let book = store.order_book().await.unwrap();
    assert_eq!(book.claims, [("shop.test".to_owned(), at(10))]);
    assert!(claim(10, 20).await, "the claim has ended");
    store.release_order("shop.test".to_owned()).await.unwrap();
    assert!(store.order_book().await.unwrap().claims.is_empty());
    assert!(claim(11, 20).await);
    store.release_all_orders().await.unwrap();
    assert!(claim(12, 20).await);
}

#[tokio::test]
async fn a_failure_is_kept_through_the_next_claim_and_forgotten_with_success() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let store = &fixture.store;
    let claim = async || {
        let name = "shop.test".to_owned();
        store.claim_order(name, at(70), at(80)).await.unwrap()
    };
    assert!(claim().await);
    store.fail_order(failed("shop.test", 2)).await.unwrap();
    assert_eq!(
        store.failed_orders().await.unwrap(),
        [failed("shop.test", 2)]
    );
    assert!(claim().await, "a failure gives up the claim");
    let forget = || store.forget_orders(vec!["shop.test".to_owned()]);
    forget().await.unwrap();
    let book = store.order_book().await.unwrap();
    assert_eq!(book.failed, [failed("shop.test", 2)], "it is worked on");
    let complete = async |text: &str, earlier| {
        let name = "shop.test".to_owned();
        let completed = store.complete_order(name, new(shop.id, text), earlier);
        completed.await.unwrap()
    };
    let first = complete("one", Vec::new()).await;
    let book = store.order_book().await.unwrap();
    assert!(book.failed.is_empty() && book.claims.is_empty());
    let second = complete("two", vec![first]).await;
    let book = store.order_book().await.unwrap();
    assert_eq!(
        book.desired.certificates,
        [(Some(shop.id), second, CertificateOrigin::Acme)]
    );
    store.fail_order(failed("shop.test", 1)).await.unwrap();
    forget().await.unwrap();
    assert!(store.failed_orders().await.unwrap().is_empty());

    // What cannot be stored takes nothing away.
    let gone = new(AppId(99), "three");
    let refused = store.complete_order("shop.test".to_owned(), gone, vec![second]);
    assert!(refused.await.is_err());
    let book = store.order_book().await.unwrap();
    assert_eq!(
        book.desired.certificates,
        [(Some(shop.id), second, CertificateOrigin::Acme)]
    );
}

#[tokio::test]
async fn orders_are_counted_for_hours_and_advice_kept_while_it_is_renewed() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let hours = |hours: i64| at(hours * 3600);
    for placed in [0, 1, 3, 5] {
        store.place_order(hours(placed)).await.unwrap();
    }
    let advice = |ask_again, window| RenewalAdvice { window, ask_again };
    let window = Some((hours(1), hours(2)));
    let keep = async |id: &str, advice| {
        store.keep_advice(id.to_owned(), advice).await.unwrap();
    };
    keep("aki.1", advice(hours(1), window)).await;
    keep("aki.2", advice(hours(2), None)).await;
    let book = store.order_book().await.unwrap();
    assert_eq!(book.placed, [hours(1), hours(3), hours(5)]);
    assert_eq!(book.advice["aki.1"], advice(hours(1), window));
    assert_eq!(book.advice["aki.2"], advice(hours(2), None));
    keep("aki.2", advice(hours(24 * 8), window)).await;
    let book = store.order_book().await.unwrap();
    assert_eq!(book.advice.len(), 1, "nobody asked about the other again");
}

#[tokio::test]
async fn the_account_is_sealed_and_replaced() {
    let fixture = Fixture::new();
    let keep = async |account| {
        let kept = fixture
            .store
            .keep_authority_account(DIRECTORY.to_owned(), account);
        kept.await.unwrap();
    };
    let read = async || {
        let read = fixture.store.authority_account(DIRECTORY.to_owned());
        read.await.unwrap()
    };
    assert_eq!(read().await, None);
    let account = |text: &str| AuthorityAccount {
        email: "ops@example.com".to_owned(),
        credentials: Secret::new(text),
    };
    keep(Some(account("first credentials"))).await;
    keep(Some(account("second credentials"))).await;
    assert_eq!(read().await, Some(account("second credentials")));
    let other = fixture.store.authority_account("https://b.test".to_owned());
    assert_eq!(other.await.unwrap(), None);
    keep(None).await;
    assert_eq!(read().await, None);
    keep(Some(account("third credentials"))).await;
    fixture.store.close().await.unwrap();
    let bytes = fs::read(fixture.folder.path().join("mini.db")).unwrap();
    assert!(!bytes.windows(17).any(|part| part == b"third credentials"));
}
