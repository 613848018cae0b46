//! An option of the docker client as it is typed: `--memory 512m`, `--memory=512m`, `--label "a=b c"`.

/// The flag, and what is behind it without blanks around it.
pub(crate) fn flag_and_value(option: &str) -> (&str, &str) {
    let end = option.find([' ', '=']).unwrap_or(option.len());
    let (flag, value) = option.split_at(end);
    (flag, value.get(1..).unwrap_or_default().trim())
}

/// What stands in quotes, if all of it does.
pub(crate) fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}
