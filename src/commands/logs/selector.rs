//! `web` or `web.1`

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{InvalidName, ProcessType};

/// One process type, or one process of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    process_type: ProcessType,
    index: Option<u16>,
}

impl Selector {
    /// Whether it stands for this process.
    pub(super) fn matches(&self, process_type: &ProcessType, index: u16) -> bool {
        self.process_type == *process_type && self.index.is_none_or(|wanted| wanted == index)
    }
}

impl FromStr for Selector {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (process_type, index) = match text.split_once('.') {
            None => (text, None),
            Some((process_type, index)) => {
                let index = index.parse().ok().filter(|index| *index > 0);
                let index = index.ok_or(InvalidName {
                    what: "process",
                    rule: "A process is a type such as `web`, or a type and a number such as `web.1`",
                })?;
                (process_type, Some(index))
            }
        };
        Ok(Self {
            process_type: process_type.parse()?,
            index,
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> String {
        match selector.index {
            Some(index) => format!("{}.{index}", selector.process_type),
            None => selector.process_type.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_stands_for_all_its_processes() {
        let web = ProcessType::web();
        let all: Selector = "web".parse().unwrap();
        assert!(all.matches(&web, 1) && all.matches(&web, 2));
        let one: Selector = "web.2".parse().unwrap();
        assert!(!one.matches(&web, 1) && one.matches(&web, 2));
        assert_eq!(String::from(one), "web.2");
        for bad in ["", "web.", "web.0", "web.x", ".1", "web.1.2"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }
}
