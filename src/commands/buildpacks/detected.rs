//! What was found, or why nothing was, as text and as JSON.

use mini_buildpacks::{DetectError, Detection};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::problem;
use crate::commands::{Output, Page, problem_json};
use crate::model::Problem;

/// The answer of `buildpacks:detect`.
#[derive(Debug)]
pub struct Detected {
    pub(super) found: Result<Box<Detection>, Refusal>,
    /// Print JSON where text was asked for.
    pub(super) is_json: bool,
}

/// Why nothing was found.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    file: Option<String>,
    line: Option<usize>,
}

impl From<&DetectError> for Refusal {
    fn from(error: &DetectError) -> Self {
        let (file, line) = match error.location() {
            Some((file, line)) => (Some(file.to_owned()), line),
            None => (None, None),
        };
        Self {
            problem: problem(error),
            file,
            line,
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            file: None,
            line: None,
        }
    }
}

impl Detected {
    pub(super) fn new(found: Result<Detection, DetectError>, is_json: bool) -> Self {
        let found = match found {
            Ok(detection) => Ok(Box::new(detection)),
            Err(error) => Err(Refusal::from(&error)),
        };
        Self { found, is_json }
    }
}

impl Refusal {
    /// As every JSON answer shows a problem, and where it is.
    fn json(&self) -> Value {
        let mut value = problem_json(&self.problem);
        if let Some(error) = value.get_mut("error").and_then(Value::as_object_mut) {
            error.insert("file".to_owned(), json!(self.file));
            error.insert("line".to_owned(), json!(self.line));
        }
        value
    }
}

impl Serialize for Detected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.found {
            Ok(detection) => detection.serialize(serializer),
            Err(refusal) => refusal.json().serialize(serializer),
        }
    }
}

impl Output for Detected {
    fn print(&self, page: &mut Page) {
        if self.is_json {
            // Strings, numbers and maps with text for keys always have a JSON form.
            page.line(serde_json::to_string(self).unwrap_or_default());
            return;
        }
        match &self.found {
            Ok(detection) => describe(detection, page),
            Err(refusal) => refused(&refusal.problem, page),
        }
    }

    fn exit_code(&self) -> u8 {
        match &self.found {
            Ok(_) => 0,
            Err(refusal) => refusal.problem.exit_code(),
        }
    }
}

fn refused(problem: &Problem, page: &mut Page) {
    page.warning(&problem.what);
    for (label, text) in [("why: ", &problem.why), ("next:", &problem.next)] {
        if !text.is_empty() {
            page.warning(format!("{label} {text}"));
        }
    }
}

fn describe(detection: &Detection, page: &mut Page) {
    let mut title = detection.language.clone();
    for part in [&detection.version, &detection.variant]
        .into_iter()
        .flatten()
    {
        title.push_str(&format!(" {part}"));
    }
    page.header(title);
    let mut detail = |label: &str, value: &str| page.detail(format!("{label:<17}{value}"));
    detail("Builder:", &detection.builder);
    if detection.directory != "." {
        detail("Directory:", &detection.directory);
    }
    if detection.context != detection.directory {
        detail("Context:", &detection.context);
    }
    if let Some(target) = &detection.target {
        detail("Target:", target);
    }
    for evidence in &detection.evidence {
        detail("Because:", evidence);
    }
    for (label, value) in [
        ("Package manager:", &detection.package_manager),
        ("Install:", &detection.install),
        ("Build:", &detection.build),
        ("Predeploy:", &detection.predeploy_command),
        ("Release:", &detection.release_command),
    ] {
        if let Some(value) = value {
            detail(label, value);
        }
    }
    for (process_type, command) in &detection.processes {
        let command = command.as_deref().unwrap_or("(the image's own command)");
        detail(&format!("Process {process_type}:"), command);
    }
    if let Some(root) = &detection.static_root {
        detail("Static files:", root);
    }
    for (name, value) in &detection.arguments {
        detail("Build argument:", &format!("{name}={value}"));
    }
    for suggestion in &detection.environment {
        let value = if suggestion.value.is_empty() {
            suggestion.key.clone()
        } else {
            let value = suggestion.value.replace(char::is_control, " ");
            format!("{}={value}", suggestion.key)
        };
        detail("Config var:", &format!("{value} ({})", suggestion.reason));
    }
    for warning in &detection.warnings {
        detail("Note:", warning);
    }
}
