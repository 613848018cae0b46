//! What the engine keeps across restarts, and asks whoever embeds it to keep.

use super::name::CertName;
use super::world::{Advice, World};
use crate::certificate::Certificate;
use std::fmt;
use std::future::Future;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// Keeps the account, the certificates and the record of tries.
///
/// Several engines may share one store, also in different processes: [`AcmeStore::claim`] decides which of
/// them works on a name. What a method has answered `Ok` to must survive a crash.
pub trait AcmeStore: Send + Sync + 'static {
    /// Why something could not be read or kept.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is wanted, held and known now. Names claimed and not yet released are in [`World::claims`].
    fn world(&self) -> impl Future<Output = Result<World, Self::Error>> + Send;

    /// Claims a name until it is released or `until` has come. `false` if it is claimed already; what has been
    /// claimed before `now` and never released, by a process that died, is not.
    fn claim(
        &self,
        name: &CertName,
        now: SystemTime,
        until: SystemTime,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Gives up a claim without having tried.
    fn release(&self, name: &CertName) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// An order is about to be placed; it counts from now on in [`World::orders`].
    fn placing(
        &self,
        name: &CertName,
        at: SystemTime,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A certificate was issued: keep it in place of the one that was ordered for this name before, forget
    /// the name's failures, and release it.
    fn issued(
        &self,
        name: &CertName,
        issued: &Issued,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A try failed: keep the record, and release the name. The certificate it has stays.
    fn failed(
        &self,
        name: &CertName,
        failed: &FailedTry,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The authority has said when the certificate with this id is to be renewed.
    fn advised(
        &self,
        id: &str,
        advice: Advice,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The account at the authority with this directory.
    fn account(
        &self,
        directory: &str,
    ) -> impl Future<Output = Result<Option<KeptAccount>, Self::Error>> + Send;

    /// Keeps an account in place of the one there was at this authority; with `None` only forgets that one.
    fn keep_account(
        &self,
        directory: &str,
        account: Option<&KeptAccount>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// An account at an authority. Its credentials are a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAccount {
    /// The e-mail address it was last told to have.
    pub email: String,
    /// Address and key of the account, as JSON.
    pub credentials: Zeroizing<String>,
}

/// A certificate fresh from the authority. Its key is a secret.
#[derive(Clone)]
pub struct Issued {
    /// What visitors are shown.
    pub certificate: Certificate,
    /// The chain as PEM, the certificate itself first.
    pub chain_pem: String,
    /// The key as PEM, PKCS#8.
    pub key_pem: Zeroizing<String>,
}

/// A try that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedTry {
    /// When it failed.
    pub at: SystemTime,
    /// Why, in a sentence for the app's owner.
    pub reason: String,
    /// Failures one after the other, this one included.
    pub failures: u32,
    /// When the next try is due.
    pub next_try: SystemTime,
}

impl fmt::Debug for KeptAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
