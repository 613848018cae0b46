//! The statements of a build file in Scala, told apart by lines and brackets.

/// The text without comments; what looks like one inside quotes stays.
pub(super) fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            let taken = quoted_length(rest).unwrap_or(first.len_utf8());
            kept.push_str(rest.get(..taken).unwrap_or_default());
            taken
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    kept
}

/// How many bytes the text in quotes takes that `text` begins with.
fn quoted_length(text: &str) -> Option<usize> {
    let quote = if text.starts_with("\"\"\"") {
        "\"\"\""
    } else {
        "\""
    };
    let inside = text.strip_prefix(quote)?;
    let mut from = 0;
    loop {
        let end = from + inside.get(from..)?.find(quote)?;
        let before = inside.get(..end)?;
        // One behind an odd number of backslashes does not end it.
        let is_escaped = quote.len() == 1
            && before
                .bytes()
                .rev()
                .take_while(|byte| *byte == b'\\')
                .count()
                % 2
                == 1;
        if !is_escaped {
            // Quotes do not go over the end of a line, but for three of them.
            let is_whole = quote.len() == 3 || !before.contains('\n');
            return is_whole.then_some(end + 2 * quote.len());
        }
        from = end + 1;
    }
}

/// What stands at the level of the file. A line goes on with the statement before it inside of brackets, when it begins with a
/// dot or a closing bracket, and behind a line that ends with `=`.
pub(super) fn statements(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut depth = 0_usize;
    let mut at = 0;
    let mut goes_on = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if !trimmed.is_empty() {
            let is_new = depth == 0 && !goes_on && !trimmed.starts_with(['.', ')', '}', ']', '{']);
            if is_new && at > 0 {
                starts.push(at);
            }
            depth = depth_behind(line, depth);
            goes_on = trimmed.ends_with(['=', ',', '\\']);
        }
        at += line.len();
    }
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    let pieces = starts.iter().copied().zip(ends);
    pieces
        .filter_map(|(start, end)| text.get(start..end))
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn depth_behind(line: &str, mut depth: usize) -> usize {
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let taken = quoted_length(rest).unwrap_or(first.len_utf8());
        rest = rest.get(taken..).unwrap_or_default();
    }
    depth
}

/// The text in quotes that a setting or value gets: `"shop"` of `name := "shop"`, `assembly / assemblyJarName := "app.jar"` and
/// `val name = "shop"`. The first one counts; another setting whose name only ends alike does not.
pub(super) fn quoted_behind(text: &str, name: &str) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).find_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let rest = text.get(at + name.len()..)?;
        if before.is_some_and(|c| is_word(c) || c == '.') || rest.starts_with(is_word) {
            return None;
        }
        let rest = rest.trim_start();
        // `assemblyJarName in assembly := ...`, as sbt had it before 1.5.
        let rest = rest.strip_prefix("in ").map_or(rest, |scoped| {
            scoped.trim_start().trim_start_matches(is_word).trim_start()
        });
        let value = rest.strip_prefix(":=").or_else(|| rest.strip_prefix('='))?;
        let (value, _) = value.trim_start().strip_prefix('"')?.split_once('"')?;
        let is_plain = !value.contains(|c: char| c.is_control() || c == '$');
        (is_plain && !value.is_empty()).then(|| value.to_owned())
    })
}

/// The word a text begins with, spaces and backquotes aside.
pub(super) fn word_at(text: &str) -> Option<String> {
    let text = text.trim_start().trim_start_matches('`');
    let word: String = text
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    (!word.is_empty()).then_some(word)
}
