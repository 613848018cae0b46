//! Cargo packages and workspaces, as far as programs go (doc.rust-lang.org/cargo/reference/cargo-targets.html#binaries and
//! .../workspaces.html): which binaries there are, and which one is the app.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::probe::names_in_table;
use crate::repository::Repository;

/// Members looked into. The largest public workspaces have a few hundred.
const MAX_MEMBERS: usize = 500;
/// What the app is mostly called beside its tools and workers.
const WEB_NAMES: &[&str] = &[
    "web", "server", "api", "app", "backend", "http", "site", "main",
];
/// Crates only a program that answers HTTP depends on.
const WEB_CRATES: &[&str] = &[
    "axum",
    "actix-web",
    "rocket",
    "warp",
    "poem",
    "salvo",
    "tide",
    "hyper",
    "tonic",
    "leptos_axum",
    "leptos_actix",
    "loco-rs",
    "tiny_http",
    "gotham",
    "ntex",
    "viz",
    "trillium",
    "shuttle-runtime",
];

/// One package of the workspace.
struct Package {
    name: String,
    default_run: Option<String>,
    programs: Vec<String>,
    dependencies: BTreeSet<String>,
}

/// `{programs, app, packages, because, others}`: the program that is the app, the packages to build for it and for what the
/// Procfile names, their programs, why it was chosen, and the programs that might have been meant instead (none where the
/// choice is clear). Nothing where there is no program. `packages` is empty where a plain `cargo build` builds the right ones.
///
/// # Errors
/// A manifest of the workspace is broken.
pub(crate) fn programs(
    repository: &Repository<'_>,
    file: &str,
) -> Result<Option<Value>, DetectError> {
    let Some(workspace) = Workspace::read(repository, file)? else {
        return Ok(None);
    };
    let with_programs: Vec<&Package> = workspace
        .packages
        .iter()
        .filter(|package| !package.programs.is_empty())
        .collect();
    let Some((package, mut because, is_sure)) = workspace.app_package(&with_programs) else {
        return Ok(None);
    };
    let Some((app, why, is_sure_of_program)) = package.app() else {
        return Ok(None);
    };
    if because.is_empty() || package.programs.len() > 1 {
        because = why;
    }
    let procfile = repository.bytes("Procfile")?.unwrap_or_default();
    let procfile = String::from_utf8_lossy(&procfile);
    let is_in_procfile = |name: &String| {
        procfile
            .split(|c: char| c.is_whitespace() || c == '/')
            .any(|word| word == name)
    };
    let built: Vec<&Package> = with_programs
        .iter()
        .copied()
        .filter(|other| other.name == package.name || other.programs.iter().any(is_in_procfile))
        .collect();
    let programs: Vec<&String> = built.iter().flat_map(|package| &package.programs).collect();
    let is_plain = workspace.has_root_package
        && built.len() == 1
        && workspace
            .packages
            .first()
            .is_some_and(|root| root.name == package.name);
    let packages: Vec<&String> = if is_plain {
        Vec::new()
    } else {
        built.iter().map(|package| &package.name).collect()
    };
    let others: Vec<&String> = if is_sure && is_sure_of_program {
        Vec::new()
    } else {
        with_programs
            .iter()
            .flat_map(|package| &package.programs)
            .filter(|name| **name != app)
            .collect()
    };
    Ok(Some(json!({
        "programs": programs, "app": app, "packages": packages, "because": because, "others": others,
    })))
}

/// The names all packages of the workspace depend on, features as `name[feature]`.
///
/// # Errors
/// A manifest of the workspace is broken.
pub(crate) fn dependencies(
    repository: &Repository<'_>,
    file: &str,
) -> Result<BTreeSet<String>, DetectError> {
    let workspace = Workspace::read(repository, file)?;
    let packages = workspace
        .into_iter()
        .flat_map(|workspace| workspace.packages);
    Ok(packages.flat_map(|package| package.dependencies).collect())
}

struct Workspace {
    /// The root package first, then default members, then the others.
    packages: Vec<Package>,
    has_root_package: bool,
    /// How many of the packages are built by default, the root among them.
    default_count: usize,
}

impl Workspace {
    fn read(repository: &Repository<'_>, file: &str) -> Result<Option<Self>, DetectError> {
        let Some(root) = repository.toml_document(file)? else {
            return Ok(None);
        };
        let mut packages: Vec<Package> = Package::read(repository, "", &root).into_iter().collect();
        let has_root_package = !packages.is_empty();
        let list = |key: &str| {
            let items = root.pointer(key).and_then(Value::as_array);
            let texts = items.into_iter().flatten().filter_map(Value::as_str);
            texts
                .map(|text| text.trim_matches('/').to_owned())
                .collect::<Vec<_>>()
        };
        let (defaults, excluded) = (
            list("/workspace/default-members"),
            list("/workspace/exclude"),
        );
        let mut seen = BTreeSet::from([String::new()]);
        let mut default_count = packages.len();
        for pattern in defaults.iter().chain(&list("/workspace/members")) {
            let pattern = pattern.trim_start_matches("./");
            for manifest in repository.matching(&format!("{pattern}/Cargo.toml")) {
                let folder = manifest.trim_end_matches("/Cargo.toml");
                let is_excluded = excluded
                    .iter()
                    .any(|other| folder == other || folder.starts_with(&format!("{other}/")));
                if is_excluded || seen.len() > MAX_MEMBERS || !seen.insert(folder.to_owned()) {
                    continue;
                }
                if let Some(member) = repository.toml_document(manifest)? {
                    packages.extend(Package::read(repository, folder, &member));
                }
            }
            if defaults
                .iter()
                .any(|default| default.trim_start_matches("./") == pattern)
            {
                default_count = packages.len();
            }
        }
        Ok(Some(Self {
            packages,
            has_root_package,
            default_count,
        }))
    }

    /// The package whose program is the app, the reason, and whether that is sure.
    fn app_package<'p>(&self, candidates: &[&'p Package]) -> Option<(&'p Package, String, bool)> {
        let first = *candidates.first()?;
        let is_root = self.has_root_package
            && self
                .packages
                .first()
                .is_some_and(|root| root.name == first.name);
        if is_root || candidates.len() == 1 {
            let because = if is_root {
                ""
            } else {
                "the only package with a program"
            };
            return Some((first, because.to_owned(), true));
        }
        let is_default = |package: &&&Package| {
            self.packages
                .iter()
                .take(self.default_count)
                .any(|default| default.name == package.name)
        };
        let defaults: Vec<&&Package> = candidates.iter().filter(is_default).collect();
        if let [only] = defaults.as_slice() {
            return Some((only, "the default member with a program".to_owned(), true));
        }
        let answers_http = |package: &&&Package| {
            WEB_CRATES
                .iter()
                .any(|name| package.dependencies.contains(*name))
        };
        let web: Vec<&&Package> = candidates.iter().filter(answers_http).collect();
        if let [only] = web.as_slice() {
            return Some((
                only,
                "the only package with a web framework".to_owned(),
                true,
            ));
        }
        let among = if web.is_empty() {
            candidates.iter().collect()
        } else {
            web
        };
        let by_name = WEB_NAMES
            .iter()
            .find_map(|name| among.iter().find(|package| is_called(&package.name, name)));
        Some(match by_name {
            Some(package) => (package, "the app by its name".to_owned(), false),
            None => (
                among.first()?,
                "the first member with a program".to_owned(),
                false,
            ),
        })
    }
}

impl Package {
    /// Nothing for a manifest without `[package]`.
    fn read(repository: &Repository<'_>, folder: &str, manifest: &Value) -> Option<Self> {
        let name = manifest.pointer("/package/name")?.as_str()?.to_owned();
        if !is_program_name(&name) {
            return None;
        }
        let default_run = manifest
            .pointer("/package/default-run")
            .and_then(Value::as_str);
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let mut dependencies = BTreeSet::new();
        for key in [
            "/dependencies",
            "/build-dependencies",
            "/workspace/dependencies",
        ] {
            let table = manifest.pointer(key).and_then(Value::as_object);
            dependencies.extend(
                table
                    .into_iter()
                    .flatten()
                    .flat_map(|(name, value)| names_in_table(name, value)),
            );
        }
        Some(Self {
            programs: program_names(repository, &prefix, &name, manifest),
            default_run: default_run.map(str::to_owned),
            dependencies,
            name,
        })
    }

    /// The program that is the app, the reason, and whether that is sure.
    fn app(&self) -> Option<(String, String, bool)> {
        let has = |name: &str| {
            self.programs
                .iter()
                .find(|program| *program == name)
                .cloned()
        };
        if let Some(name) = self.default_run.as_deref().and_then(has) {
            return Some((name, "default-run names it".to_owned(), true));
        }
        if let [only] = self.programs.as_slice() {
            return Some((only.clone(), "the only program".to_owned(), true));
        }
        if let Some(name) = has(&self.name) {
            return Some((name, "the program called as its package".to_owned(), true));
        }
        let by_name = WEB_NAMES.iter().find_map(|name| {
            self.programs
                .iter()
                .find(|program| is_called(program, name))
        });
        match by_name {
            Some(name) => Some((name.clone(), "the app by its name".to_owned(), false)),
            None => Some((
                self.programs.first()?.clone(),
                "the first program".to_owned(),
                false,
            )),
        }
    }
}

/// Whether `name` is `word`, or has it as its first or last part (`shop-server`).
fn is_called(name: &str, word: &str) -> bool {
    let mut parts = name.split(['-', '_']);
    let first = parts.next();
    first == Some(word) || parts.next_back() == Some(word)
}

/// The binary targets of a package that a plain build builds: those of `[[bin]]`, `src/main.rs` and `src/bin/`.
fn program_names(
    repository: &Repository<'_>,
    prefix: &str,
    package: &str,
    manifest: &Value,
) -> Vec<String> {
    let stated = manifest.get("bin").and_then(Value::as_array);
    let stated: Vec<&Value> = stated.into_iter().flatten().collect();
    let text = |bin: &Value, key: &str| bin.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut programs: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if is_program_name(&name) && !programs.contains(&name) {
            programs.push(name);
        }
    };
    let is_discovered = manifest.pointer("/package/autobins") != Some(&Value::Bool(false));
    if is_discovered {
        let is_renamed = |path: &str, name: &str| {
            stated.iter().any(|bin| {
                text(bin, "name").as_deref() == Some(name)
                    || text(bin, "path").is_some_and(|other| other.trim_start_matches("./") == path)
            })
        };
        if repository.has(&format!("{prefix}src/main.rs")) && !is_renamed("src/main.rs", package) {
            add(package.to_owned());
        }
        let nested = repository.matching(&format!("{prefix}src/bin/*/main.rs"));
        for file in repository
            .matching(&format!("{prefix}src/bin/*.rs"))
            .into_iter()
            .chain(nested)
        {
            let path = file.strip_prefix(prefix).unwrap_or(file);
            let name = path.trim_start_matches("src/bin/");
            let name = name.trim_end_matches("/main.rs").trim_end_matches(".rs");
            if !is_renamed(path, name) {
                add(name.to_owned());
            }
        }
    }
    // What needs a feature is not built unless somebody asks for it.
    let is_optional = |bin: &Value| {
        bin.get("required-features")
            .and_then(Value::as_array)
            .is_some_and(|features| !features.is_empty())
    };
    for bin in stated.iter().filter(|bin| !is_optional(bin)) {
        if let Some(name) = text(bin, "name") {
            add(name);
        }
    }
    programs
}

/// Names become words of the build command and paths in the image.
fn is_program_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(
        tree: MapTree,
        app: Option<&str>,
        programs: &[&str],
        packages: &[&str],
        is_sure: bool,
    ) {
        let repository = Repository::new(&tree).unwrap();
        let found = super::programs(&repository, "Cargo.toml").unwrap();
        let Some(found) = found else {
            assert_eq!(app, None);
            return;
        };
        assert_eq!(found["app"].as_str(), app, "{found}");
        assert_eq!(found["programs"], json!(programs), "{found}");
        assert_eq!(found["packages"], json!(packages), "{found}");
        assert_eq!(found["others"] == json!([]), is_sure, "{found}");
    }

    #[test]
    fn single_packages() {
        let package = |more: &str| {
            MapTree::new().with("Cargo.toml", format!("[package]\nname = 'shop'\n{more}"))
        };
        check(
            package("").with("src/main.rs", ""),
            Some("shop"),
            &["shop"],
            &[],
            true,
        );
        check(package("").with("src/lib.rs", ""), None, &[], &[], true);
        check(
            package("default-run = 'b'")
                .with("src/bin/a.rs", "")
                .with("src/bin/b/main.rs", ""),
            Some("b"),
            &["a", "b"],
            &[],
            true,
        );
        check(
            package("")
                .with("src/bin/jobs.rs", "")
                .with("src/bin/shop-server.rs", ""),
            Some("shop-server"),
            &["jobs", "shop-server"],
            &[],
            false,
        );
        check(
            package("[[bin]]\nname = 'serve'\npath = 'src/main.rs'\n[[bin]]\nname = 'x'\nrequired-features = ['y']\n").with("src/main.rs", ""),
            Some("serve"), &["serve"], &[], true,
        );
        check(
            package("autobins = false").with("src/main.rs", ""),
            None,
            &[],
            &[],
            true,
        );
        check(package("[[bin]]\nname = 'a; evil'\n"), None, &[], &[], true);
    }

    #[test]
    fn workspaces() {
        let member = |name: &str, more: &str| format!("[package]\nname = '{name}'\n{more}");
        let tree = |root: &str| {
            MapTree::new()
                .with("Cargo.toml", root)
                .with("crates/lib/Cargo.toml", member("lib", ""))
                .with("crates/lib/src/lib.rs", "")
                .with("crates/cli/Cargo.toml", member("cli", ""))
                .with("crates/cli/src/main.rs", "")
                .with(
                    "crates/gate/Cargo.toml",
                    member("gate", "[dependencies]\naxum = '0.8'\n"),
                )
                .with("crates/gate/src/main.rs", "")
        };
        let all = "[workspace]\nmembers = ['crates/*', '.', '..', 'none']\n";
        check(tree(all), Some("gate"), &["gate"], &["gate"], true);
        check(
            tree(&format!("{all}exclude = ['crates/gate']")),
            Some("cli"),
            &["cli"],
            &["cli"],
            true,
        );
        check(
            tree(&format!("{all}default-members = ['crates/cli']")),
            Some("cli"),
            &["cli"],
            &["cli"],
            true,
        );
        check(
            tree(all).with("Procfile", "web: ./target/release/gate\njobs: cli run\n"),
            Some("gate"),
            &["cli", "gate"],
            &["cli", "gate"],
            true,
        );
        let with_root = format!("[package]\nname = 'root'\n{all}");
        check(
            tree(&with_root).with("src/main.rs", ""),
            Some("root"),
            &["root"],
            &[],
            true,
        );
        let error = programs(
            &Repository::new(&tree(all).with("crates/cli/Cargo.toml", "[package\n")).unwrap(),
            "Cargo.toml",
        );
        assert_eq!(
            error.unwrap_err().location(),
            Some(("crates/cli/Cargo.toml", Some(1)))
        );
    }
}
