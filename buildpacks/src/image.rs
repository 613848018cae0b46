//! Image references and the mirrors they may come from.

use std::collections::BTreeMap;

/// The image to use for `image`, with the operator's mirrors applied.
///
/// A key of `mirrors` is an image with its tag (`node:22-slim`), or without one (`node`), which stands for all its tags; the
/// value replaces it: `{"node": "registry.example/node"}` makes `registry.example/node:22-slim` of `node:22-slim`. The longer
/// key wins.
#[must_use]
pub fn mirrored(image: &str, mirrors: &BTreeMap<String, String>) -> String {
    if let Some(mirror) = mirrors.get(image) {
        return mirror.clone();
    }
    let (name, rest) = split_reference(image);
    match mirrors.get(name) {
        Some(mirror) => format!("{mirror}{rest}"),
        None => image.to_owned(),
    }
}

/// Whether `image` can be written behind `FROM` as it is: only the characters of an image reference, none of them special.
#[must_use]
pub fn is_image_reference(image: &str) -> bool {
    const MAX_BYTES: usize = 512;
    image.len() <= MAX_BYTES
        && image.starts_with(|c: char| c.is_ascii_alphanumeric())
        && image
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

/// `registry:5000/a/b:tag@digest` into `registry:5000/a/b` and `:tag@digest`.
fn split_reference(image: &str) -> (&str, &str) {
    let path_start = image.rfind('/').map_or(0, |slash| slash + 1);
    let end = image
        .get(path_start..)
        .and_then(|last| last.find([':', '@']))
        .map_or(image.len(), |at| path_start + at);
    image.split_at_checked(end).unwrap_or((image, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors() {
        let mirrors = BTreeMap::from([
            ("node".to_owned(), "reg.example:5000/lib/node".to_owned()),
            ("node:20-slim".to_owned(), "own:20".to_owned()),
            ("reg:5000/x".to_owned(), "y".to_owned()),
        ]);
        for (image, expected) in [
            ("node:22-slim", "reg.example:5000/lib/node:22-slim"),
            ("node:20-slim", "own:20"),
            ("node", "reg.example:5000/lib/node"),
            ("nodes:1", "nodes:1"),
            ("reg:5000/x:1@sha256:aa", "y:1@sha256:aa"),
        ] {
            assert_eq!(mirrored(image, &mirrors), expected);
        }
    }

    #[test]
    fn references() {
        assert!(is_image_reference(
            "reg.example:5000/lib/node:22-slim@sha256:ab"
        ));
        for bad in ["", "a b", "a\nRUN x", "-a", "$X", "a'"] {
            assert!(!is_image_reference(bad), "{bad:?}");
        }
    }
}
