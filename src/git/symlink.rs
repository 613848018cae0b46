//! Where a symlink of a tree leads, by its text alone: nothing is ever followed.

/// Whether a link at `path` with `target` leads out of the tree: an absolute target, or more `..` than there are folders.
/// A chain of links is judged link by link, not as a whole.
pub(super) fn leaves_tree(path: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return true;
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth = depth.saturating_add(1),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::leaves_tree;

    fn check(path: &str, target: &str, leaves: bool) {
        assert_eq!(
            leaves_tree(path.as_bytes(), target.as_bytes()),
            leaves,
            "{path} -> {target}"
        );
    }

    #[test]
    fn a_link_leaves_by_an_absolute_target_or_too_many_dots() {
        check("a", "b", false);
        check("a/b", "../c", false);
        check("a/b/c", "../../d", false);
        check("a/b", "./../c/../d", false);
        check("a", "", false);
        check("a", "..", true);
        check("a/b", "../../c", true);
        check("a", "b/../../a", true);
        check("a", "/etc/passwd", true);
        check("a/b", "c/../../../a/b", true);
    }
}
