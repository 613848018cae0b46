//! The project of a .NET repository that is the app (learn.microsoft.com/dotnet/core/project-sdk/overview).

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;
use crate::xml::{self, Element};

/// Projects looked into; those near the root come first.
const MAX_PROJECTS: usize = 200;

/// `{path, name, kind, framework, others}`: the project file, what its program is called, `web`, `pages` or `program`, the framework to
/// build for where there are several to choose from, and the other projects that would start. A project with the web SDK goes before one that is only a program; tests and libraries are none.
///
/// # Errors
/// A project file is not XML.
pub(crate) fn project(
    repository: &Repository<'_>,
    of: &[String],
) -> Result<Option<Value>, DetectError> {
    let mut found: Vec<Found> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        if seen.contains(&path) || seen.len() >= MAX_PROJECTS {
            continue;
        }
        seen.push(path);
        let elements = xml::of_file(repository, path)?;
        let Some((rank, kind)) = kind_of(&elements) else {
            continue;
        };
        let file = path.rsplit('/').next().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let named = xml::text_at(
            &elements,
            &["Project/PropertyGroup/AssemblyName".to_owned()],
        );
        // `$(MSBuildProjectName)` and its like are worked out by the build.
        let name = named
            .map(|(name, _)| name)
            .filter(|name| !name.contains("$(") && !name.contains(char::is_control));
        found.push(Found {
            rank,
            path: path.to_owned(),
            name: name.unwrap_or_else(|| stem.to_owned()),
            kind,
            framework: framework(&elements),
        });
    }
    let deployed = deployed(repository)?;
    found.sort_by_key(|found| {
        (
            deployed.as_deref() != Some(found.path.as_str()),
            found.rank,
            !is_pages_by_name(&found.path),
            found.path.matches('/').count(),
            found.path.clone(),
        )
    });
    let mut found = found.into_iter();
    Ok(found.next().map(|app| {
        let others: Vec<String> = found.map(|found| found.path).collect();
        json!({
            "path": app.path,
            "name": app.name,
            "kind": app.kind,
            "framework": app.framework,
            "others": others,
        })
    }))
}

/// The project that `.deployment` names, as Azure and Cloud Foundry read it.
fn deployed(repository: &Repository<'_>) -> Result<Option<String>, DetectError> {
    let text = repository.beginning(".deployment")?;
    let named = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "project").then(|| value.trim().trim_start_matches("./").replace('\\', "/"))
    });
    Ok(named)
}

/// Of several web projects the one with the pages is what visitors come for, and the others are what it calls.
fn is_pages_by_name(path: &str) -> bool {
    let file = path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let stem = file
        .rsplit_once('.')
        .map_or(file.as_str(), |(stem, _)| stem);
    let last = stem.rsplit('.').next().unwrap_or_default();
    [
        "web", "webui", "webapp", "site", "website", "frontend", "ui", "mvc", "server",
    ]
    .contains(&last)
}

/// A project that would start.
struct Found {
    /// Less is likelier.
    rank: usize,
    path: String,
    name: String,
    kind: &'static str,
    framework: Option<String>,
}

/// The first of several frameworks: nothing can be published without choosing one (NETSDK1129).
fn framework(elements: &[Element]) -> Option<String> {
    let several = xml::text_at(
        elements,
        &["Project/PropertyGroup/TargetFrameworks".to_owned()],
    )?;
    let first = several
        .0
        .split(';')
        .map(str::trim)
        .find(|name| !name.is_empty())?;
    is_harmless(first).then(|| first.to_owned())
}

/// What a project becomes, the likeliest app first; nothing for tests and libraries.
fn kind_of(elements: &[Element]) -> Option<(usize, &'static str)> {
    let root = elements.first()?;
    let imported = elements
        .iter()
        .filter(|element| matches!(element.name(), "Sdk" | "Import"));
    let named = imported.filter_map(|element| {
        element
            .attribute("Name")
            .or_else(|| element.attribute("Sdk"))
    });
    let sdks: Vec<&str> = root.attribute("Sdk").into_iter().chain(named).collect();
    let has = |name: &str| sdks.iter().any(|sdk| sdk.split('/').next() == Some(name));
    // The host of Aspire starts the others on the machine of who develops them.
    if has("Aspire.AppHost.Sdk")
        || elements
            .iter()
            .any(|element| element.name() == "IsAspireHost")
    {
        return None;
    }
    let text = |name: &str| {
        let path = format!("Project/PropertyGroup/{name}");
        xml::text_at(elements, &[path]).map(|(text, _)| text.to_ascii_lowercase())
    };
    let is_test = text("IsTestProject").as_deref() == Some("true")
        || elements.iter().any(|element| {
            element.name() == "PackageReference"
                && element
                    .attribute("Include")
                    .is_some_and(|name| name.eq_ignore_ascii_case("Microsoft.NET.Test.Sdk"))
        });
    if is_test {
        return None;
    }
    let output = text("OutputType");
    let is_program = output.as_deref() == Some("exe");
    if has("Microsoft.NET.Sdk.Web") {
        // A library of pages says so.
        (output.as_deref() != Some("library")).then_some((0, "web"))
    } else if has("Microsoft.NET.Sdk.Worker") {
        Some((2, "program"))
    } else if has("Microsoft.NET.Sdk.BlazorWebAssembly") {
        Some((4, "pages"))
    } else {
        is_program.then_some((3, "program"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    #[test]
    fn the_web_project_is_the_app() {
        let tree = MapTree::new()
            .with("src/Core/Core.csproj", "<Project Sdk=\"Microsoft.NET.Sdk\"/>")
            .with("src/Tool/Tool.fsproj", "<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup><OutputType>Exe</OutputType></PropertyGroup></Project>")
            .with("src/Web/Web.csproj", "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup><AssemblyName>Shop</AssemblyName></PropertyGroup></Project>")
            .with("test/T.csproj", "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><ItemGroup><PackageReference Include=\"Microsoft.NET.Test.Sdk\"/></ItemGroup></Project>");
        let repository = Repository::new(&tree).unwrap();
        let of = ["**/*.csproj", "**/*.fsproj"].map(str::to_owned);
        let found = project(&repository, &of).unwrap();
        let expected = json!({"path": "src/Web/Web.csproj", "name": "Shop", "kind": "web", "framework": null, "others": ["src/Tool/Tool.fsproj"]});
        assert_eq!(found, Some(expected));
    }
}
