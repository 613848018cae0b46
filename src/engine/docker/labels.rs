//! The labels by which we find our things in Docker again, and the names we give them.

use std::collections::HashMap;

use crate::model::{AppName, ProcessType, ReleaseVersion};

/// Which installation of mini a thing belongs to. Everything we make carries it; everything else is not ours to touch.
pub(super) const INSTANCE: &str = "mini.instance";
/// The app a thing belongs to.
pub(super) const APP: &str = "mini.app";
/// The number of the release a container runs, or that an image was first built for.
pub(super) const RELEASE: &str = "mini.release";
/// The process type of a container.
pub(super) const PROCESS: &str = "mini.process";
/// The number of a process within its type.
pub(super) const INDEX: &str = "mini.index";
/// The name of the kept image that an image was made of.
pub(super) const SOURCE: &str = "mini.source";
/// What a thing is: see [`Kind`].
pub(super) const KIND: &str = "mini.kind";

/// What a labelled thing is. A one-off container carries its purpose (`run`, `release`) instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A container of an app's process.
    Process,
    /// An app's network.
    Network,
    /// An app's image. Containers made from it by hand inherit the label, which is how they are told from ours.
    Image,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Network => "network",
            Kind::Image => "image",
        }
    }
}

/// The labels of a process; the identity of the process is read back from these alone.
pub(super) struct ProcessLabels {
    pub(super) app: AppName,
    pub(super) release: ReleaseVersion,
    pub(super) process_type: ProcessType,
    pub(super) index: u16,
}

impl ProcessLabels {
    /// What Docker is given.
    pub(super) fn write(&self, instance: &str) -> HashMap<String, String> {
        let mut labels = of_app(instance, &self.app, Kind::Process.as_str());
        labels.insert(RELEASE.into(), self.release.0.to_string());
        labels.insert(PROCESS.into(), self.process_type.to_string());
        labels.insert(INDEX.into(), self.index.to_string());
        labels
    }

    /// What Docker says; nothing when one is missing or is not what we write.
    pub(super) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Self {
            app: labels.get(APP)?.parse().ok()?,
            release: labels.get(RELEASE)?.parse().ok()?,
            process_type: labels.get(PROCESS)?.parse().ok()?,
            index: labels.get(INDEX)?.parse().ok()?,
        })
    }

    /// The container's name.
    pub(super) fn container_name(&self, instance: &str) -> String {
        let Self {
            app,
            release,
            process_type,
            index,
        } = self;
        format!("{app}.{process_type}.{index}.{release}.{instance}")
    }
}

/// The labels everything of an app carries.
pub(super) fn of_app(instance: &str, app: &AppName, kind: &str) -> HashMap<String, String> {
    HashMap::from([
        (INSTANCE.into(), instance.into()),
        (APP.into(), app.to_string()),
        (KIND.into(), kind.into()),
    ])
}

/// A filter on labels, as list and event requests take it; all of them have to match.
pub(super) fn filter(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let wanted = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    HashMap::from([("label".to_owned(), wanted)])
}

/// The name of an app's network.
pub(super) fn network_name(instance: &str, app: &AppName) -> String {
    format!("mini-{instance}-{app}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_were_written() {
        let labels = ProcessLabels {
            app: "shop".parse().unwrap(),
            release: ReleaseVersion(7),
            process_type: ProcessType::web(),
            index: 2,
        };
        assert_eq!(labels.container_name("i1"), "shop.web.2.v7.i1");
        let mut written = labels.write("i1");
        let read = ProcessLabels::read(&written).unwrap();
        assert_eq!(read.container_name("i1"), "shop.web.2.v7.i1");
        written.insert(INDEX.into(), "many".into());
        assert!(ProcessLabels::read(&written).is_none());
    }
}
