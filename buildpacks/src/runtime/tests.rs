//! Versions as people write them.

use proptest::prelude::*;

use super::*;
use crate::catalogue::Catalogue;

fn check(runtime: &str, scheme: Scheme, cases: &[(&str, Option<&str>)]) {
    let catalogue = Catalogue::embedded().unwrap();
    let known = catalogue.known.runtimes.get(runtime).unwrap();
    for (wanted, expected) in cases {
        let line = scheme
            .choose(known, wanted)
            .map(|line| line.version.as_str());
        assert_eq!(line, *expected, "{runtime} {wanted:?}");
    }
}

#[test]
fn node_versions() {
    check(
        "node",
        Scheme::NodeSemver,
        &[
            ("", Some("22")),
            ("*", Some("22")),
            (">=18", Some("22")),
            (">= 18.0.0", Some("22")),
            ("20", Some("20")),
            ("20.x", Some("20")),
            ("v20.11.1", Some("20")),
            ("20.11.1", Some("20")),
            ("~20.11.0", Some("20")),
            ("^18.17 || ^20", Some("20")),
            (">=18 <20", Some("18")),
            ("lts/*", Some("24")),
            ("LTS/Iron", Some("20")),
            ("node", Some("26")),
            ("99", None),
            ("nonsense", None),
            ("0.10", None),
            (">=22.99.0", Some("26")),
        ],
    );
}

#[test]
fn python_versions() {
    check(
        "python",
        Scheme::Pep440,
        &[
            ("", Some("3.13")),
            ("3.12", Some("3.12")),
            ("3.12.4", Some("3.12")),
            ("3", Some("3.13")),
            (">=3.9", Some("3.13")),
            (">=3.9,<3.12", Some("3.11")),
            ("~=3.11", Some("3.13")),
            ("~=3.11.4", Some("3.11")),
            ("==3.10.*", Some("3.10")),
            ("2.7.18", Some("2.7")),
            ("2.5", None),
            ("^3.11", Some("3.13")),
            ("~3.11", Some("3.11")),
            ("^3.9, <3.12", Some("3.11")),
            ("~2.7 || ^3.6", Some("3.13")),
            ("3.12.1", Some("3.12")),
            ("3.11.99", Some("3.11")),
            ("cpython-3.12.4", Some("3.12")),
            ("python3.12", Some("3.12")),
            ("3.6.8", Some("3.6")),
            ("pypy3.10", None),
            (">=4", None),
        ],
    );
}

#[test]
fn rust_versions() {
    check(
        "rust",
        Scheme::Minimum,
        &[
            ("", Some("1")),
            ("1.56", Some("1")),
            ("1.85.1", Some("1")),
            ("9.9", None),
        ],
    );
    check(
        "rust",
        Scheme::Exact,
        &[
            ("1.75", Some("1.75")),
            ("1.75.0", Some("1.75")),
            ("stable", Some("1")),
            ("nightly-2025-01-31", Some("1")),
            ("beta", Some("1")),
            ("1.7", None),
            ("1.75.0-x86_64-unknown-linux-gnu", Some("1.75")),
        ],
    );
}

#[test]
fn go_versions_are_the_least_that_will_do() {
    check(
        "go",
        Scheme::Minimum,
        &[
            ("", Some("1.24")),
            ("1.16", Some("1.24")),
            ("1.22.3", Some("1.24")),
            ("1.24.1", Some("1.24")),
            ("1.25", Some("1.25")),
            ("1.25rc1", Some("1.25")),
            ("9.9", None),
            ("x", None),
        ],
    );
}

proptest! {
    #[test]
    fn never_panics(wanted in "[v0-9xX.*<>=~^|,! a-z/-]{0,16}|\\PC{0,16}|[0-9]{0,30}(\\.[0-9]{0,30}){0,4}") {
        let catalogue = Catalogue::embedded().unwrap();
        for known in catalogue.known.runtimes.values() {
            for scheme in [
                Scheme::NodeSemver,
                Scheme::Pep440,
                Scheme::Minimum,
                Scheme::Exact,
            ] {
                let _ = scheme.choose(known, &wanted);
            }
        }
    }
}
