//! All languages, read from the folders that are embedded in the binary.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::buildpack::Buildpack;
use crate::error::DetectError;
use crate::known_versions::KnownVersions;

/// One language folder, as `build.rs` embeds it.
pub(crate) struct Folder {
    pub(crate) name: &'static str,
    pub(crate) manifest: &'static str,
    pub(crate) template: Option<&'static str>,
    pub(crate) versions: Option<&'static str>,
    pub(crate) environment: Option<&'static str>,
}

include!(concat!(env!("OUT_DIR"), "/folders.rs"));

const KNOWN_VERSIONS: &str = include_str!("../versions.toml");

/// Every buildpack in order of precedence, and the versions there are images for.
pub(crate) struct Catalogue {
    pub(crate) buildpacks: Vec<Buildpack>,
    pub(crate) known: KnownVersions,
}

impl Catalogue {
    /// The embedded one, read once per process.
    ///
    /// # Errors
    /// [`DetectError::BrokenBuildpack`]: a folder cannot be read. A test reads them all.
    pub(crate) fn embedded() -> Result<&'static Self, DetectError> {
        static CATALOGUE: OnceLock<Result<Catalogue, (String, String)>> = OnceLock::new();
        let catalogue = CATALOGUE.get_or_init(|| Self::read(FOLDERS));
        catalogue
            .as_ref()
            .map_err(|(name, problem)| DetectError::BrokenBuildpack {
                name: name.clone(),
                problem: problem.clone(),
            })
    }

    /// The buildpack of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Buildpack> {
        self.buildpacks
            .iter()
            .find(|buildpack| buildpack.name == name)
    }

    /// Whether some buildpack has a runtime of that name.
    pub(crate) fn has_runtime(&self, name: &str) -> bool {
        let mut runtimes = self
            .buildpacks
            .iter()
            .flat_map(|buildpack| &buildpack.runtimes);
        runtimes.any(|runtime| runtime.name == name)
    }

    fn read(folders: &[Folder]) -> Result<Self, (String, String)> {
        let mut known: KnownVersions = toml::from_str(KNOWN_VERSIONS)
            .map_err(|error| ("versions.toml".to_owned(), error.to_string()))?;
        let mut buildpacks = Vec::new();
        for folder in folders {
            let failed = |problem: String| (folder.name.to_owned(), problem);
            let mut buildpack: Buildpack =
                toml::from_str(folder.manifest).map_err(|error| failed(error.to_string()))?;
            folder.name.clone_into(&mut buildpack.name);
            buildpack.template = folder.template;
            if let Some(environment) = folder.environment {
                buildpack.environment =
                    toml::from_str(environment).map_err(|error| failed(error.to_string()))?;
            }
            if let Some(versions) = folder.versions {
                let own: KnownVersions =
                    toml::from_str(versions).map_err(|error| failed(error.to_string()))?;
                for (runtime, versions) in own.runtimes {
                    if known.runtimes.insert(runtime.clone(), versions).is_some() {
                        return Err(failed(format!("{runtime} is in two tables of versions")));
                    }
                }
            }
            buildpacks.push(buildpack);
        }
        buildpacks.sort_by_key(|buildpack| buildpack.precedence);
        let catalogue = Self { buildpacks, known };
        catalogue.check()?;
        Ok(catalogue)
    }

    /// What serde cannot say: names that have to exist, precedences that have to differ.
    fn check(&self) -> Result<(), (String, String)> {
        let mut precedences = BTreeSet::new();
        for buildpack in &self.buildpacks {
            let failed = |problem: String| Err((buildpack.name.clone(), problem));
            if !precedences.insert(buildpack.precedence) {
                return failed(format!("precedence {} is taken", buildpack.precedence));
            }
            if buildpack.template.is_none() == buildpack.own_dockerfile.is_none() {
                return failed("either a Dockerfile.tmpl or own_dockerfile is needed".to_owned());
            }
            for runtime in &buildpack.runtimes {
                let known = self.known.runtimes.get(&runtime.name);
                if known.and_then(|known| known.line(&known.default)).is_none() {
                    return failed(format!("versions.toml has no default for {}", runtime.name));
                }
            }
            let named = conditions(buildpack).flat_map(|condition| condition.names());
            let refused = buildpack
                .refusals
                .iter()
                .map(|refusal| refusal.file.as_str());
            for name in named
                .chain(buildpack.own_dockerfile.as_deref())
                .chain(refused)
            {
                let name = name.split('.').next().unwrap_or_default();
                if !buildpack.facts.contains_key(name) && !buildpack.flags.contains_key(name) {
                    return failed(format!("there is no fact and no flag `{name}`"));
                }
            }
        }
        Ok(())
    }
}

/// Every condition of a buildpack.
fn conditions(buildpack: &Buildpack) -> impl Iterator<Item = &crate::condition::Condition> {
    let remarks = buildpack
        .evidence
        .iter()
        .chain(&buildpack.warnings)
        .map(|remark| &remark.when);
    let commands = buildpack
        .install
        .iter()
        .chain(&buildpack.build)
        .map(|command| &command.when)
        .chain(buildpack.start.iter().map(|start| &start.when))
        .chain(buildpack.runtimes.iter().map(|runtime| &runtime.when));
    let managers = buildpack
        .package_managers
        .iter()
        .map(|manager| &manager.when);
    let refusals = buildpack.refusals.iter().map(|refusal| &refusal.when);
    let packages = buildpack.system_packages.iter().map(|entry| &entry.when);
    remarks
        .chain(refusals)
        .chain(packages)
        .chain(commands)
        .chain(managers)
        .chain(buildpack.variants.iter().map(|variant| &variant.when))
        .chain(&buildpack.root_context)
        .chain(buildpack.environment.suggest.iter().map(|rule| &rule.when))
        .chain(buildpack.flags.values())
        .chain(buildpack.facts_if.values())
        .chain([&buildpack.detect, &buildpack.confirm])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_read_and_in_order() {
        let catalogue = Catalogue::embedded().unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<&str> = catalogue
            .buildpacks
            .iter()
            .map(|buildpack| buildpack.name.as_str())
            .collect();
        assert_eq!(
            names.first(),
            Some(&"dockerfile"),
            "an own Dockerfile always wins"
        );
        for buildpack in &catalogue.buildpacks {
            assert!(
                buildpack.precedence_reason.len() > 20,
                "{} needs a reason",
                buildpack.name
            );
            assert!(!buildpack.looked_for.is_empty() && !buildpack.title.is_empty());
            let can_lack_a_start =
                !buildpack.starts_by_itself && buildpack.own_dockerfile.is_none();
            assert_eq!(
                can_lack_a_start,
                !buildpack.add_start.is_empty(),
                "{}: add_start",
                buildpack.name
            );
        }
    }

    #[test]
    fn equal_precedence_is_refused() {
        let manifest = "title = 'A'\nprecedence = 1\nprecedence_reason = ''\nlooked_for = []\n[detect]\nfile = 'a'\n";
        let folder = |name| Folder {
            name,
            manifest,
            template: Some(""),
            versions: None,
            environment: None,
        };
        assert!(Catalogue::read(&[folder("a")]).is_ok());
        let error = Catalogue::read(&[folder("a"), folder("b")]).err().unwrap();
        assert_eq!(error, ("b".to_owned(), "precedence 1 is taken".to_owned()));
    }

    #[test]
    fn versions_are_in_order_and_dated() {
        let known = &Catalogue::embedded().unwrap().known;
        assert_eq!(known.date.len(), 10);
        for (name, runtime) in &known.runtimes {
            let numbers = |version: &str| {
                version
                    .split('.')
                    .map(|part| part.parse::<u32>().unwrap())
                    .collect::<Vec<_>>()
            };
            assert!(
                runtime
                    .lines
                    .is_sorted_by_key(|line| numbers(&line.version)),
                "{name}"
            );
            for line in &runtime.lines {
                assert!(
                    line.latest.starts_with(&line.version),
                    "{name} {}",
                    line.version
                );
            }
            for target in runtime.aliases.values() {
                assert!(runtime.line(target).is_some(), "{name}: alias to {target}");
            }
        }
    }
}
