//! Our account at the authority: made once, kept, bound and kept up to date.

use super::client::AuthorityClient;
use super::order::OrderError;
use super::settings::Authority;
use super::store::{AcmeStore, KeptAccount};
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use zeroize::Zeroizing;

/// Does a step again, up to four times, when the authority did not like its nonce. instant-acme tries each request three times
/// itself; an authority may refuse more often than that (RFC 8555 section 6.5), and a step may be many requests: whoever polls
/// a busy authority asks ten times and more.
///
/// A macro, because a step borrows what it is made of anew each time, which no closure of a future that is
/// sent between threads can say yet.
macro_rules! again {
    ($step:expr) => {{
        let mut outcome = $step;
        for _ in 0..4 {
            match &outcome {
                Err(error) if $crate::acme::account::is_problem(error, "badNonce") => {
                    outcome = $step;
                }
                _ => break,
            }
        }
        outcome
    }};
}
pub(crate) use again;

/// The account at an authority: the one that is kept, else a new one, which then is.
///
/// Making one agrees to the authority's terms of service.
pub(crate) async fn open<S: AcmeStore>(
    authority: &Authority,
    client: &AuthorityClient,
    store: &S,
) -> Result<Account, OrderError> {
    let directory = &authority.directory;
    let kept = store.account(directory).await.map_err(unkept)?;
    // Credentials that cannot be read are as good as none: a new account costs nothing.
    let read = kept.and_then(|kept| Some((serde_json::from_str(&kept.credentials).ok()?, kept)));
    match read {
        Some((credentials, kept)) => restore(authority, client, store, credentials, kept).await,
        None => create(authority, client, store).await,
    }
}

async fn restore<S: AcmeStore>(
    authority: &Authority,
    client: &AuthorityClient,
    store: &S,
    credentials: AccountCredentials,
    mut kept: KeptAccount,
) -> Result<Account, OrderError> {
    let account = Account::builder_with_http(Box::new(client.clone()))
        .from_credentials(credentials)
        .await
        .map_err(OrderError::Account)?;
    if kept.email != authority.email {
        let told = again!(account.update_contacts(&[&contact(authority)]).await);
        match told {
            Ok(()) => {
                kept.email.clone_from(&authority.email);
                let directory = &authority.directory;
                store
                    .keep_account(directory, Some(&kept))
                    .await
                    .map_err(unkept)?;
            }
            Err(error) if is_account_unknown(&error) => {
                forget(authority, store).await?;
                return Err(OrderError::Account(error));
            }
            Err(error) => return Err(OrderError::Account(error)),
        }
    }
    Ok(account)
}

async fn create<S: AcmeStore>(
    authority: &Authority,
    client: &AuthorityClient,
    store: &S,
) -> Result<Account, OrderError> {
    let binding = authority.binding.as_ref();
    let binding =
        binding.map(|binding| ExternalAccountKey::new(binding.key_id.clone(), &binding.hmac_key));
    let contact = contact(authority);
    let new = NewAccount {
        contact: &[&contact],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let created = again!(
        Account::builder_with_http(Box::new(client.clone()))
            .create(&new, authority.directory.clone(), binding.as_ref())
            .await
    );
    let (account, credentials) = created.map_err(OrderError::Account)?;
    let credentials = serde_json::to_string(&credentials).map_err(Error::Json);
    let kept = KeptAccount {
        email: authority.email.clone(),
        credentials: Zeroizing::new(credentials.map_err(OrderError::Account)?),
    };
    store
        .keep_account(&authority.directory, Some(&kept))
        .await
        .map_err(unkept)?;
    tracing::info!(directory = %authority.directory, account = %account.id(), "made an account for certificates");
    Ok(account)
}

/// Forgets the account, so that the next order makes a new one.
pub(crate) async fn forget<S: AcmeStore>(
    authority: &Authority,
    store: &S,
) -> Result<(), OrderError> {
    let forgotten = store.keep_account(&authority.directory, None).await;
    forgotten.map_err(unkept)
}

/// Whether the authority does not know the account any more, as test authorities do after a restart.
pub(crate) fn is_account_unknown(error: &Error) -> bool {
    is_problem(error, "accountDoesNotExist")
}

/// Whether an error is a problem of this kind (RFC 8555 section 6.7).
pub(crate) fn is_problem(error: &Error, kind: &str) -> bool {
    let Error::Api(problem) = error else {
        return false;
    };
    let full = problem.r#type.as_deref().unwrap_or_default();
    full.strip_prefix("urn:ietf:params:acme:error:") == Some(kind)
}

fn contact(authority: &Authority) -> String {
    format!("mailto:{}", authority.email)
}

fn unkept(error: impl std::error::Error + Send + Sync + 'static) -> OrderError {
    OrderError::Unkept(Box::new(error))
}
