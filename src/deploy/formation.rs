//! `formation` of app.json: how many processes there are of each type.

use std::collections::BTreeMap;

use mini_buildpacks::Tree;
use serde::Deserialize;
use serde_json::Value;

use super::checks::{read, wrong_app_json};
use crate::model::{Kind, Problem, ProcessType, Scale};

/// Most processes of one type, as `ps:scale` has it.
const MOST: i64 = 100;

/// What a repository says of its scale.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Formation {
    /// The types with a quantity; none where scaling is left to `ps:scale`.
    quantities: BTreeMap<ProcessType, u16>,
    /// What is not acted on.
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize, Default)]
struct AppJson {
    #[serde(default)]
    formation: Option<BTreeMap<String, Group>>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    quantity: Option<i64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Formation {
    /// Reads what `tree` declares.
    ///
    /// # Errors
    /// app.json is broken, or has what cannot be.
    pub(super) fn read(tree: &dyn Tree) -> Result<Self, Problem> {
        let Some(text) = read(tree, "app.json")? else {
            return Ok(Self::default());
        };
        let text = text.trim_start_matches('\u{feff}');
        let parsed: AppJson = serde_json::from_str(text).map_err(|error| wrong_app_json(&error))?;
        let mut found = Self::default();
        for (name, group) in parsed.formation.unwrap_or_default() {
            let process_type: ProcessType = name.parse().map_err(|_| {
                let name = name.escape_debug();
                wrong(format!("`{name}` in `formation` is no process type"))
            })?;
            if process_type.as_str() == "release" {
                let why =
                    "`release` in `formation` is no process type: it is run once in each deploy";
                return Err(wrong(why.to_owned()));
            }
            for other in group.others.keys() {
                found.warnings.push(format!(
                    "app.json: not acted on: `{}` of `{process_type}` in `formation`",
                    other.escape_debug()
                ));
            }
            let Some(quantity) = group.quantity else {
                continue;
            };
            let quantity = u16::try_from(quantity)
                .ok()
                .filter(|quantity| i64::from(*quantity) <= MOST)
                .ok_or_else(|| {
                    wrong(format!(
                        "the quantity of `{process_type}` in `formation` is {quantity}, and may be from 0 to {MOST}"
                    ))
                })?;
            found.quantities.insert(process_type, quantity);
        }
        Ok(found)
    }

    /// The scale that goes with these process types, where the repository has one: types it does not name do not run, but for
    /// `web`, which runs once.
    pub(super) fn scale_of(
        &self,
        processes: &BTreeMap<ProcessType, Option<String>>,
    ) -> Option<Scale> {
        if self.quantities.is_empty() {
            return None;
        }
        let unscaled = Scale::default();
        let each = processes.keys().map(|process_type| {
            let quantity = self.quantities.get(process_type).copied();
            let quantity = quantity.unwrap_or_else(|| unscaled.quantity(process_type));
            (process_type.clone(), quantity)
        });
        Some(Scale(each.collect()))
    }

    /// The types that are to run and that there are not.
    pub(super) fn unknown(
        &self,
        processes: &BTreeMap<ProcessType, Option<String>>,
    ) -> impl Iterator<Item = &str> {
        let named = self
            .quantities
            .iter()
            .filter(|(_, quantity)| **quantity > 0);
        let named = named.map(|(process_type, _)| process_type);
        named
            .filter(|process_type| !processes.contains_key(*process_type))
            .map(ProcessType::as_str)
    }
}

/// What is said where a formation puts an end to what was scaled by hand.
pub(super) fn rescaled(formation: &Scale, by_hand: &Scale) -> Vec<String> {
    let changed = formation.0.iter().filter_map(|(process_type, quantity)| {
        let before = by_hand.0.get(process_type)?;
        (before != quantity).then(|| {
            format!(
                "app.json: `formation` sets `{process_type}` to {quantity}; it was scaled to {before}"
            )
        })
    });
    changed.collect()
}

fn wrong(why: String) -> Problem {
    Problem::new(
        Kind::AppFailed,
        "app.json is not what it should be",
        why,
        "correct it, commit, and push again",
    )
}

#[cfg(test)]
mod tests {
    use mini_buildpacks::MapTree;

    use super::*;

    fn read_of(text: &str) -> Result<Formation, Problem> {
        Formation::read(&MapTree::new().with("app.json", text))
    }

    fn quantities(pairs: &[(&str, u16)]) -> BTreeMap<ProcessType, u16> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, quantity)| (name.parse().unwrap(), *quantity))
            .collect()
    }

    #[test]
    fn a_formation_is_read() {
        let text = r#"{"formation": {"web": {"quantity": 2}, "worker": {"quantity": 1, "max_parallel": 2}, "clock": {}}}"#;
        let formation = read_of(text).unwrap();
        assert_eq!(
            formation.quantities,
            quantities(&[("web", 2), ("worker", 1)])
        );
        assert_eq!(
            formation.warnings,
            ["app.json: not acted on: `max_parallel` of `worker` in `formation`"]
        );
        for nothing in ["{}", r#"{"formation": null}"#] {
            assert_eq!(read_of(nothing), Ok(Formation::default()), "{nothing}");
        }
    }

    #[test]
    fn what_was_scaled_by_hand_is_not_changed_in_silence() {
        let formation = Scale(quantities(&[("web", 1), ("worker", 0), ("clock", 1)]));
        let by_hand = Scale(quantities(&[("web", 1), ("worker", 2), ("gone", 3)]));
        assert_eq!(
            rescaled(&formation, &by_hand),
            ["app.json: `formation` sets `worker` to 0; it was scaled to 2"]
        );
    }

    #[test]
    fn what_cannot_be_scaled_is_refused() {
        for (text, part) in [
            (
                r#"{"formation": {"web": {"quantity": 101}}}"#,
                "from 0 to 100",
            ),
            (
                r#"{"formation": {"web": {"quantity": -1}}}"#,
                "from 0 to 100",
            ),
            (r#"{"formation": {"a b": {"quantity": 1}}}"#, "a b"),
            (r#"{"formation": {"release": {"quantity": 1}}}"#, "release"),
            ("{", "EOF"),
        ] {
            let problem = read_of(text).unwrap_err();
            let told = format!("{} {}", problem.what, problem.why);
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn a_formation_counts_for_all_types_there_are() {
        let processes = |names: &[&str]| {
            let names = names.iter().map(|name| (name.parse().unwrap(), None));
            names.collect::<BTreeMap<ProcessType, Option<String>>>()
        };
        let text = r#"{"formation": {"worker": {"quantity": 2}, "gone": {"quantity": 1}}}"#;
        let formation = read_of(text).unwrap();
        let scale = formation.scale_of(&processes(&["web", "worker", "clock"]));
        let expected = quantities(&[("web", 1), ("worker", 2), ("clock", 0)]);
        assert_eq!(scale, Some(Scale(expected)));
        assert_eq!(
            formation
                .unknown(&processes(&["web", "worker"]))
                .collect::<Vec<_>>(),
            ["gone"]
        );
        let none = read_of("{}").unwrap().scale_of(&processes(&["web"]));
        assert_eq!(none, None);
    }
}
