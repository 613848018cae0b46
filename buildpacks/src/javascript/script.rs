//! The scripts of a package.json: which program a script comes down to, through other scripts and wrappers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Scripts call scripts; a chain longer than this is a circle or a joke.
const MAX_DEPTH: usize = 8;
/// Programs whose package has another name.
const PROGRAMS: &[(&str, &str)] = &[
    ("babel-node", "@babel/node"),
    ("dotenv", "dotenv-cli"),
    ("dotenvx", "@dotenvx/dotenvx"),
    ("fastify", "fastify-cli"),
    ("medusa", "@medusajs/cli"),
    ("nest", "@nestjs/cli"),
    ("ng", "@angular/cli"),
    ("react-router-serve", "@react-router/serve"),
    ("remix-serve", "@remix-run/serve"),
    ("run-p", "npm-run-all"),
    ("run-s", "npm-run-all"),
    ("sirv", "sirv-cli"),
    ("swc-node", "@swc-node/register"),
    ("tsc", "typescript"),
    ("vue-cli-service", "@vue/cli-service"),
];
/// Commands a circle of scripts could multiply without end.
const MAX_COMMANDS: usize = 64;

/// The commands a script comes down to, in order, each as its words without assignments and wrappers.
pub(crate) fn commands(package: &Value, name: &str) -> Vec<Vec<String>> {
    let whole = whole_commands(package, name);
    let bare = whole.iter().map(|words| unwrapped(words).to_vec());
    bare.filter(|words| !words.is_empty()).collect()
}

/// The same with assignments and wrappers, which have to be installed too: `cross-env`, `dotenv`.
pub(crate) fn whole_commands(package: &Value, name: &str) -> Vec<Vec<String>> {
    script(package, name)
        .map(|text| commands_of_line(package, text))
        .unwrap_or_default()
}

/// `{name, commands}` of the first of `names` that the package has, and true for each of `kinds` that its last command is like.
pub(crate) fn value(
    package: &Value,
    names: &[String],
    kinds: &BTreeMap<String, Vec<String>>,
) -> Option<Value> {
    let has_text =
        |name: &&String| script(package, name).is_some_and(|text| !text.trim().is_empty());
    let name = names.iter().find(has_text)?;
    let commands = commands(package, name);
    let last = commands.last().map(Vec::as_slice).unwrap_or_default();
    let of_kinds = kinds.iter().map(|(kind, patterns)| {
        let is_of_kind = patterns.iter().any(|pattern| is_like(last, pattern));
        (kind.clone(), Value::Bool(is_of_kind))
    });
    let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
    let mut value: serde_json::Map<String, Value> = of_kinds.collect();
    value.insert("name".to_owned(), name.as_str().into());
    value.insert("commands".to_owned(), commands.into());
    Some(value.into())
}

/// What stands behind one of `options` (`--outDir build`, `--outDir=build`) in the first command of a script that calls one of
/// `programs`, Vite's second build for a server aside.
pub(crate) fn option(
    package: &Value,
    name: &str,
    programs: &[String],
    options: &[String],
) -> Option<String> {
    let commands = commands(package, name);
    let mut calls = commands.iter().filter(|words| {
        words.first().is_some_and(|word| programs.contains(word))
            && !words.iter().any(|word| word == "--ssr")
    });
    calls.find_map(|words| {
        words.iter().enumerate().find_map(|(at, word)| {
            let behind = options.iter().find_map(|option| {
                let rest = word.strip_prefix(option.as_str())?;
                if rest.is_empty() {
                    words.get(at + 1).map(String::as_str)
                } else {
                    rest.strip_prefix('=')
                }
            });
            behind.map(str::to_owned)
        })
    })
}

/// [`whole_commands`] of a command line that may call scripts: one of a Procfile.
pub(crate) fn commands_of_line(package: &Value, line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    expand(package, line, MAX_DEPTH, &mut found);
    found
}

/// Whether a command begins with the words of `pattern`. Behind them only options may follow, or anything where the pattern
/// ends in `*`: `vite` is `vite --host`, but not `vite build`.
pub(crate) fn is_like(command: &[String], pattern: &str) -> bool {
    let mut words = command.iter().map(String::as_str);
    for wanted in pattern.split(' ') {
        if wanted == "*" {
            return true;
        }
        if words.next() != Some(wanted) {
            return false;
        }
    }
    words.next().is_none_or(|next| next.starts_with('-'))
}

/// The packages for development that the commands name, as a program or as a module to load.
pub(crate) fn packages_for_development(
    package: &Value,
    commands: &[Vec<String>],
) -> BTreeSet<String> {
    let names = |key: &str| package.get(key).and_then(Value::as_object);
    let Some(development) = names("devDependencies") else {
        return BTreeSet::new();
    };
    let is_installed_anyway =
        |name: &str| names("dependencies").is_some_and(|production| production.contains_key(name));
    let words = commands.iter().flatten().flat_map(|word| {
        // `--import=tsx`, and several commands in the quotes of `concurrently`.
        word.split(['=', ' ', '"', '\''])
    });
    let named = words.filter_map(|word| {
        let word = word.strip_prefix("node_modules/.bin/").unwrap_or(word);
        let word = word.strip_prefix("./node_modules/.bin/").unwrap_or(word);
        let other = PROGRAMS.iter().find(|(program, _)| *program == word);
        let name = other.map_or(word, |(_, name)| name);
        // `ts-node/register` is a file of the package `ts-node`.
        let depth = if name.starts_with('@') { 2 } else { 1 };
        let end = name.match_indices('/').nth(depth - 1).map(|(at, _)| at);
        Some(name.get(..end.unwrap_or(name.len()))?.to_owned())
    });
    named
        .filter(|name| development.contains_key(name) && !is_installed_anyway(name))
        .collect()
}

fn script<'p>(package: &'p Value, name: &str) -> Option<&'p str> {
    package.get("scripts")?.get(name)?.as_str()
}

fn expand(package: &Value, text: &str, depth: usize, found: &mut Vec<Vec<String>>) {
    for command in split(text) {
        if found.len() >= MAX_COMMANDS {
            return;
        }
        let words = unwrapped(&command);
        let called = called_script(words).filter(|name| script(package, name).is_some());
        match called {
            Some(name) if depth > 0 => {
                let wrappers = command.len().saturating_sub(words.len());
                found.extend(
                    command
                        .get(..wrappers)
                        .filter(|words| !words.is_empty())
                        .map(<[String]>::to_vec),
                );
                let text = script(package, name).unwrap_or_default();
                expand(package, text, depth - 1, found);
            }
            _ => found.push(command),
        }
    }
}

/// The commands of a shell line as their words. Quotes are taken away; what is in them stays one word.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '&' | '|' | ';' | '\n' | '(' | ')') => {
                end_word(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => end_word(&mut commands, &mut word),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut commands, &mut word);
    commands.retain(|words| !words.is_empty());
    commands
}

fn end_word(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let (Some(last), Some(word)) = (commands.last_mut(), word.take()) {
        last.push(word);
    }
}

/// Without what only prepares the command: `NODE_ENV=production`, `cross-env X=y`, `npx`, `dotenv -e .env --`.
fn unwrapped(words: &[String]) -> &[String] {
    let mut words = words;
    loop {
        let text = |at: usize| words.get(at).map_or("", String::as_str);
        let skipped = match (text(0), text(1)) {
            (first, _) if is_assignment(first) => 1,
            ("cross-env" | "cross-env-shell" | "env" | "exec" | "npx" | "bunx" | "time", _) => 1,
            ("npm" | "pnpm" | "yarn", "exec" | "dlx") | ("bun", "x") => 2,
            ("dotenv" | "dotenvx" | "infisical" | "doppler", _) => {
                match words.iter().position(|word| word == "--") {
                    Some(at) => at + 1,
                    None => return words,
                }
            }
            ("-y" | "--yes" | "--", _) => 1,
            _ => return words,
        };
        words = words.get(skipped..).unwrap_or_default();
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The script that a command runs: `npm run x`, `npm start`, `yarn x`, `pnpm x`, `bun run x`.
fn called_script(words: &[String]) -> Option<&str> {
    let mut rest = words.iter().map(String::as_str);
    let manager = rest.next()?;
    let mut rest = rest.filter(|word| !word.starts_with('-'));
    let first = rest.next()?;
    match (manager, first) {
        ("npm" | "pnpm" | "yarn" | "bun", "run" | "run-script") => rest.next(),
        ("npm", "start" | "stop" | "test" | "restart") => Some(first),
        ("pnpm" | "yarn", _) => Some(first),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(scripts: Value, expected: &[&str]) {
        let package = json!({"scripts": scripts});
        let found = commands(&package, "start");
        let found: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
        assert_eq!(found, expected, "{package}");
    }

    #[test]
    fn what_a_script_comes_down_to() {
        check(
            json!({"start": "next start -p $PORT"}),
            &["next start -p $PORT"],
        );
        check(
            json!({"start": "cross-env NODE_ENV=production npm run serve", "serve": "node a.js"}),
            &["node a.js"],
        );
        check(
            json!({"start": "yarn build && pnpm serve", "build": "tsc", "serve": "npx -y serve dist"}),
            &["tsc", "serve dist"],
        );
        check(
            json!({"start": "dotenv -e .env -- ts-node 'src/a b.ts'"}),
            &["ts-node src/a b.ts"],
        );
        check(json!({"start": "pnpm vite"}), &["pnpm vite"]);
        check(json!({"start": "echo 'open"}), &["echo open"]);
        check(json!({"start": 3}), &[]);
        check(json!({}), &[]);
    }

    #[test]
    fn options_of_a_program_in_a_script() {
        let options = ["--outDir".to_owned(), "--env-file".to_owned()];
        let programs = ["vite".to_owned(), "node".to_owned()];
        for (build, expected) in [
            ("tsc -b && vite build --outDir build", Some("build")),
            ("vite build --outDir=public/app", Some("public/app")),
            ("vite build --outDirs x", None),
            ("vite build --outDir", None),
            ("rollup --outDir build", None),
            (
                "vite build --ssr a.js --outDir dist/server && vite build --outDir dist/client",
                Some("dist/client"),
            ),
            ("node --env-file=.env a.js", Some(".env")),
            ("node --env-file-if-exists=.env a.js", None),
        ] {
            let package = json!({"scripts": {"build": build}});
            let found = option(&package, "build", &programs, &options);
            assert_eq!(found.as_deref(), expected, "{build}");
        }
    }

    #[test]
    fn circles_of_scripts_end() {
        let package =
            json!({"scripts": {"start": "npm run a && npm run a", "a": "npm start; npm start"}});
        assert!(commands(&package, "start").len() <= MAX_COMMANDS);
    }

    #[test]
    fn patterns() {
        for (command, pattern, expected) in [
            ("vite", "vite", true),
            ("vite --host", "vite", true),
            ("vite build", "vite", false),
            ("vite preview", "vite preview", true),
            ("ng serve shop", "ng serve *", true),
            ("ng", "ng serve *", false),
            ("serve -s build", "serve *", true),
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(is_like(&words, pattern), expected, "{command} {pattern}");
        }
    }

    #[test]
    fn packages_that_have_to_stay() {
        let package = json!({
            "scripts": {
                "start": "node -r ts-node/register src/a.ts", "tool": "tsc -p .", "both": "concurrently \"tsx a.ts\" 'npm:b'",
                "scoped": "node --import=@swc-node/register/esm-register a.ts", "plain": "node a.js",
                "wrapped": "cross-env NODE_ENV=production npm run plain", "wrapping": "NODE_ENV=production cross-env A=b node a.js",
            },
            "devDependencies": {
                "ts-node": "1", "typescript": "5", "tsx": "4", "concurrently": "1", "nodemon": "1", "@swc-node/register": "1",
                "cross-env": "7",
            },
            "dependencies": {"nodemon": "1"},
        });
        for (script, expected) in [
            ("start", &["ts-node"][..]),
            ("tool", &["typescript"]),
            ("both", &["concurrently", "tsx"]),
            ("scoped", &["@swc-node/register"]),
            ("plain", &[]),
            ("wrapped", &["cross-env"]),
            ("wrapping", &["cross-env"]),
        ] {
            let found = packages_for_development(&package, &whole_commands(&package, script));
            assert!(
                found
                    .iter()
                    .map(String::as_str)
                    .eq(expected.iter().copied()),
                "{script}: {found:?}"
            );
        }
    }
}
