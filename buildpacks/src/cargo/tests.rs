//! Packages and workspaces as people lay them out.

use super::*;
use crate::tree::MapTree;

fn check(tree: MapTree, app: Option<&str>, programs: &[&str], packages: &[&str], is_sure: bool) {
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
    let package =
        |more: &str| MapTree::new().with("Cargo.toml", format!("[package]\nname = 'shop'\n{more}"));
    check(
        package("").with("src/main.rs", ""),
        Some("shop"),
        &["shop"],
        &[],
        true,
    );
    check(package("").with("src/lib.rs", ""), None, &[], &[], true);
    let optional =
        "autobins = false\n[[bin]]\nname = 'b'\nrequired-features = ['cli']\n[features]\n";
    let with_default = format!("{optional}default = ['all']\nall = ['cli']\ncli = []\n");
    check(package(&with_default), Some("b"), &["b"], &[], true);
    check(package(optional), None, &[], &[], true);
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
