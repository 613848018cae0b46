//! JSON as some tools write it: with comments and with commas behind the last item.

/// Whether the file's own tool accepts comments in it. npm and composer refuse them, so for their files they are a mistake.
pub(crate) fn is_allowed_in(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.ends_with(".jsonc")
        || matches!(
            name,
            "angular.json"
                | "deno.json"
                | "nx.json"
                | "project.json"
                | "railpack.json"
                | "tsconfig.json"
                | "turbo.json"
                | "workspace.json"
        )
}

/// The same text without comments and trailing commas; spaces take their place, so that every line keeps its number.
pub(crate) fn to_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    // Where the last comma stands if nothing but space came behind it.
    let mut comma: Option<usize> = None;
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                comma = None;
                json.push('"');
                while let Some(inner) = rest.next() {
                    json.push(inner);
                    if inner == '\\' {
                        json.extend(rest.next());
                    } else if inner == '"' {
                        break;
                    }
                }
            }
            '/' if rest.peek() == Some(&'/') => {
                while rest.next_if(|skipped| *skipped != '\n').is_some() {}
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut previous = ' ';
                for skipped in rest.by_ref() {
                    if skipped == '\n' {
                        json.push('\n');
                    }
                    if previous == '*' && skipped == '/' {
                        break;
                    }
                    previous = skipped;
                }
            }
            ',' => {
                comma = Some(json.len());
                json.push(',');
            }
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    json.replace_range(at..=at, " ");
                }
                json.push(c);
            }
            space if space.is_whitespace() => json.push(space),
            other => {
                comma = None;
                json.push(other);
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_gone() {
        for (text, expected) in [
            ("{\"a\": 1, // x\n}", r#"{"a":1}"#),
            ("{/* x\n*/\"a\": [1, 2,],}", r#"{"a":[1,2]}"#),
            (
                r#"{"a": "// no \" comment, }", "b": "/*"}"#,
                r#"{"a":"// no \" comment, }","b":"/*"}"#,
            ),
            ("{\"a\": 1, /* b */ /* c */ }", r#"{"a":1}"#),
        ] {
            let json = to_json(text);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value.to_string(), expected, "{text}");
            assert_eq!(json.matches('\n').count(), text.matches('\n').count());
        }
        for broken in ["{", "\"", "/*", "//", "{,}", ",", "\"\\"] {
            let _ = to_json(broken);
        }
        assert!(is_allowed_in("apps/x/project.json") && !is_allowed_in("package.json"));
    }
}
