//! Finds the certificate and the key in a tar archive. Nothing is unpacked: what is not one of the two is not even read.

use std::io::Read;

use tar::EntryType;

use super::installed::Pair;
use crate::model::{Kind, Problem, Secret};

/// Largest file that is read, bytes. Both fit into one frame of the `mini` program (`http::frame`).
pub(super) const FILE_LIMIT: usize = 256 * 1024;
/// How many names an answer lists.
const SHOWN: usize = 5;
/// How archives begin that went through a compressor: gzip, bzip2, xz, zstd.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Reads an archive with one certificate (`.crt`, `.cer` or `.pem`) and one key (`.key`, or `.pem` with nothing but a key
/// in it), at its top or one folder down.
pub(super) fn read(archive: &[u8]) -> Result<Pair, Problem> {
    if archive.is_empty() {
        return Err(nothing_given());
    }
    if COMPRESSED.iter().any(|magic| archive.starts_with(magic)) {
        return Err(Problem::new(
            Kind::Invalid,
            "The archive cannot be read",
            "it is compressed",
            HOW,
        ));
    }
    let (mut certificates, mut keys) = (Vec::new(), Vec::new());
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(|error| unreadable(&error))? {
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            // Links, devices, and sparse files, whose holes have any length.
            _ => return Err(not_a_file(&path)),
        }
        let Some(expected) = role(&path) else {
            continue;
        };
        let text = content(&mut entry, &path)?;
        match expected {
            Role::Key => keys.push((path, text)),
            Role::Certificate => certificates.push((path, text)),
            Role::Either if is_only_key(&text) => keys.push((path, text)),
            Role::Either => certificates.push((path, text)),
        }
    }
    let chain = only("certificate", "`.crt` or `.pem`", certificates)?;
    let key = only("private key", "`.key`", keys)?;
    Ok(Pair {
        chain: certificates_in(&chain),
        key: Secret::new(key),
    })
}

const HOW: &str = "Send a plain archive: `tar c server.crt server.key | ssh mini certs:add APP`";

enum Role {
    Certificate,
    Key,
    Either,
}

/// What a file seems to be by its name, if it is looked at at all. Names that begin with a dot are what macOS adds.
fn role(path: &str) -> Option<Role> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let (name, folders) = parts.split_last()?;
    if folders.len() > 1 || name.starts_with('.') {
        return None;
    }
    let (_, extension) = name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "crt" | "cer" => Some(Role::Certificate),
        "key" => Some(Role::Key),
        "pem" => Some(Role::Either),
        _ => None,
    }
}

fn is_only_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----") && !text.contains(BEGIN)
}

fn content(entry: &mut impl Read, path: &str) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
    entry
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() > FILE_LIMIT {
        return Err(too_large(path));
    }
    String::from_utf8(bytes).map_err(|_| not_text(path))
}

fn only(what: &str, ending: &str, mut found: Vec<(String, String)>) -> Result<String, Problem> {
    match (found.pop(), found.is_empty()) {
        (Some((_, text)), true) => Ok(text),
        (None, _) => Err(Problem::new(
            Kind::Invalid,
            format!("The archive holds no {what}"),
            format!("a file ending in {ending} is looked for at its top and one folder down"),
            HOW,
        )),
        (Some((last, _)), false) => {
            let names = found.iter().map(|(name, _)| name).chain([&last]);
            let names: Vec<String> = names
                .take(SHOWN)
                .map(|name| name.escape_debug().to_string())
                .collect();
            Err(Problem::new(
                Kind::Invalid,
                format!("The archive holds more than one {what}"),
                names.join(", "),
                "Send one of each; certificates that lead to the authority go into the same file: `cat server.crt chain.crt > fullchain.crt`",
            ))
        }
    }
}

/// The certificates of a PEM text without all else: a file may hold the key as well, which must not be kept in the open.
pub(super) fn certificates_in(text: &str) -> String {
    let mut certificates = String::new();
    let mut section: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN") {
            // One that was not ended is dropped, with whatever it may have run into.
            section = (line == BEGIN).then(String::new);
        }
        let Some(text) = &mut section else { continue };
        text.push_str(line);
        text.push('\n');
        if line == END {
            certificates.push_str(text);
            section = None;
        }
    }
    certificates
}

/// Nobody sent anything.
pub(super) fn nothing_given() -> Problem {
    Problem::new(
        Kind::Invalid,
        "No certificate was given",
        "it is read from standard input, where nothing came",
        HOW,
    )
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(
        Kind::Invalid,
        "The archive cannot be read",
        format!("it is no tar archive, or damaged: {error}"),
        HOW,
    )
}

fn not_a_file(path: &str) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("`{}` is not a plain file", path.escape_debug()),
        "an archive of certificates holds no links, devices or sparse files",
        "`tar ch` sends what a link points to",
    )
}

pub(super) fn too_large(path: &str) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("`{}` is too large", path.escape_debug()),
        format!(
            "certificates and keys of up to {} KiB are taken",
            FILE_LIMIT / 1024
        ),
        "Check that the right file is given",
    )
}

pub(super) fn not_text(path: &str) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("`{}` is not in PEM form", path.escape_debug()),
        "it is not text",
        "From DER: `openssl x509 -inform der -in FILE -out server.crt`, for a key `openssl pkey -inform der -in FILE -out server.key`",
    )
}

#[cfg(test)]
mod tests;
