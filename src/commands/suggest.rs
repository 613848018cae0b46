//! The nearest known name to one that was mistyped.

/// The known name nearest to `typed`, if any is near enough to be meant. A name whose second half is what was typed
/// (`create` for `apps:create`) or that begins with it (`deny` for `deny-list`) counts as near too, as long as it is the only
/// one.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    // One slip in a short name, two in one of middle length, three in a long one.
    let length = typed.chars().count();
    let limit = (length / 4).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    let mut parts = Vec::new();
    for name in known {
        // A whole command line may have come as one word: comparing it letter by letter takes seconds.
        if name.chars().count().abs_diff(length) <= limit {
            let distance = distance(&typed, name);
            if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, name));
            }
        }
        let is_verb = name.split_once(':').is_some_and(|(_, verb)| verb == typed);
        let is_begun = name
            .split_once('-')
            .is_some_and(|(begin, _)| begin == typed);
        if is_verb || is_begun {
            parts.push(name);
        }
    }
    match (best, parts.as_slice()) {
        (Some((_, name)), _) => Some(name),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// How many letters must be inserted, removed, changed or swapped with their neighbour to get from one text to the
/// other (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous_from = None;
    for (row, from_char) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, to_char) in to.iter().enumerate() {
            let at =
                |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, column) + usize::from(*to_char != from_char);
            let removed = at(&last, column + 1) + 1;
            let inserted = at(&current, column) + 1;
            let mut least = changed.min(removed).min(inserted);
            let previous_to = column.checked_sub(1).and_then(|index| to.get(index));
            if previous_from == Some(*to_char) && previous_to == Some(&from_char) && column >= 1 {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut last, current);
        previous_from = Some(from_char);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: Option<&str>) {
        let known = [
            "apps:create",
            "apps:list",
            "builds:list",
            "config:set",
            "logs",
            "ps:scale",
            "run",
            "deny-list",
        ];
        assert_eq!(nearest(typed, known.into_iter()), expected, "{typed:?}");
    }

    #[test]
    fn a_slip_finds_the_name_and_nonsense_finds_none() {
        check("apps:lsit", Some("apps:list"));
        check("app:list", Some("apps:list"));
        check("APPS:CREATE", Some("apps:create"));
        check("lgos", Some("logs"));
        check("create", Some("apps:create"));
        check("deny", Some("deny-list"));
        check("list", None);
        check("foo", None);
        check("", None);
        check("xyzzy:plugh", None);
    }

    /// A line of a hundred thousand letters kept the server busy for seconds; this one took minutes.
    #[test]
    fn what_is_much_too_long_is_not_compared() {
        check(&"a".repeat(1 << 23), None);
    }

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("grün", "grun"), 1);
    }
}
