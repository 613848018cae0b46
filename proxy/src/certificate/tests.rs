use super::{Certificate, CertificateError};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use std::time::{Duration, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn pair(key: &KeyPair, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).unwrap();
    let signed = params.self_signed(key).unwrap();
    (signed.pem(), key.serialize_pem())
}

fn read(chain: &str, key: &str) -> Result<Certificate, CertificateError> {
    Certificate::from_pem(chain.as_bytes(), key.as_bytes())
}

#[test]
fn a_self_signed_certificate_reads_back_as_what_was_asked_for() {
    let now = UNIX_EPOCH + 20_000 * DAY;
    let made = Certificate::self_signed(&["Shop.example.com", "*.shop.example.com"], now, 90 * DAY);
    let made = made.unwrap();
    let read = read(&made.chain_pem, &made.key_pem).unwrap();
    assert_eq!(read, made.certificate);
    assert_eq!(read.names(), ["shop.example.com", "*.shop.example.com"]);
    assert_eq!(read.not_after(), now + 90 * DAY);
    assert!(read.not_before() < now && read.not_before() > now - DAY);
    assert_eq!(read.subject(), "CN=shop.example.com");
    assert!(read.is_self_signed());
    assert_eq!(read.fingerprint().len(), 32 * 3 - 1);
}

#[test]
fn a_name_is_covered_exactly_or_by_a_wildcard_one_label_above() {
    let made = Certificate::self_signed(&["a.test", "*.b.test"], UNIX_EPOCH + DAY, DAY).unwrap();
    for (host, covered) in [
        ("a.test", true),
        ("x.b.test", true),
        ("x.a.test", false),
        ("b.test", false),
        ("y.x.b.test", false),
        ("test", false),
    ] {
        assert_eq!(made.certificate.covers(host), covered, "{host}");
    }
}

#[test]
fn keys_of_the_usual_kinds_are_read() {
    let p256 = KeyPair::generate().unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    for key in [p256, ed25519, rsa] {
        let (chain, key) = pair(&key, &["a.test"]);
        assert_eq!(read(&chain, &key).unwrap().names(), ["a.test"]);
    }
}

#[test]
fn one_text_may_hold_both() {
    let (chain, key) = pair(&KeyPair::generate().unwrap(), &["a.test"]);
    let both = format!("Subject: a.test\n{key}\n{chain}");
    assert!(read(&both, &both).is_ok());
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let (chain, key) = pair(&KeyPair::generate().unwrap(), &["a.test"]);
    let (other_chain, other_key) = pair(&KeyPair::generate().unwrap(), &["b.test"]);
    let damaged = chain.replacen("MII", "AAA", 1);
    let broken = chain.replacen("-----END", "----END", 1);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let nameless = pair(&KeyPair::generate().unwrap(), &[]);
    let number = |number| CertificateError::Unreadable { number };
    for (chain, key, expected) in [
        (
            chain.as_str(),
            other_key.as_str(),
            CertificateError::KeyMismatch,
        ),
        (
            &format!("{other_chain}{chain}"),
            &key,
            CertificateError::WrongOrder { number: 2 },
        ),
        ("", &key, CertificateError::NoCertificate),
        (&chain, "", CertificateError::NoKey),
        (&chain, &chain, CertificateError::NoKey),
        (&damaged, &key, number(1)),
        (&broken, &key, number(1)),
        (&format!("{chain}{damaged}"), &key, number(2)),
        (&chain, &encrypted, CertificateError::KeyEncrypted),
        (
            &chain,
            &key.replacen("MI", "AA", 1),
            CertificateError::KeyUnusable,
        ),
        (&nameless.0, &nameless.1, CertificateError::NoNames),
    ] {
        assert_eq!(read(chain, key).unwrap_err(), expected);
    }
}

#[test]
fn neither_debug_nor_an_error_shows_a_key() {
    let made = Certificate::self_signed(&["a.test"], UNIX_EPOCH + DAY, DAY).unwrap();
    let secret = made.key_pem.lines().nth(1).unwrap().to_owned();
    let cut = made.key_pem.replace("-----END PRIVATE KEY-----", "");
    let error = read(&made.chain_pem, &cut).unwrap_err();
    for text in [
        format!("{made:?}"),
        format!("{:?}", made.certificate),
        format!("{error:?} {error}"),
    ] {
        assert!(!text.contains(&secret), "{text}");
    }
}
