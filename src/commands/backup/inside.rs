//! What is said of a backup that was read.

use serde::Serialize;

use crate::backup::{AppInside, Inside, Restored};
use crate::commands::{Output, Page};

/// The answer of `backup:verify`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Whole(pub Inside);

impl Output for Whole {
    fn print(&self, page: &mut Page) {
        page.header("The backup is whole: everything in it was read and checked");
        print(&self.0, page);
    }
}

/// The answer of `backup:restore`.
#[derive(Debug, Serialize)]
pub struct PutBack {
    /// The data directory.
    data_dir: String,
    #[serde(flatten)]
    inside: Inside,
    settings: Option<String>,
    kept: Option<String>,
}

impl PutBack {
    /// What was put into `data_dir`.
    pub fn new(data_dir: String, restored: Restored) -> PutBack {
        let shown = |path: std::path::PathBuf| path.display().to_string();
        PutBack {
            data_dir,
            inside: restored.inside,
            settings: restored.settings.map(shown),
            kept: restored.kept.map(shown),
        }
    }
}

impl Output for PutBack {
    fn print(&self, page: &mut Page) {
        page.header(format!("Restored into {}", self.data_dir));
        print(&self.inside, page);
        if let Some(kept) = &self.kept {
            page.detail(format!("before   what was there is kept in {kept}"));
        }
        if let Some(settings) = &self.settings {
            page.detail(format!(
                "next     compare {settings} with the settings of this machine"
            ));
        }
        if !self.inside.storage.is_empty() {
            page.detail(
                "storage  put in place by the server before an app starts; what a folder holds now is kept beside it",
            );
        }
        page.detail(
            "next     start the server; it builds the apps again one by one, see `mini ps:report`",
        );
    }
}

fn print(inside: &Inside, page: &mut Page) {
    let head = &inside.head;
    page.detail(format!(
        "made     {:.0} on {} by mini {}",
        head.created_at, head.host, head.mini
    ));
    page.detail(format!(
        "holds    {} in {} files, SSH keys: {}, certificates: {}, settings: {}",
        length(inside.bytes),
        inside.files,
        inside.ssh_keys,
        inside.certificates,
        if inside.has_settings { "yes" } else { "no" },
    ));
    for folder in &inside.storage {
        page.detail(format!(
            "storage  {}: {} in {} files",
            folder.name,
            length(folder.bytes),
            folder.files
        ));
    }
    for app in &inside.apps {
        page.detail(format!("app      {}", line(app)));
    }
}

fn line(app: &AppInside) -> String {
    let name = &app.app;
    let config = match app.config_vars {
        0 => String::new(),
        1 => ", 1 config var".to_owned(),
        number => format!(", {number} config vars"),
    };
    match (&app.release, &app.commit) {
        (None, _) => format!("{name}: never deployed{config}"),
        (Some(version), Some(commit)) if app.is_restorable => {
            format!("{name}: {version} of {}{config}", commit.short())
        }
        (Some(version), _) => format!(
            "{name}: {version}{config}; it cannot be built again, for its source is not in the backup: push it"
        ),
    }
}

/// A length as people read it.
pub(super) fn length(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes.div_ceil(1 << 20)),
        _ => {
            let tenths = bytes.div_ceil((1 << 30) / 10);
            format!("{}.{} GiB", tenths / 10, tenths % 10)
        }
    }
}
