//! Configuration that is a program (`next.config.mjs`, `vite.config.ts`): read as text, comments, spaces and kinds of quotes
//! aside. No evaluation: a value that is computed is not found, and the framework's default holds.

use crate::error::DetectError;
use crate::repository::Repository;
use crate::template::is_harmless;

/// Occurrences of one name that are looked at in one file, and characters behind each: a file is a stranger's, and what is held
/// of it has to have an end. Configuration names a folder once or twice, by a path of a few words.
const OCCURRENCES: usize = 100;
const CHARACTERS_BEHIND: usize = 512;

/// A path that code gives a name to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// As it is written.
    pub(crate) path: String,
    /// Whether Node.js puts the folder of the file in front, so that it is seen from there whatever the program thinks of paths.
    pub(crate) is_from_here: bool,
}

/// The first file whose code contains one of `texts`, which are written without spaces and with double quotes.
pub(crate) fn file_with(
    repository: &Repository<'_>,
    of: &[String],
    texts: &[String],
) -> Result<Option<String>, DetectError> {
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        let code = compact(&repository.source(path)?);
        if texts.iter().any(|text| is_in(&code, text)) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// The directory behind the first `NAME: "..."` in one of the files, for one of `names`, also where Node.js puts the folder of the
/// file in front (`path.resolve(__dirname, "...")`). `OUTER.NAME` is only looked for in the braces behind `OUTER`; a name with `(` at
/// its end is a call. Nothing that leaves the app, and nothing with characters that need care.
pub(crate) fn directory(
    repository: &Repository<'_>,
    of: &[String],
    names: &[String],
) -> Result<Option<String>, DetectError> {
    let values = paths(repository, of, names)?;
    Ok(values.iter().find_map(|value| clean_directory(&value.path)))
}

/// The directory behind one of `names` where the program sees plain paths from the directory `base`: `inside_base` in there where no
/// code names one. Nothing where it is named in a way that is not understood.
pub(crate) fn directory_in(
    repository: &Repository<'_>,
    of: &[String],
    names: &[String],
    base: &str,
    inside_base: &str,
) -> Result<Option<String>, DetectError> {
    let values = paths(repository, of, names)?;
    if values.is_empty() && file_with(repository, of, names)?.is_none() {
        return Ok(directory_from(base, inside_base));
    }
    let mut directories = values.iter().filter_map(|value| {
        if value.is_from_here {
            clean_directory(&value.path)
        } else {
            directory_from(base, &value.path)
        }
    });
    Ok(directories.next())
}

/// The directory behind `NAME: "..."` that has an index.html.
pub(crate) fn page_directory(
    repository: &Repository<'_>,
    of: &[String],
    name: &str,
) -> Result<Option<String>, DetectError> {
    let values = paths(repository, of, &[name.to_owned()])?;
    let mut directories = values
        .iter()
        .filter_map(|value| clean_directory(&value.path));
    Ok(directories.find(|directory| repository.has(&format!("{directory}/index.html"))))
}

/// The paths behind names, as [`directory`] looks for them.
fn paths(
    repository: &Repository<'_>,
    of: &[String],
    names: &[String],
) -> Result<Vec<NamedPath>, DetectError> {
    let mut found = Vec::new();
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        let code = compact(&repository.source(path)?);
        for name in names {
            let (part, name) = match name.split_once('.') {
                Some((outer, inner)) => (inside_braces(&code, outer), inner),
                None => (code.as_str(), name.as_str()),
            };
            found.extend(path_behind(part, name));
        }
    }
    Ok(found)
}

/// What the braces behind the first `OUTER:` hold.
fn inside_braces<'c>(code: &'c str, outer: &str) -> &'c str {
    let key = format!("{outer}:{{");
    let mut starts = code.match_indices(&key).map(|(at, _)| at);
    let Some(at) = starts.find(|at| is_word_start(code, *at)) else {
        return "";
    };
    let inside = code.get(at + key.len()..).unwrap_or_default();
    let mut depth = 1usize;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return inside.get(..at).unwrap_or_default();
        }
    }
    inside
}

/// The paths behind one name in compact code. Behind a comma, [`compact`] leaves out the quote that opens a string.
fn path_behind(code: &str, name: &str) -> Vec<NamedPath> {
    const FROM_HERE: [&str; 6] = [
        "path.resolve(__dirname,",
        "path.join(__dirname,",
        "resolve(__dirname,",
        "join(__dirname,",
        "path.resolve(import.meta.dirname,",
        "path.join(import.meta.dirname,",
    ];
    let key = if name.ends_with('(') {
        name.to_owned()
    } else {
        format!("{name}:")
    };
    let starts = code.match_indices(&key).map(|(at, _)| at);
    let behind = starts
        .filter(|at| is_word_start(code, *at))
        .take(OCCURRENCES)
        .filter_map(|at| {
            let rest = window(code, at + key.len())?;
            let (path, is_from_here) = match rest.strip_prefix('"') {
                Some(text) => (text.split_once('"')?.0, false),
                None => {
                    let call = FROM_HERE.iter().find_map(|call| rest.strip_prefix(call));
                    let (path, end) = call?.split_once('"')?;
                    // A part further on would be a folder further in.
                    let is_whole = end.trim_start_matches(',').starts_with(')');
                    (is_whole.then_some(path)?, true)
                }
            };
            Some(NamedPath {
                path: path.to_owned(),
                is_from_here,
            })
        });
    behind.collect()
}

/// As much of the code from `start` on as is looked at for a path.
fn window(code: &str, start: usize) -> Option<&str> {
    let rest = code.get(start..)?;
    let mut ends = rest.char_indices().map(|(at, _)| at);
    rest.get(..ends.nth(CHARACTERS_BEHIND).unwrap_or(rest.len()))
}

/// The strings that begin behind one of `keys` (`outDir:"`, written without spaces and with double quotes), file by file and
/// key by key.
pub(crate) fn values(
    repository: &Repository<'_>,
    of: &[String],
    keys: &[String],
) -> Result<Vec<String>, DetectError> {
    let mut values = Vec::new();
    for path in of.iter().flat_map(|pattern| repository.matching(pattern)) {
        let code = compact(&repository.source(path)?);
        for key in keys {
            let starts = code.match_indices(key.as_str()).map(|(at, _)| at);
            let starts = starts.filter(|at| is_word_start(&code, *at));
            let found = starts.take(OCCURRENCES).filter_map(|at| {
                let (value, _) = window(&code, at + key.len())?.split_once('"')?;
                Some(value.to_owned())
            });
            values.extend(found);
        }
    }
    Ok(values)
}

/// What `path` stands for in `directory`, both as seen from the root: `../../dist/shop` in `apps/shop` is `dist/shop`. Nothing that
/// leaves the root, and nothing with characters that need care.
pub(crate) fn directory_from(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    clean_directory(&parts.join("/"))
}

/// A relative directory as Docker and a shell take it without quotes; nothing for any other.
pub(crate) fn clean_directory(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let text = text.strip_prefix("./").unwrap_or(text);
    let is_clean = !text.is_empty()
        && !text.starts_with(['/', '-', '@'])
        && is_harmless(text)
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_clean.then(|| text.to_owned())
}

fn is_in(code: &str, text: &str) -> bool {
    code.match_indices(text)
        .any(|(at, _)| !text.starts_with(is_word) || is_word_start(code, at))
}

fn is_word_start(code: &str, at: usize) -> bool {
    !code
        .get(..at)
        .is_some_and(|before| before.ends_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Code without comments and without spaces outside of strings; every string in double quotes.
fn compact(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\'' | '`' => {
                code.push('"');
                while let Some(inner) = rest.next() {
                    match inner {
                        '\\' => code.extend(rest.next()),
                        // A quote that is never closed ends with its line, except in a template string.
                        _ if inner == c || (inner == '\n' && c != '`') => break,
                        other => code.push(other),
                    }
                }
                code.push('"');
            }
            '/' if rest.peek() == Some(&'/') => {
                for skipped in rest.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
            }
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut previous = ' ';
                for skipped in rest.by_ref() {
                    if previous == '*' && skipped == '/' {
                        break;
                    }
                    previous = skipped;
                }
            }
            space if space.is_whitespace() => {}
            other => code.push(other),
        }
    }
    // `"output": "export"` reads as `output: "export"`.
    code.replace("\":", ":")
        .replace("{\"", "{")
        .replace(",\"", ",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MapTree;

    fn found(source: &str, text: &str) -> bool {
        let tree = MapTree::new().with("next.config.js", source);
        let repository = Repository::new(&tree).unwrap();
        let of = ["next.config.js".to_owned()];
        file_with(&repository, &of, &[text.to_owned()])
            .unwrap()
            .is_some()
    }

    #[test]
    fn texts_whatever_the_layout() {
        let text = "output:\"export\"";
        assert!(found("module.exports = { output: 'export' }", text));
        assert!(found("const c = {\n  \"output\" :\n `export`,\n}", text));
        assert!(!found("{ // output: 'export'\n}", text));
        assert!(!found("{ /* output: 'export' */ }", text));
        assert!(!found("{ myoutput: 'export' }", text));
        assert!(!found("{ output: isDev ? undefined : 'export' }", text));
        assert!(found("x('it\\'s'); y = { output: \"export\" }", text));
        assert!(!found("/* never closed output: 'export'", text));
    }

    #[test]
    fn directories_seen_from_another() {
        for (directory, path, expected) in [
            ("apps/shop", "../../dist/apps/shop", Some("dist/apps/shop")),
            ("apps/shop", "./dist/", Some("apps/shop/dist")),
            ("", "dist", Some("dist")),
            ("apps/shop", "../../../x", None),
            ("apps/shop", "../..", None),
            ("apps/shop", "/srv", None),
            ("apps/shop", "a b", None),
        ] {
            let found = directory_from(directory, path);
            assert_eq!(found.as_deref(), expected, "{directory} {path}");
        }
    }

    #[test]
    fn directories_in_braces_and_calls() {
        for (source, name, expected) in [
            (
                "new Dotenv({ path: './.env' }); x = { output: { filename: 'a.js', path: path.join(__dirname, 'public') } }",
                "output.path",
                Some("public"),
            ),
            (
                "x = { output: { filename: 'a.js' }, path: 'no' }",
                "output.path",
                None,
            ),
            ("x = { output: { path: 'never closed'", "output.path", None),
            (
                "config.setOutputDirectory('dist')",
                "setOutputDirectory(",
                Some("dist"),
            ),
            (
                "config.resetOutputDirectory('dist')",
                "setOutputDirectory(",
                None,
            ),
        ] {
            let tree = MapTree::new().with("a.config.js", source);
            let repository = Repository::new(&tree).unwrap();
            let found = directory(&repository, &["*.config.js".to_owned()], &[name.to_owned()]);
            assert_eq!(found.unwrap().as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn output_of_pages_in_a_directory() {
        for (source, expected) in [
            (
                "{ root: 'client', build: { outDir: '../public' } }",
                Some("public"),
            ),
            ("{ root: 'client' }", Some("client/dist")),
            (
                "{ root: 'elsewhere', build: { outDir: 'public' } }",
                Some("public"),
            ),
            ("{ root: 'client', build: { outDir: '../../x' } }", None),
            // A whole path is no longer seen from the directory of the pages.
            (
                "{ root: 'client', build: { outDir: resolve(__dirname, 'dist') } }",
                Some("dist"),
            ),
            (
                "{ root: path.resolve(import.meta.dirname, 'client'), build: { outDir: path.resolve(import.meta.dirname, 'dist/public'), } }",
                Some("dist/public"),
            ),
            // Named, but not in a way that is understood.
            (
                "const outDir = out(); x = { root: 'client', build: { outDir } }",
                None,
            ),
            (
                "{ root: 'client', build: { emptyOutDir: true } }",
                Some("client/dist"),
            ),
        ] {
            let tree = MapTree::new()
                .with("vite.config.ts", source)
                .with("client/index.html", "");
            let repository = Repository::new(&tree).unwrap();
            let of = ["vite.config.ts".to_owned()];
            let names = ["outDir".to_owned()];
            let found = match page_directory(&repository, &of, "root").unwrap() {
                Some(from) => directory_in(&repository, &of, &names, &from, "dist"),
                None => directory(&repository, &of, &names),
            };
            assert_eq!(found.unwrap().as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn directories() {
        for (source, expected) in [
            ("build: { outDir: './public/app/' }", Some("public/app")),
            ("outDir: '../out'", None),
            ("outDir: '/srv'", None),
            ("outDir: 'a b'", None),
            ("outDir: path.resolve('x')", None),
            ("outDir: path.resolve(__dirname, 'out')", Some("out")),
            ("outDir: resolve(__dirname, out)", None),
            ("outDir: resolve(__dirname, out), x: 'y'", None),
            ("outDir: resolve(__dirname, 'out', 'pages')", None),
            ("outDir: resolve(__dirname, 'out',)", Some("out")),
            ("testOutDir: 'x', outDir: \"y\"", Some("y")),
        ] {
            let tree = MapTree::new().with("vite.config.ts", source);
            let repository = Repository::new(&tree).unwrap();
            let found = directory(
                &repository,
                &["vite.config.*".to_owned()],
                &["outDir".to_owned()],
            );
            assert_eq!(found.unwrap().as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn little_is_held_of_a_file_that_names_a_folder_without_end() {
        let one = "outDir:join(__dirname,";
        let unclosed = one.repeat((1 << 20) / one.len());
        assert_eq!(path_behind(&unclosed, "outDir"), []);
        let closed = format!("{unclosed}dist\")");
        assert_eq!(path_behind(&closed, "outDir"), []);
        let tree = MapTree::new().with("a.config.js", format!("[{unclosed}"));
        let repository = Repository::new(&tree).unwrap();
        let of = ["a.config.js".to_owned()];
        assert_eq!(
            values(&repository, &of, &[one.to_owned()]).unwrap(),
            [""; 0]
        );
        let many = "outDir:\"é\",".repeat(1 << 16);
        let found = path_behind(&many, "outDir");
        assert_eq!(found.len(), OCCURRENCES);
        assert!(found.iter().all(|named| named.path == "é"));
        let long = format!("outDir:\"{}\"", "é".repeat(CHARACTERS_BEHIND));
        assert_eq!(path_behind(&long, "outDir"), []);
    }
}
