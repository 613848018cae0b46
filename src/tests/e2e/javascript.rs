//! JavaScript as people push it, each by another package manager or runtime: built, started and asked over HTTP.

use crate::repository::Repository;
use crate::server::Server;

/// Pushes `files` as an app of its own.
#[track_caller]
fn deployed<'a>(server: &'a Server, app: &str, files: &[(&str, &str)]) -> Repository<'a> {
    let repository = Repository::empty(server, app);
    for (path, content) in files {
        repository.write(path, content);
    }
    repository.commit("The app");
    let push = repository.push();
    push.succeeds();
    push.says(&["=====> Application deployed:"]);
    repository
}

/// Writes beside its code, as uploads and databases in a file are.
const SERVER: &str = r#"
const fs = require("fs");
fs.mkdirSync("/app/uploads", { recursive: true });
fs.writeFileSync("/app/uploads/first", "");
fs.writeFileSync("data.sqlite", "");
const answer = `${require("words")} by ${process.title}`;
require("http").createServer((_, response) => response.end(answer)).listen(process.env.PORT);
"#;

#[test]
fn a_workspace_of_pnpm_whose_library_is_built_first() {
    let server = Server::start();
    let lock = "lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n  excludeLinksFromLockfile: false\n\n\
        importers:\n\n  .: {}\n\n  apps/web:\n    dependencies:\n      words:\n        specifier: workspace:*\n        \
        version: link:../../packages/words\n\n  packages/words: {}\n";
    deployed(
        &server,
        "workspace",
        &[
            (
                "package.json",
                r#"{"private": true, "packageManager": "pnpm@9.15.9"}"#,
            ),
            (
                "pnpm-workspace.yaml",
                "packages:\n  - \"apps/*\"\n  - packages/*\n",
            ),
            ("pnpm-lock.yaml", lock),
            (
                "apps/web/package.json",
                r#"{"name": "web", "scripts": {"start": "node server.js"}, "dependencies": {"words": "workspace:*"}}"#,
            ),
            ("apps/web/server.js", SERVER),
            (
                "packages/words/package.json",
                r#"{"name": "words", "main": "built.js", "scripts": {"build": "cp source.js built.js"}}"#,
            ),
            (
                "packages/words/source.js",
                "module.exports = 'words from a library';\n",
            ),
        ],
    );
    let body = server.body("workspace", "/");
    assert_eq!(body, "words from a library by node");
}

#[test]
fn a_vite_app_whose_addresses_are_made_in_the_browser() {
    let server = Server::start();
    deployed(
        &server,
        "spa",
        &[
            (
                "package.json",
                r#"{"private": true, "scripts": {"dev": "vite", "build": "vite build"}, "devDependencies": {"vite": "^6.3.0"}}"#,
            ),
            (
                "index.html",
                "<title>The app</title><script type=\"module\" src=\"/main.js\"></script>\n",
            ),
            ("main.js", "document.title = location.pathname;\n"),
            ("public/robots.txt", "User-agent: *\n"),
        ],
    );
    for path in ["/", "/orders/12/edit"] {
        let body = server.body("spa", path);
        assert!(body.contains("<title>The app</title>"), "{path}: {body}");
        assert!(body.contains("/assets/index-"), "it is built: {body}");
    }
    assert_eq!(server.body("spa", "/robots.txt"), "User-agent: *\n");
    assert_eq!(server.get("spa", "/assets/gone.js").status, 404);
}

#[test]
fn a_program_for_bun() {
    let server = Server::start();
    deployed(
        &server,
        "bun",
        &[
            (
                "package.json",
                r#"{"module": "index.ts", "scripts": {"start": "bun run index.ts"}}"#,
            ),
            ("bunfig.toml", ""),
            (
                "index.ts",
                "import { mkdirSync, writeFileSync } from 'node:fs';\nconst name: string = 'bun';\nmkdirSync('uploads', { recursive: true });\nwriteFileSync('data.sqlite', name);\n\
                Bun.serve({ port: process.env.PORT, fetch: () => new Response(`${name} ${Bun.version}`) });\n",
            ),
        ],
    );
    let body = server.body("bun", "/");
    assert!(body.starts_with("bun 1."), "{body}");
}

#[test]
fn a_program_for_deno_that_names_no_port() {
    let server = Server::start();
    deployed(
        &server,
        "deno",
        &[
            (
                "deno.json",
                "{\n  // How it is started.\n  \"tasks\": { \"start\": \"deno run --allow-net --allow-write=uploads main.ts\" },\n}\n",
            ),
            (
                "main.ts",
                "await Deno.mkdir('uploads', { recursive: true });\nDeno.serve(() => new Response(`deno ${Deno.version.deno}`));\n",
            ),
        ],
    );
    let body = server.body("deno", "/");
    assert!(body.starts_with("deno 2."), "{body}");
}
