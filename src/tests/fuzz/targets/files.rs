//! The small grammars of files in a repository: Procfile, `.dockerignore` beside a slow matcher, Dockerfile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mini_buildpacks::{dockerfile, dockerignore::Dockerignore, image, procfile};
use std::collections::BTreeMap;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => check_procfile(rest),
        1 => check_dockerignore(rest),
        2 => check_dockerfile(rest),
        _ => check_image(rest),
    }
});

fn check_procfile(text: &[u8]) {
    let lines = text.split(|byte| *byte == b'\n').count();
    match procfile::parse(text) {
        Ok(found) => {
            for (name, command) in found.processes() {
                let is_plain = |c: char| c == '\t' || !c.is_control();
                assert!(
                    !command.trim().is_empty() && command.chars().all(is_plain),
                    "{command:?}"
                );
                assert!(
                    name.len() <= 63
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
                    "{name:?}"
                );
                assert!(
                    found
                        .line(name)
                        .is_some_and(|line| (1..=lines).contains(&line)),
                    "{name:?}"
                );
                let _ = procfile::shell_argv(command);
            }
        }
        Err(error) => {
            assert!((1..=lines).contains(&error.line()), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
}

/// Patterns, NUL, a path.
fn check_dockerignore(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (patterns, path) = bytes.split_at(at);
    let Ok(path) = std::str::from_utf8(&path[1..]) else {
        return;
    };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\n') {
        return;
    }
    let Ok(mut ignore) = Dockerignore::parse(patterns) else {
        return;
    };
    let ignored = ignore.is_ignored(path);
    let Ok(text) = std::str::from_utf8(patterns) else {
        return;
    };
    // Classes and escapes are left to the examples in the tests; what is slow here is plain to see.
    if !text.contains(['[', '\\', '\r'])
        && text.is_ascii()
        && !text.contains("***")
        && text.len() < 60
        && path.len() < 40
    {
        assert_eq!(ignored, slowly(text, path), "{text:?} {path:?}");
    }
    ignore.always_keep(path);
    assert!(!ignore.is_ignored(path), "{path:?} is kept by {text:?}");
}

/// What Docker's documentation says, with nothing remembered but what was tried.
fn slowly(patterns: &str, path: &str) -> bool {
    let mut ignored = false;
    for line in patterns.split('\n').filter(|line| !line.starts_with('#')) {
        let line = line.trim();
        let (is_exception, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        // Go's filepath.Clean, then anchored at the root.
        let mut parts: Vec<&str> = Vec::new();
        for part in pattern.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| *last != "..") => {
                    parts.pop();
                }
                ".." if pattern.starts_with('/') => {}
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            // "." and "/" name the root, which no path is; an empty line says nothing.
            continue;
        }
        let pattern = parts.join("/");
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        if parents
            .chain([path])
            .any(|path| fits(pattern.as_bytes(), path.as_bytes()))
        {
            ignored = !is_exception;
        }
    }
    ignored
}

fn fits(pattern: &[u8], path: &[u8]) -> bool {
    // moby/patternmatcher compares ends where nothing else is special behind `**`.
    if let Some(rest) = pattern.strip_prefix(b"**")
        && !rest.iter().any(|byte| matches!(byte, b'*' | b'?'))
        && !rest.is_empty()
    {
        return path.ends_with(rest) || rest.strip_prefix(b"/") == Some(path);
    }
    let mut known = BTreeMap::new();
    fits_from(pattern, path, &mut known)
}

fn fits_from(pattern: &[u8], path: &[u8], known: &mut BTreeMap<(usize, usize), bool>) -> bool {
    let key = (pattern.len(), path.len());
    if let Some(known) = known.get(&key) {
        return *known;
    }
    let found = match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            if rest.is_empty() {
                true
            } else {
                // `(.*/)?`
                fits_from(rest, path, known)
                    || (0..path.len())
                        .any(|at| path[at] == b'/' && fits_from(rest, &path[at + 1..], known))
            }
        }
        [b'*', rest @ ..] => {
            let segment = path
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(path.len());
            (0..=segment).any(|at| fits_from(rest, &path[at..], known))
        }
        [b'?', rest @ ..] => {
            // One character, of however many bytes.
            let text = std::str::from_utf8(path).unwrap_or_default();
            let first = text.chars().next().filter(|c| *c != '/');
            first.is_some_and(|c| fits_from(rest, &path[c.len_utf8()..], known))
        }
        [byte, rest @ ..] => path.first() == Some(byte) && fits_from(rest, &path[1..], known),
    };
    known.insert(key, found);
    found
}

fn check_dockerfile(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let read = dockerfile::read(text);
        for image in &read.base_images {
            assert!(!image.contains(char::is_whitespace), "{image:?}");
        }
    }
}

fn check_image(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (image, mirror) = text.split_once('\0').unwrap_or((text, "registry.test/x"));
        let mirrors = BTreeMap::from([(image.to_owned(), mirror.to_owned())]);
        let _ = image::mirrored(image, &mirrors);
        let _ = image::mirrored(mirror, &mirrors);
    }
}
