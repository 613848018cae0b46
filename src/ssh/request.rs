//! What a client asked for, made out of bytes from outside: exec strings, paths of repositories, environment variables.

use crate::model::{AppName, InvalidName};

/// Longest exec string taken, bytes; longer ones are refused with a text.
pub(super) const EXEC_LIMIT_BYTES: usize = 1 << 20;

/// What an exec string asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A push.
    ReceivePack(Result<AppName, InvalidName>),
    /// A fetch.
    UploadPack(Result<AppName, InvalidName>),
    /// `git archive --remote`, which is not offered.
    UploadArchive,
    /// Words for a command, not split yet.
    Words(String),
    /// Not UTF-8.
    NotText,
    /// Longer than [`EXEC_LIMIT_BYTES`].
    TooLong,
}

/// Reads an exec string. Git's own are `git-receive-pack 'shop.git'` and, from old clients, `git receive-pack ...`.
pub(super) fn read_exec(bytes: &[u8]) -> Asked {
    if bytes.len() > EXEC_LIMIT_BYTES {
        return Asked::TooLong;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        // Git sends the path as it was typed.
        return match bytes.split(|byte| *byte == b' ').next() {
            Some(b"git-receive-pack") => Asked::ReceivePack(app_of("\u{fffd}")),
            Some(b"git-upload-pack") => Asked::UploadPack(app_of("\u{fffd}")),
            _ => Asked::NotText,
        };
    };
    let text = text.trim();
    let joined = text
        .strip_prefix("git-")
        .or_else(|| text.strip_prefix("git "));
    let (service, path) = joined
        .map(str::trim_start)
        .and_then(|rest| rest.split_once(char::is_whitespace))
        .unwrap_or_default();
    match service {
        "receive-pack" => Asked::ReceivePack(app_of(path)),
        "upload-pack" => Asked::UploadPack(app_of(path)),
        "upload-archive" => Asked::UploadArchive,
        _ => Asked::Words(text.to_owned()),
    }
}

/// The app of a repository path: quotes, leading `/` and `~/`, and one trailing `.git` or `/` are taken off.
fn app_of(path: &str) -> Result<AppName, InvalidName> {
    let path = path.trim();
    let path = ['\'', '"']
        .into_iter()
        .find_map(|quote| path.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(path);
    let path = path.strip_prefix("/~/").unwrap_or(path);
    let path = path.strip_prefix("~/").unwrap_or(path);
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix('/').unwrap_or(path);
    path.strip_suffix(".git").unwrap_or(path).parse()
}

/// Whether a client may set this variable: the protocol version of git, and its language.
pub(super) fn is_env_accepted(name: &str, value: &str) -> bool {
    let is_plain = value.len() <= 128
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"=:._@-".contains(&byte));
    let is_known = name == "GIT_PROTOCOL" || name == "LANG" || name.starts_with("LC_");
    is_known && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_app(exec: &str, app: Option<&str>) {
        match read_exec(exec.as_bytes()) {
            Asked::ReceivePack(found) => {
                let found = found.ok();
                assert_eq!(found.as_ref().map(AppName::as_str), app, "{exec}");
            }
            other => assert_eq!(Some(format!("{other:?}").as_str()), app, "{exec}"),
        }
    }

    #[test]
    fn the_app_is_found_in_every_form_clients_use() {
        for path in [
            "'shop'",
            "'shop.git'",
            "'/shop'",
            "'/shop.git/'",
            "'~/shop'",
            "'/~/shop.git'",
            "shop",
            "\"shop\"",
            " 'shop' ",
        ] {
            check_app(&format!("git-receive-pack {path}"), Some("shop"));
            check_app(&format!("git receive-pack {path}"), Some("shop"));
        }
        for path in [
            "'../x'",
            "'Test;id'",
            "''",
            "'a/b'",
            "'shop' extra",
            "'.git'",
            "'-x'",
        ] {
            check_app(&format!("git-receive-pack {path}"), None);
        }
        check_app(&format!("git-receive-pack '{}'", "a".repeat(64)), None);
    }

    #[test]
    fn everything_else_is_words_for_a_command() {
        for text in [
            "apps:list",
            "git-shell",
            "git:report x",
            "git-receive-packet 'x'",
            "",
        ] {
            assert_eq!(read_exec(text.as_bytes()), Asked::Words(text.to_owned()));
        }
        assert_eq!(read_exec(b"git-upload-archive 'x'"), Asked::UploadArchive);
        assert_eq!(read_exec(b"apps:create \xff"), Asked::NotText);
        assert!(matches!(
            read_exec(b"git-receive-pack '\xff'"),
            Asked::ReceivePack(Err(_))
        ));
        assert_eq!(read_exec(&vec![b'a'; EXEC_LIMIT_BYTES + 1]), Asked::TooLong);
    }

    #[test]
    fn few_variables_are_accepted() {
        assert!(is_env_accepted("GIT_PROTOCOL", "version=2"));
        assert!(is_env_accepted("LANG", "de_DE.UTF-8"));
        assert!(is_env_accepted("LC_ALL", "C"));
        assert!(!is_env_accepted("GIT_PROTOCOL", "version=2\nx"));
        assert!(!is_env_accepted("LD_PRELOAD", "x"));
        assert!(!is_env_accepted("PATH", "x"));
    }
}
