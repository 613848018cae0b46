//! One order, from its first check to the certificate.

use super::account;
use super::account::again;
use super::backoff::Failure;
use super::client::AuthorityClient;
use super::dns_hook::{HookError, Record, Removals};
use super::name::CertName;
use super::self_check::{self, Unreached};
use super::settings::{AcmeSettings, ChallengeKind};
use super::stage::{Shown, Stage};
use super::store::{AcmeStore, Issued};
use crate::certificate::{Certificate, CertificateError};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How long the authority may take to validate a name, and then to issue. Let's Encrypt takes some seconds.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// Why there is no certificate, in words for the app's owner.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("{name} does not reach this server: {source}")]
    Unreached { name: CertName, source: Unreached },
    #[error("a wildcard needs DNS-01, and no DNS hook is set")]
    NoHook,
    #[error("the account at the authority cannot be used: {}", words(.0))]
    Account(Error),
    #[error("the authority refused the order: {}", words(.0))]
    Order(Error),
    #[error("the authority does not offer {wanted}, but only {offered}")]
    NoChallenge {
        wanted: ChallengeKind,
        offered: String,
    },
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("the authority could not validate {name} by {kind}: {why}")]
    Invalid {
        name: CertName,
        kind: ChallengeKind,
        why: String,
    },
    #[error("the authority did not issue the certificate: {}", words(.0))]
    Issue(Error),
    #[error("no certificate can be asked for")]
    Request(#[source] rcgen::Error),
    #[error("the certificate from the authority cannot be used: {0}")]
    Unusable(#[source] CertificateError),
    #[error("the order took longer than {} min", .0.as_secs() / 60)]
    TooSlow(Duration),
    #[error("this server cannot keep what it needs for certificates: {}", super::told(.0.as_ref()))]
    Unkept(Box<dyn std::error::Error + Send + Sync>),
}

impl OrderError {
    /// How far it came.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            OrderError::Unreached { .. }
            | OrderError::NoHook
            | OrderError::Account(_)
            | OrderError::Request(_)
            | OrderError::Unkept(_) => Failure::Unasked,
            OrderError::Order(_)
            | OrderError::NoChallenge { .. }
            | OrderError::Hook(_)
            | OrderError::Invalid { .. }
            | OrderError::Issue(_)
            | OrderError::Unusable(_)
            | OrderError::TooSlow(_) => Failure::Refused,
        }
    }
}

/// What an order is placed with.
pub(crate) struct Ordering<'a, S> {
    pub(crate) settings: &'a AcmeSettings,
    pub(crate) client: &'a AuthorityClient,
    pub(crate) store: &'a S,
    pub(crate) stage: &'a Arc<Stage>,
    pub(crate) removals: &'a Arc<Removals>,
    pub(crate) name: &'a CertName,
    /// What the authority knows the present certificate by.
    pub(crate) replaces: Option<&'a str>,
    /// Failures so far, of this name.
    pub(crate) failures: u32,
}

impl<S: AcmeStore> Ordering<'_, S> {
    /// Gets a certificate. Cancelled, it leaves no challenge behind; the order expires at the authority.
    pub(crate) async fn run(&self) -> Result<Issued, OrderError> {
        let kind = self.choose_challenge().await?;
        let account = account::open(&self.settings.authority, self.client, self.store).await?;
        let mut order = self.place(&account).await?;
        let proofs = self.prove(&mut order, kind).await?;
        let ready = again!(order.poll_ready(&PATIENCE).await);
        for proof in proofs {
            proof.end().await;
        }
        match ready {
            Ok(OrderStatus::Invalid) | Err(Error::Api(_)) => {
                return Err(self.why_invalid(&mut order, kind, ready.err()).await);
            }
            Ok(_) => {}
            Err(error) => return Err(OrderError::Order(error)),
        }
        self.finish(order).await
    }

    /// The first way that can be expected to succeed; without a self-check each in turn.
    async fn choose_challenge(&self) -> Result<ChallengeKind, OrderError> {
        if self.name.is_wildcard() {
            let hook = self.settings.dns_hook.as_ref();
            return hook.map(|_| ChallengeKind::Dns01).ok_or(OrderError::NoHook);
        }
        let kinds = &self.settings.challenges;
        let Some(check) = &self.settings.self_check else {
            let turn = usize::try_from(self.failures).unwrap_or(0) % kinds.len().max(1);
            return kinds.get(turn).copied().ok_or(OrderError::NoHook);
        };
        let mut first = None;
        for kind in kinds {
            match self_check::reaches_us(check, *kind, self.name, self.stage).await {
                Ok(()) => return Ok(*kind),
                Err(source) => first = first.or(Some(source)),
            }
        }
        Err(
            first.map_or(OrderError::NoHook, |source| OrderError::Unreached {
                name: self.name.clone(),
                source,
            }),
        )
    }

    async fn place(&self, account: &Account) -> Result<Order, OrderError> {
        let placing = self.store.placing(self.name, SystemTime::now()).await;
        placing.map_err(|error| OrderError::Unkept(Box::new(error)))?;
        let identifiers = [Identifier::Dns(self.name.as_str().to_owned())];
        if let Some(id) = self.replaces.and_then(identifier) {
            let new = NewOrder::new(&identifiers).replaces(id);
            match again!(account.new_order(&new).await) {
                Ok(order) => return Ok(order),
                Err(error) if account::is_problem(&error, "rateLimited") => {
                    return Err(OrderError::Order(error));
                }
                // To say what is replaced is a courtesy: the authority may not know it, or have it replaced.
                Err(error) => tracing::debug!(name = %self.name, %error, "ordering anew"),
            }
        }
        let new = NewOrder::new(&identifiers);
        let placed = again!(account.new_order(&new).await);
        if let Err(error) = &placed
            && account::is_account_unknown(error)
        {
            account::forget(&self.settings.authority, self.store).await?;
        }
        placed.map_err(OrderError::Order)
    }

    /// Answers the challenge of each authorization that is not valid yet, and says so to the authority.
    async fn prove(
        &self,
        order: &mut Order,
        kind: ChallengeKind,
    ) -> Result<Vec<Proof>, OrderError> {
        // Fetched before, and not as they are answered: a stream of them cannot be asked again for one that failed.
        again!(fetch_authorizations(order).await).map_err(OrderError::Order)?;
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization.map_err(OrderError::Order)?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                // Said by the order itself as well, with its reason.
                _ => break,
            }
            proofs.push(self.prove_one(authorization, kind).await?);
        }
        Ok(proofs)
    }

    async fn prove_one(
        &self,
        authorization: AuthorizationHandle<'_>,
        kind: ChallengeKind,
    ) -> Result<Proof, OrderError> {
        let mut authorization = authorization;
        let offered: Vec<String> = authorization
            .challenges
            .iter()
            .map(|challenge| type_text(&challenge.r#type))
            .collect();
        let Some(mut challenge) = authorization.challenge(type_of(kind)) else {
            return Err(OrderError::NoChallenge {
                wanted: kind,
                offered: offered.join(" and "),
            });
        };
        let answer = challenge.key_authorization();
        let validated = self.name.validated();
        let proof = match kind {
            ChallengeKind::Http01 => {
                Proof::Shown(self.stage.show_http(&challenge.token, answer.as_str()))
            }
            ChallengeKind::TlsAlpn01 => {
                let mut digest = [0; 32];
                for (byte, of) in digest.iter_mut().zip(answer.digest().as_ref()) {
                    *byte = *of;
                }
                let certificate = Certificate::for_challenge(validated, &digest);
                let certificate = Arc::new(certificate.map_err(OrderError::Unusable)?);
                Proof::Shown(self.stage.show_tls(validated, certificate))
            }
            ChallengeKind::Dns01 => {
                let hook = self.settings.dns_hook.as_ref().ok_or(OrderError::NoHook)?;
                let value = answer.dns_value();
                Proof::Record(Record::set(hook, self.removals, validated, value).await?)
            }
        };
        let told = again!(challenge.set_ready().await);
        if let Err(error) = told {
            proof.end().await;
            return Err(OrderError::Order(error));
        }
        Ok(proof)
    }

    /// What the authority says about the challenge that failed.
    async fn why_invalid(
        &self,
        order: &mut Order,
        kind: ChallengeKind,
        error: Option<Error>,
    ) -> OrderError {
        let mut why = error.as_ref().map(words);
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if again!(authorization.refresh().await.map(|_| ())).is_err() {
                continue;
            }
            let problems = authorization.challenges.iter();
            let mut problems = problems.filter_map(|challenge| challenge.error.clone());
            if let Some(problem) = problems.next() {
                why = Some(words(&Error::Api(problem)));
            }
        }
        OrderError::Invalid {
            name: self.name.clone(),
            kind,
            why: why.unwrap_or_else(|| "it does not say why".to_owned()),
        }
    }

    /// Hands in the request for a new key, and fetches the certificate.
    async fn finish(&self, mut order: Order) -> Result<Issued, OrderError> {
        let key = KeyPair::generate().map_err(OrderError::Request)?;
        let params = CertificateParams::new(vec![self.name.as_str().to_owned()]);
        let mut params = params.map_err(OrderError::Request)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key);
        let request = request.map_err(OrderError::Request)?;
        again!(order.finalize_csr(request.der()).await).map_err(OrderError::Issue)?;
        let chain_pem =
            again!(order.poll_certificate(&PATIENCE).await).map_err(OrderError::Issue)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let certificate = Certificate::from_pem(chain_pem.as_bytes(), key_pem.as_bytes())
            .map_err(OrderError::Unusable)?;
        Ok(Issued {
            certificate,
            chain_pem,
            key_pem,
        })
    }
}

/// Has an order know its authorizations; those it knows are not asked for.
async fn fetch_authorizations(order: &mut Order) -> Result<(), Error> {
    let mut identifiers = order.identifiers();
    while let Some(identifier) = identifiers.next().await {
        identifier?;
    }
    Ok(())
}

/// An answer to a challenge, standing until it is ended or dropped.
enum Proof {
    Shown(Shown),
    Record(Record),
}

impl Proof {
    async fn end(self) {
        match self {
            Proof::Shown(shown) => drop(shown),
            Proof::Record(record) => record.remove().await,
        }
    }
}

/// What an authority knows a certificate by, as [`Origin::Ordered`](super::Origin) has it; `None` if it has no
/// authority key identifier.
pub fn certificate_id(certificate: &Certificate) -> Option<String> {
    let leaf = certificate.chain().first()?;
    let id = CertificateIdentifier::try_from(leaf).ok()?;
    Some(id.to_string())
}

/// Reads what [`certificate_id`] wrote.
pub(crate) fn identifier(id: &str) -> Option<CertificateIdentifier<'_>> {
    let (authority_key_identifier, serial) = id.split_once('.')?;
    Some(CertificateIdentifier {
        authority_key_identifier: authority_key_identifier.into(),
        serial: serial.into(),
    })
}

fn type_of(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
    }
}

fn type_text(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::Http01 => ChallengeKind::Http01.to_string(),
        ChallengeType::TlsAlpn01 => ChallengeKind::TlsAlpn01.to_string(),
        ChallengeType::Dns01 => ChallengeKind::Dns01.to_string(),
        ChallengeType::Unknown(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

/// What the authority said, or what stood between us, in one line.
fn words(error: &Error) -> String {
    let Error::Api(problem) = error else {
        return super::told(error);
    };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    let mut words = problem.detail.clone().unwrap_or_default();
    for part in &problem.subproblems {
        words.push_str(&format!("; {part}"));
    }
    match (words.is_empty(), kind.is_empty()) {
        (false, false) => format!("{words} ({kind})"),
        (false, true) => words,
        (true, false) => kind.to_owned(),
        (true, true) => "it does not say why".to_owned(),
    }
}
