//! What a client sends in `Authorization`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longest header that is read, bytes.
const MOST: usize = 4096;

/// A user and a password.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the basic scheme (RFC 7617): base64 of a user, a colon and a password, in UTF-8.
    pub(crate) fn read(header: &[u8]) -> Option<Credentials> {
        if header.len() > MOST {
            return None;
        }
        let header = std::str::from_utf8(header).ok()?;
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
        let text = std::str::from_utf8(&decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Credentials {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Credentials;

    fn check(header: &str, expected: Option<(&str, &str)>) {
        let read = Credentials::read(header.as_bytes());
        let read = read
            .as_ref()
            .map(|given| (given.user.as_str(), given.password.as_str()));
        assert_eq!(read, expected, "{header}");
    }

    #[test]
    fn the_basic_scheme_is_read_and_nothing_else() {
        // The examples of RFC 7617, sections 2 and 2.1.
        check(
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            Some(("Aladdin", "open sesame")),
        );
        check("basic dGVzdDoxMjPCow==", Some(("test", "123£")));
        check("Basic YTpiOmM=", Some(("a", "b:c")));
        check("Basic YWI=", None);
        check("Basic ===", None);
        check("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", None);
        check("Basic", None);
        check("", None);
        check(&format!("Basic {}", "A".repeat(5000)), None);
    }
}
