//! What differs from run to run, replaced by words.

/// Replaces moments, ids and durations by words.
pub(super) fn steadied(line: &str, port: u16) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        out.push_str(&steady_word(word, port));
        word.clear();
    };
    for char in line.chars() {
        if char.is_ascii_alphanumeric() || "-:.T".contains(char) {
            word.push(char);
        } else {
            flush(&mut word, &mut out);
            out.push(char);
        }
    }
    flush(&mut word, &mut out);
    out
}

fn steady_word(word: &str, port: u16) -> String {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_moment =
        word.len() >= 20 && word.starts_with("20") && word.contains('T') && word.contains(':');
    if word == port.to_string() {
        "PORT".to_owned()
    } else if is_moment {
        "MOMENT".to_owned()
    } else if word.len() == 10 && digits == 10 {
        "SECONDS".to_owned()
    } else if digits > 0
        && word
            .strip_suffix('s')
            .is_some_and(|number| number.len() == digits)
    {
        "TIME".to_owned()
    } else if (9..=11).contains(&word.len())
        && digits >= 1
        && word
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && word.starts_with(['i', 'j'])
    {
        "BUILD-ID".to_owned()
    } else {
        word.to_owned()
    }
}
