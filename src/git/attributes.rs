//! What `.gitmodules` and `.gitattributes` say, as far as a build is concerned.

/// The address of the submodule at `path`, from the text of `.gitmodules`.
pub(super) fn submodule_url(gitmodules: &str, path: &str) -> Option<String> {
    let mut found_path = None;
    let mut url = None;
    for line in gitmodules.lines().map(str::trim).chain(["["]) {
        if line.starts_with('[') {
            if found_path == Some(path) && url.is_some() {
                break;
            }
            (found_path, url) = (None, None);
        } else if let Some((key, value)) = line.split_once('=') {
            match key.trim() {
                "path" => found_path = Some(value.trim()),
                "url" => url = Some(value.trim()),
                _ => {}
            }
        }
    }
    url.filter(|_| found_path == Some(path)).map(str::to_owned)
}

/// Whether a `.gitattributes` sends any file through Git LFS.
pub(super) fn uses_lfs(gitattributes: &[u8]) -> bool {
    gitattributes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.starts_with(b"#"))
        .any(|line| {
            line.split(u8::is_ascii_whitespace)
                .any(|word| word == b"filter=lfs")
        })
}

/// The largest file that can be a pointer of Git LFS (git-lfs `docs/spec.md`: less than 1024 bytes).
pub(super) const LFS_POINTER_LIMIT_BYTES: u64 = 1024;

/// Whether a file's content is a pointer of Git LFS and not the file itself.
pub(super) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.starts_with(b"version https://git-lfs.github.com/spec/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submodule_is_found_by_its_path() {
        let text = "[submodule \"a\"]\n\tpath = lib/a\n\turl = https://x.test/a.git\n\
                    [submodule \"b\"]\n\turl = ../b\n\tpath = lib/b\n";
        let find = |path| submodule_url(text, path);
        assert_eq!(find("lib/a").as_deref(), Some("https://x.test/a.git"));
        assert_eq!(find("lib/b").as_deref(), Some("../b"));
        assert_eq!(find("lib/c"), None);
        assert_eq!(submodule_url("", "lib/a"), None);
    }

    #[test]
    fn lfs_is_known_by_attribute_and_by_pointer() {
        assert!(uses_lfs(b"*.psd filter=lfs diff=lfs -text\n"));
        assert!(!uses_lfs(b"# *.psd filter=lfs\n*.c text\n"));
        assert!(is_lfs_pointer(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ));
        assert!(!is_lfs_pointer(b"version 1"));
    }
}
