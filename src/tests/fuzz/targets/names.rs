//! Who is shown which certificate. The first byte says what follows: names of certificates and a name asked for, a line each; or
//! the bytes of a client's hello.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mini_proxy::fuzzing::{self, Hello};
use mini_proxy::{Certificate, Certificates, Host, HostPattern};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

static SHOWN: LazyLock<Vec<Arc<Certificate>>> = LazyLock::new(|| {
    let year = Duration::from_secs(365 * 86400);
    [&["a.test", "*.a.test"][..], &["b.test"], &["*.test"]]
        .iter()
        .map(|names| {
            Arc::new(
                Certificate::self_signed(names, SystemTime::now(), year)
                    .expect("these names are good")
                    .certificate,
            )
        })
        .collect()
});

/// RFC 8446 section 6.2: a fatal alert, and nothing of a certificate.
const REFUSED: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, rest)) => check_hello(rest),
        Some((_, rest)) => {
            if let Ok(text) = std::str::from_utf8(rest) {
                check_names(text);
            }
        }
        None => {}
    }
});

fn check_hello(bytes: &[u8]) {
    let mut certificates = Certificates::default();
    certificates.insert_for_its_names(&SHOWN[0]);
    certificates.withhold("secret.a.test");
    let challenge = "new.test";
    certificates.answer_challenge(challenge, Arc::clone(&SHOWN[1]));
    let (got, ended) = fuzzing::hello(certificates.clone(), bytes);
    match ended {
        Hello::Nameless => assert_eq!(got, REFUSED),
        Hello::Unknown(name) => {
            assert_eq!(got, REFUSED);
            assert_eq!(
                certificates.find(&name),
                None,
                "{name:?} has a certificate and was refused"
            );
        }
        Hello::Challenge(name) => assert_eq!(name, challenge),
        // Nobody can complete a handshake in one flight without a ticket of this process.
        Hello::Secured => panic!("secured by a hello alone"),
        // An alert, or our half of a handshake that is not gone on with; TLS 1.2 would show it in clear: one of a.test's at most.
        Hello::Failed => {
            let der: &[u8] = SHOWN[1].chain()[0].as_ref();
            let is_other = got.windows(der.len()).any(|window| window == der);
            assert!(
                !is_other || bytes.windows(10).any(|window| window == b"acme-tls/1"),
                "another's certificate is shown"
            );
        }
    }
}

fn check_names(text: &str) {
    let mut lines = text.split('\n');
    let asked = lines.next().unwrap_or_default();
    let mut certificates = Certificates::default();
    let mut slow: BTreeMap<String, usize> = BTreeMap::new();
    let mut withheld = Vec::new();
    let normal = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    for (number, line) in lines.enumerate() {
        match line.strip_prefix('!') {
            Some(name) => {
                certificates.withhold(name);
                withheld.push(normal(name));
            }
            None => {
                let which = number % SHOWN.len();
                certificates.insert(line, Arc::clone(&SHOWN[which]));
                slow.insert(normal(line), which);
            }
        }
    }
    assert_eq!(certificates.len(), slow.len());
    let above = asked
        .split_once('.')
        .map(|(_, above)| format!("*.{above}"))
        .filter(|_| !withheld.iter().any(|name| name == asked));
    let expected = slow
        .get(asked)
        .filter(|_| !asked.starts_with("*."))
        .or_else(|| above.and_then(|above| slow.get(&above)));
    assert_eq!(
        certificates.find(asked),
        expected.map(|which| &SHOWN[*which]),
        "{asked:?} in {slow:?} without {withheld:?}"
    );
    // What a table takes for a host, requests can name, and with it get to the same route.
    if let Ok(host) = asked.parse::<Host>() {
        assert_eq!(host.as_str().parse::<Host>().as_ref(), Ok(&host));
        assert_eq!(
            fuzzing::routing_name(host.as_str()).as_deref(),
            Some(host.as_str())
        );
        assert!(host.as_str().len() <= 253);
        for certificate in SHOWN.iter() {
            let stands = certificate.names().iter().any(|name| {
                let pattern: HostPattern = name.parse().expect("our own names");
                match pattern {
                    HostPattern::Exact(name) => name == host,
                    HostPattern::Wildcard(above) => host
                        .as_str()
                        .split_once('.')
                        .is_some_and(|(_, rest)| rest == above.as_str()),
                }
            });
            assert_eq!(certificate.covers(host.as_str()), stands, "{host}");
        }
    }
    // Of several dots at the end one is taken off; no table has a name that ends with the others.
    if let Some(name) = fuzzing::routing_name(asked).filter(|name| !name.ends_with('.')) {
        assert_eq!(
            fuzzing::routing_name(&name),
            Some(name.clone()),
            "a name routes to itself"
        );
    }
}
