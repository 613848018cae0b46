//! Tasks of a deno.json.

use serde_json::{Value, json};

use crate::error::DetectError;
use crate::repository::Repository;

/// `{file, name}` of the first of `names` that is a task in one of the files; one that only watches for changes is taken if
/// there is no other.
///
/// # Errors
/// A file is no JSON (comments are allowed there).
pub(crate) fn value(
    repository: &Repository<'_>,
    files: &[String],
    names: &[String],
) -> Result<Option<Value>, DetectError> {
    let mut watching = None;
    for file in files {
        let Some(config) = repository.json(file)? else {
            continue;
        };
        for name in names {
            let task = config.get("tasks").and_then(|tasks| tasks.get(name));
            let command =
                task.and_then(|task| task.as_str().or_else(|| task.get("command")?.as_str()));
            let Some(command) = command.filter(|command| !command.trim().is_empty()) else {
                continue;
            };
            let found = json!({"file": file, "name": name});
            if !command.contains("--watch") {
                return Ok(Some(found));
            }
            watching.get_or_insert(found);
        }
    }
    Ok(watching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn check(tasks: &str, expected: Option<&str>) {
        let tree = MapTree::new().with("deno.jsonc", format!("{{ // x\n\"tasks\": {tasks},}}"));
        let repository = Repository::new(&tree).unwrap();
        let names = ["start", "preview"].map(str::to_owned);
        let files = ["deno.json", "deno.jsonc"].map(str::to_owned);
        let found = value(&repository, &files, &names).unwrap();
        let name = found.as_ref().and_then(|found| found.get("name")?.as_str());
        assert_eq!(name, expected, "{tasks}");
    }

    #[test]
    fn the_task_to_start() {
        check(r#"{"start": "deno run -A main.ts"}"#, Some("start"));
        check(
            r#"{"start": "deno run --watch dev.ts", "preview": "deno run main.ts"}"#,
            Some("preview"),
        );
        check(r#"{"start": "deno run --watch=x dev.ts"}"#, Some("start"));
        check(
            r#"{"start": {"command": "deno serve x.ts"}}"#,
            Some("start"),
        );
        check(r#"{"start": {"dependencies": ["a"]}, "test": "x"}"#, None);
        check("3", None);
    }
}
