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
            ("lts/*", Some("26")),
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
            ("3.11.x", Some("3.11")),
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
            ("1.4096", Some("1")),
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
            ("", Some("1.26")),
            ("1.16", Some("1.26")),
            ("1.22.3", Some("1.26")),
            ("1.24.1", Some("1.26")),
            ("1.27", Some("1.27")),
            ("1.27rc1", Some("1.27")),
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

#[test]
fn ruby_versions() {
    check(
        "ruby",
        Scheme::Pessimistic,
        &[
            ("3.2", Some("3.2")),
            ("3.2.2p53", Some("3.2")),
            ("~> 3.2", Some("3.4")),
            ("~> 3.2.0", Some("3.2")),
            (">= 3.0, < 3.3", Some("3.2")),
            (">= 2.7", Some("3.4")),
            ("~> 3", Some("3.4")),
            ("9.1.1", None),
            ("nonsense", None),
        ],
    );
}

#[test]
fn php_versions() {
    check(
        "php",
        Scheme::Pessimistic,
        &[
            ("^8.1", Some("8.4")),
            ("~8.1", Some("8.4")),
            ("~8.1.0", Some("8.1")),
            ("8.2.*", Some("8.2")),
            (">=7.1 <8.0", Some("7.4")),
            ("^7.3|^8.0", Some("8.4")),
            ("^7.3 || ^7.4", Some("7.4")),
            (">=8.0,<8.3", Some("8.2")),
            ("7.4 - 8.1", Some("8.1")),
            ("8.3.2", Some("8.3")),
            ("^4", None),
        ],
    );
}

#[test]
fn java_versions() {
    check(
        "java",
        Scheme::Major,
        &[
            ("", Some("21")),
            ("17", Some("17")),
            ("17.0.9", Some("17")),
            ("temurin-21.0.5+11.0.LTS", Some("21")),
            ("21.0.2-tem", Some("21")),
            ("1.8", Some("8")),
            ("1.7", Some("8")),
            ("VERSION_11", Some("11")),
            ("19", Some("21")),
            ("99", None),
            ("latest", Some("25")),
        ],
    );
}

#[test]
fn dotnet_versions() {
    check(
        "dotnet",
        Scheme::Exact,
        &[
            ("8.0", Some("8.0")),
            ("8.0.100", Some("8.0")),
            ("9.0;net8.0", Some("9.0")),
            ("8.0-windows", Some("8.0")),
            ("48", None),
        ],
    );
}
