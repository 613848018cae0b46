//! Bundler's files as far as names go (bundler.io/man/gemfile.5.html). No Ruby is run: what is computed is not seen.

use std::collections::BTreeSet;

use crate::error::DetectError;
use crate::repository::Repository;

/// The gems that Gemfiles name, and as `locked:name` those that lock files hold. A lock file beyond the reading limit counts as
/// empty.
pub(crate) fn names(
    repository: &Repository<'_>,
    of: &[String],
) -> Result<BTreeSet<String>, DetectError> {
    let mut names = BTreeSet::new();
    for file in of.iter().filter(|file| repository.has(file)) {
        if file.ends_with(".lock") {
            let text = repository.source(file)?;
            names.extend(locked(&text).map(|name| format!("locked:{name}")));
        } else if let Some(text) = repository.text(file)? {
            names.extend(text.lines().filter_map(gem).map(str::to_owned));
        }
    }
    Ok(names)
}

/// `gem "pg", "~> 1.5"`, with whatever is in front of it on the line left out only where it is a block.
fn gem(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("gem")?;
    let rest = rest.trim_start_matches([' ', '(']);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, _) = rest.get(1..)?.split_once(quote)?;
    (!name.is_empty()).then_some(name)
}

/// Specs are indented by four: `    pg (1.5.4)`; what they need in turn by six.
fn locked(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let spec = line.strip_prefix("    ")?;
        let (name, _) = spec.split_once(" (")?;
        (!name.starts_with(' ')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn gems_of_both_files() {
        let tree = MapTree::new()
            .with(
                "Gemfile",
                "source 'https://rubygems.org'\n# gem 'no'\ngem \"rails\", '~> 7'\ngroup :test do\n  gem('pg')\nend\ngemspec\ngem name\n",
            )
            .with(
                "Gemfile.lock",
                "GEM\n  remote: https://rubygems.org/\n  specs:\n    puma (6.4.0)\n      nio4r (~> 2.0)\n\nDEPENDENCIES\n  puma (>= 5)\n",
            );
        let repository = Repository::new(&tree).unwrap();
        let of = ["Gemfile", "Gemfile.lock", "absent"].map(str::to_owned);
        let found = names(&repository, &of).unwrap();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["locked:puma", "pg", "rails"]);
    }
}
