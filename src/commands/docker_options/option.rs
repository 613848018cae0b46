//! An option as it is typed: `build "--build-arg KEY=VALUE"`.

use crate::model::{ConfigKey, Kind, Problem};

/// The one phase there are options for.
pub(super) const BUILD: &str = "build";
const FLAG: &str = "--build-arg";

/// The name of a build argument, and its value where one was given.
pub(super) fn build_argument(
    phases: &str,
    option: &[String],
) -> Result<(ConfigKey, Option<String>), Problem> {
    phase(phases)?;
    // Dokku takes the option as one word; without quotes a shell makes two of it, and more are a mistake.
    if option.len() > 2 {
        return Err(Problem::new(
            Kind::Usage,
            "The option was not understood",
            "it is one option of at most two words, and what stands behind it belongs to it",
            "Quote it, and give flags of the command itself in front: --format json docker-options:add blog build \"--build-arg A=b c\"",
        ));
    }
    let option = option.join(" ");
    let argument = option
        .trim()
        .strip_prefix(FLAG)
        .and_then(|rest| rest.strip_prefix(['=', ' ']))
        .map(str::trim);
    let Some(argument) = argument else {
        let flag = option.split([' ', '=']).next().unwrap_or_default();
        return Err(Problem::new(
            Kind::Invalid,
            format!("The option `{}` is not supported", flag.escape_debug()),
            "of Docker's options for a build there is `--build-arg`; limits, networks and volumes have commands of their own",
            "Give one such as \"--build-arg API_URL=https://api.example.com\"",
        ));
    };
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(unquoted(value).to_owned())),
        None => (argument, None),
    };
    if value
        .as_deref()
        .is_some_and(|value| value.contains(char::is_control))
    {
        return Err(Problem::new(
            Kind::Invalid,
            format!("The build argument {} was not set", name.escape_debug()),
            "its value has more than one line",
            "Give a value of one line",
        ));
    }
    let name = name.parse().map_err(|_| {
        Problem::new(
            Kind::Invalid,
            format!(
                "`{}` is not the name of a build argument",
                name.escape_debug()
            ),
            "a name has letters, digits and `_`, and begins with no digit",
            "Give one such as \"--build-arg API_URL=https://api.example.com\"",
        )
    })?;
    Ok((name, value))
}

/// Refuses the phases of containers.
pub(super) fn phase(phases: &str) -> Result<(), Problem> {
    if phases == BUILD {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Invalid,
        format!("There are no options for `{}`", phases.escape_debug()),
        "mini makes containers through Docker's API, not through its client; options are known for `build` only",
        "Config vars, limits and routes have commands of their own, see `help`",
    ))
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: Option<(&str, Option<&str>)>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let read = build_argument(BUILD, &words).ok();
        let read = read
            .as_ref()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        assert_eq!(read, expected, "{words:?}");
    }

    #[test]
    fn build_arguments_as_they_are_typed() {
        check(&["--build-arg A=b c"], Some(("A", Some("b c"))));
        check(&["--build-arg", "A=b"], Some(("A", Some("b"))));
        check(&["--build-arg=A=\"b=c\""], Some(("A", Some("b=c"))));
        check(&["--build-arg", "A="], Some(("A", Some(""))));
        check(&["--build-arg", "A"], Some(("A", None)));
        check(&["--build-arg", "A-B=1"], None);
        check(&["--build-arg", "A=1\nRUN x"], None);
        check(&["--memory 1g"], None);
        check(&["--build-arg", "A=1", "--format"], None);
        assert!(build_argument("deploy", &["--build-arg A=1".to_owned()]).is_err());
    }
}
