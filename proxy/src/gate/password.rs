//! Passwords: kept as slow hashes, looked at off the data threads, remembered by each thread as fast ones.

use super::credentials::Credentials;
use super::rate::Limit;
use argon2::password_hash::phc;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use http::HeaderValue;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

/// Wrong passwords of one client at one service: 20 at once, then one every 6 s.
pub(crate) const GUESSES: Limit = Limit::of(6_000_000_000, 20);
/// Passwords looked at together. Each takes some 25 ms of a core and 19 MiB.
const AT_ONCE: usize = 1;
/// Requests that wait for theirs to be looked at; more are sent away.
const WAITING: usize = 64;
/// Passwords a thread remembers for one service.
const REMEMBERED: usize = 1024;

/// Who may pass, with which password.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BasicAuth {
    /// The users with their passwords; without any nobody passes.
    pub users: BTreeMap<String, PasswordHash>,
}

/// A password as it may be kept: Argon2id in PHC format, with a salt of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<str>);

/// Why something is no password hash, or none could be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordError {
    /// The text is not in PHC format.
    #[error("this is no password hash")]
    Malformed,
    /// The hash function refused, or the system has no randomness.
    #[error("the password could not be hashed")]
    Failed,
}

impl PasswordHash {
    /// Hashes a password with 19 MiB and two passes (OWASP, "Password Storage Cheat Sheet"). Takes some 25 ms: not for an
    /// async thread.
    ///
    /// # Errors
    /// `Failed`.
    pub fn of(password: &str) -> Result<PasswordHash, PasswordError> {
        let hash = Argon2::default().hash_password(password.as_bytes());
        let hash = hash.map_err(|_| PasswordError::Failed)?;
        Ok(PasswordHash(hash.to_string().into()))
    }

    /// The hash in PHC format, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. Takes as long as [`PasswordHash::of`].
    pub fn is_of(&self, password: &str) -> bool {
        phc::PasswordHash::new(&self.0).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<PasswordHash, PasswordError> {
        phc::PasswordHash::new(text).map_err(|_| PasswordError::Malformed)?;
        Ok(PasswordHash(text.into()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// A password that has yet to be looked at.
#[derive(Debug)]
pub(crate) struct Verification {
    pub(crate) auth: Arc<BasicAuth>,
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
}

impl Verification {
    /// The user whose password it is.
    pub(super) async fn run(self) -> Option<HeaderValue> {
        spawn_blocking(move || {
            let Credentials { user, password } = &self.credentials;
            match self.auth.users.get(user) {
                Some(hash) => hash
                    .is_of(password)
                    .then(|| HeaderValue::try_from(user).ok())?,
                // As long as for a user there is, so that the time does not tell who is one.
                None => {
                    let any = self.auth.users.values().next();
                    let _ = any.map(|hash| hash.is_of(password));
                    None
                }
            }
        })
        .await
        .ok()
        .flatten()
    }
}

/// Those who look at passwords, for all threads.
#[derive(Debug)]
pub(crate) struct Guards {
    free: Semaphore,
    places: Semaphore,
}

impl Default for Guards {
    fn default() -> Guards {
        Guards {
            free: Semaphore::new(AT_ONCE),
            places: Semaphore::new(WAITING),
        }
    }
}

impl Guards {
    /// Waits for a turn; `None` if too many wait already.
    pub(crate) async fn turn(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        let place = self.places.try_acquire().ok()?;
        let free = self.free.acquire().await.ok()?;
        Some((place, free))
    }
}

/// A header as it is remembered.
pub(crate) type Key = (u64, u64);

/// The headers whose password was found right, as one thread remembers them for one service: as 128 bits of a keyed
/// hash, so that memory holds no password.
#[derive(Debug, Default)]
pub(super) struct Known {
    hashers: (RandomState, RandomState),
    users: RefCell<HashMap<Key, HeaderValue>>,
}

impl Known {
    pub(super) fn key_of(&self, header: &[u8]) -> Key {
        let (first, second) = &self.hashers;
        (first.hash_one(header), second.hash_one(header))
    }

    pub(super) fn user(&self, key: Key) -> Option<HeaderValue> {
        self.users.borrow().get(&key).cloned()
    }

    pub(super) fn remember(&self, key: Key, user: HeaderValue) {
        let mut users = self.users.borrow_mut();
        if users.len() >= REMEMBERED {
            users.clear();
        }
        users.insert(key, user);
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, PasswordHash, REMEMBERED};
    use http::HeaderValue;

    #[test]
    fn a_password_is_known_by_its_hash_which_is_not_shown() {
        let hash = PasswordHash::of("open sesame").unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hash.is_of("open sesame"));
        assert!(!hash.is_of("open sesame "));
        assert_eq!(hash.as_str().parse::<PasswordHash>().unwrap(), hash);
        assert!("open sesame".parse::<PasswordHash>().is_err());
        assert_eq!(format!("{hash:?}"), "********");
        assert_ne!(PasswordHash::of("open sesame").unwrap(), hash, "salted");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = Known::default();
        let key = known.key_of(b"Basic x");
        assert_eq!(known.user(key), None);
        known.remember(key, HeaderValue::from_static("me"));
        assert_eq!(known.user(key), Some(HeaderValue::from_static("me")));
        for number in 0..REMEMBERED as u64 * 2 {
            known.remember((number, 0), HeaderValue::from_static("x"));
        }
        assert!(known.users.borrow().len() <= REMEMBERED);
    }
}
