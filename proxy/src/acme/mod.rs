//! Automatic certificates (RFC 8555): what to order when, and the orders themselves.
//!
//! Owns: the decision ([`plan`], pure), the pauses after failures, the self-check, the order, the challenges
//! shown meanwhile. Must not know: what an app is, how anything is stored ([`AcmeStore`] does), or which
//! certificate visitors are shown: the embedder hands new ones to
//! [`ProxyHandle::set_certificates`](crate::ProxyHandle::set_certificates).
//!
//! Each name gets a certificate of its own, so that a domain that fails holds back no other; a wildcard that
//! is wanted carries the names below it. A certificate is replaced when the next one is there and not before.

mod account;
mod backoff;
mod client;
mod dns_hook;
mod engine;
mod name;
mod order;
mod plan;
mod renewal;
mod resolver;
mod self_check;
mod settings;
mod stage;
mod store;
mod world;

pub use backoff::{Failure, next_try};
pub use client::ClientError;
pub use engine::Acme;
pub use name::{CertName, NameRefused};
pub use order::certificate_id;
pub use plan::{Limits, Plan, Work, plan};
pub use renewal::renew_at;
pub use settings::{
    AcmeSettings, Authority, Binding, ChallengeKind, DnsHook, LETS_ENCRYPT, SelfCheck,
};
pub use store::{AcmeStore, FailedTry, Issued, KeptAccount};
pub use world::{Advice, Draw, Held, Origin, Tries, Window, World};

/// An error with its causes, in one line. A cause that its error has said already is not said again.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
