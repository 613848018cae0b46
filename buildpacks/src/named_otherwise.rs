//! Files whose names are nearly those that are read, and which therefore do nothing: better said than found out.

use crate::repository::Repository;

/// A Procfile by another name: systems that do not tell capitals apart, and editors that add an ending, make these.
pub(crate) fn procfile(repository: &Repository<'_>) -> Option<String> {
    if repository.has("Procfile") {
        return None;
    }
    let names = repository.root_names();
    let nearly = names.iter().find(|name| {
        let stem = name
            .split_once('.')
            .map_or(name.as_str(), |(stem, ending)| match ending {
                "txt" | "TXT" => stem,
                _ => name.as_str(),
            });
        stem.eq_ignore_ascii_case("Procfile")
    })?;
    Some(format!(
        "{} is not read: its name has to be Procfile, with a capital P and without an ending",
        repository.from_root(nearly)
    ))
}

/// Dockerfiles that are not used unless somebody names them; those for development are meant for nothing else.
pub(crate) fn dockerfiles(repository: &Repository<'_>) -> Option<String> {
    const ASIDE: [&str; 5] = ["dev", "test", "ci", "local", "dockerignore"];
    let patterns = [
        "Dockerfile.*",
        "*.Dockerfile",
        "docker/Dockerfile",
        ".docker/Dockerfile",
        "deploy/Dockerfile",
    ];
    let found = patterns
        .iter()
        .flat_map(|pattern| repository.matching(pattern))
        .find(|path| {
            let lower = path.to_ascii_lowercase();
            let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
            !words.any(|word| ASIDE.iter().any(|aside| word.starts_with(aside)))
        })?;
    Some(format!(
        "{} is not used unless the setting `dockerfile-path` names it",
        repository.from_root(found)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(
        files: &[&str],
        of: impl Fn(&Repository<'_>) -> Option<String>,
        expected: Option<&str>,
    ) {
        let tree = files
            .iter()
            .fold(MapTree::new(), |tree, path| tree.with(*path, ""));
        let repository = Repository::new(&tree).unwrap();
        let said = of(&repository);
        let named = said.as_deref().and_then(|said| said.split(' ').next());
        assert_eq!(named, expected, "{files:?}");
    }

    #[test]
    fn procfiles_by_other_names() {
        check(&["procfile"], procfile, Some("procfile"));
        check(&["Procfile.txt", "a.py"], procfile, Some("Procfile.txt"));
        check(&["PROCFILE"], procfile, Some("PROCFILE"));
        check(&["Procfile.dev"], procfile, None);
        check(&["Procfile", "procfile"], procfile, None);
        check(&["procfile/a"], procfile, None);
    }

    #[test]
    fn dockerfiles_by_other_names() {
        check(&["Dockerfile.prod"], dockerfiles, Some("Dockerfile.prod"));
        check(
            &["docker/Dockerfile"],
            dockerfiles,
            Some("docker/Dockerfile"),
        );
        check(
            &["Dockerfile.dev", "Dockerfile.dockerignore"],
            dockerfiles,
            None,
        );
    }
}
