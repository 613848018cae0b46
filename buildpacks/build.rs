//! Embeds every language folder: its `buildpack.toml`, `Dockerfile.tmpl`, `versions.toml` and `environment.toml`,
//! but not its fixtures. A script
//! rather than the `include_dir` macro because cargo then notices a new folder by itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rerun-if-changed={}", root.display());
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    folders.retain(|folder| folder.join("buildpack.toml").is_file());
    folders.sort();
    let mut code = String::from("pub(crate) const FOLDERS: &[Folder] = &[\n");
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let optional = |file: &str| match folder.join(file) {
            path if path.is_file() => format!("Some({})", include(&path)),
            _ => "None".to_owned(),
        };
        let manifest = include(&folder.join("buildpack.toml"));
        let (template, versions) = (optional("Dockerfile.tmpl"), optional("versions.toml"));
        let environment = optional("environment.toml");
        let line = format!(
            "    Folder {{ name: {name:?}, manifest: {manifest}, template: {template}, versions: {versions}, environment: {environment} }},\n"
        );
        code.write_str(&line).map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("folders.rs"), code)
}

fn include(path: &Path) -> String {
    format!("include_str!({:?})", path.display().to_string())
}
