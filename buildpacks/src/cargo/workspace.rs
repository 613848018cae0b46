//! The packages of a workspace, and which of them is the app.

use std::collections::BTreeSet;

use serde_json::Value;

use super::package::{Package, WEB_NAMES, is_called};
use crate::error::DetectError;
use crate::repository::Repository;

/// Members looked into. The largest public workspaces have a few hundred.
const MAX_MEMBERS: usize = 500;
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

/// The packages that are built together.
pub(super) struct Workspace {
    /// The root package first, then default members, then the others.
    pub(super) packages: Vec<Package>,
    pub(super) has_root_package: bool,
    /// How many of the packages are built by default, the root among them.
    default_count: usize,
}

impl Workspace {
    pub(super) fn read(
        repository: &Repository<'_>,
        file: &str,
    ) -> Result<Option<Self>, DetectError> {
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
    pub(super) fn app_package<'p>(
        &self,
        candidates: &[&'p Package],
    ) -> Option<(&'p Package, String, bool)> {
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
