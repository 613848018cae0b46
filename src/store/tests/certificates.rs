//! Certificates: stored, replaced and removed by origin, their keys sealed for their row.

use std::fs;

use super::*;
use crate::model::{AppCertificate, CertificateId, CertificateOrigin, NewCertificate};

fn new(app: AppId, origin: CertificateOrigin, text: &str) -> NewCertificate {
    NewCertificate {
        app: Some(app),
        origin,
        chain: format!("chain {text}"),
        key: Secret::new(format!("key {text}")),
        created_at: at(4),
    }
}

impl Fixture {
    async fn certificate(
        &self,
        app: AppId,
        origin: CertificateOrigin,
        text: &str,
    ) -> CertificateId {
        let new = new(app, origin, text);
        self.store.replace_certificate(new).await.unwrap()
    }

    async fn chains(&self, app: AppId) -> Vec<String> {
        let found = self.store.certificates(app).await.unwrap();
        found
            .into_iter()
            .map(|certificate| certificate.chain)
            .collect()
    }

    async fn key(&self, id: CertificateId) -> Result<Secret, StoreError> {
        let mut pems = self.store.certificate_pems(vec![id]).await.unwrap();
        let (found, pem) = pems.pop().unwrap();
        assert_eq!(found, id);
        pem.map(|pem| pem.key)
    }
}

#[tokio::test]
async fn a_certificate_replaces_those_of_its_origin_and_stays_through_a_rename() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let own = fixture
        .certificate(shop.id, CertificateOrigin::SelfSigned, "own")
        .await;
    let first = fixture
        .certificate(shop.id, CertificateOrigin::Custom, "one")
        .await;
    let second = fixture
        .certificate(shop.id, CertificateOrigin::Custom, "two")
        .await;
    assert!(second > first, "an id is not given twice");
    fixture
        .store
        .rename_app(shop.id, &parse("store"))
        .await
        .unwrap();

    let fixture = fixture.reopened().await;
    let expected = AppCertificate {
        id: second,
        app: Some(shop.id),
        origin: CertificateOrigin::Custom,
        chain: "chain two".to_owned(),
        created_at: at(4),
    };
    let found = fixture.store.certificates(shop.id).await.unwrap();
    assert_eq!(found[0], expected, "custom comes before self-signed");
    assert_eq!(found[1].id, own);
    assert_eq!(found.len(), 2);
    assert_eq!(fixture.key(second).await.unwrap(), Secret::new("key two"));
    let gone = fixture.store.certificate_pems(vec![first]).await.unwrap();
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(
        fixture.store.desired().await.unwrap().certificates,
        [
            (Some(shop.id), own, CertificateOrigin::SelfSigned),
            (Some(shop.id), second, CertificateOrigin::Custom)
        ]
    );
}

#[tokio::test]
async fn certificates_are_removed_by_origin_and_with_their_app() {
    let fixture = Fixture::new();
    let (shop, blog) = (fixture.app("shop").await, fixture.app("blog").await);
    for app in [shop.id, blog.id] {
        for origin in CertificateOrigin::ALL {
            fixture.certificate(app, *origin, origin.as_str()).await;
        }
    }
    let origins = vec![CertificateOrigin::Custom, CertificateOrigin::SelfSigned];
    let remove = || fixture.store.remove_certificates(shop.id, origins.clone());
    assert_eq!(remove().await.unwrap(), 2);
    assert_eq!(remove().await.unwrap(), 0);
    assert_eq!(fixture.chains(shop.id).await, ["chain acme"]);
    assert_eq!(fixture.chains(blog.id).await.len(), 3);

    fixture.store.destroy_app(blog.id).await.unwrap();
    let left = fixture.store.desired().await.unwrap().certificates.clone();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, Some(shop.id));
    let refused = new(blog.id, CertificateOrigin::Custom, "late");
    let refused = fixture.store.replace_certificate(refused).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_damaged_key_is_told_and_spoils_no_other() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let good = fixture
        .certificate(shop.id, CertificateOrigin::Custom, "battery-staple")
        .await;
    let moved = fixture
        .certificate(shop.id, CertificateOrigin::Acme, "correct-horse")
        .await;
    let copy = fixture.store.write(move |tx| {
        tx.execute(
            "UPDATE certificates SET key = (SELECT key FROM certificates WHERE id = ?1) WHERE id = ?2",
            [good.0, moved.0],
        )?;
        Ok(())
    });
    copy.await.unwrap();
    let pems = fixture
        .store
        .certificate_pems(vec![moved, good])
        .await
        .unwrap();
    assert!(matches!(&pems[0], (id, Err(StoreError::Damaged(_))) if *id == moved));
    assert!(matches!(&pems[1], (id, Ok(_)) if *id == good));
    assert_eq!(fixture.chains(shop.id).await.len(), 2);

    let content = fs::read(fixture.folder.path().join("mini.db-wal")).unwrap();
    let contains = |needle: &[u8]| content.windows(needle.len()).any(|w| w == needle);
    assert!(
        contains(b"chain battery"),
        "the test looks where the rows are"
    );
    assert!(!contains(b"key battery"));
}
