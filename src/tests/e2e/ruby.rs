//! Ruby as people push it: gems by Bundler, scripts by npm beside it, Rails with assets and a database.

use crate::docker::{code_of_a_stop, docker};
use crate::repository::Repository;
use crate::server::Server;

#[test]
fn a_sinatra_app_from_a_lock_file_with_a_file_made_by_node() {
    let server = Server::start();
    let push = Repository::copy(&server, "src/tests/e2e/apps/sinatra", "sinatra").push();
    push.succeeds();
    push.says(&["found config.ru, with puma", "bundle install"]);
    assert_eq!(server.body("sinatra", "/"), "sinatra 4.1.1 as 1000");
    assert_eq!(server.body("sinatra", "/made.txt"), "made by node\n");

    let containers = server.instance().running("sinatra");
    let search = "ls -d /usr/local/bundle/ruby/*/gems/minitest-* node_modules; which gcc node";
    let inside = docker(&["exec", &containers[0], "sh", "-c", search]);
    assert_eq!(inside.stdout, "", "what only the build needs: {inside}");
    let image = docker(&["inspect", "--format", "{{.Image}}", &containers[0]]);
    let code = code_of_a_stop(image.succeeds().trim(), "Listening on");
    assert_ne!(code, "137", "it had to be killed");
}

/// It has no lock file, as apps have that were never installed where they were written.
#[test]
fn a_rails_app_with_assets_and_migrations() {
    let server = Server::start();
    let repository = Repository::copy(&server, "src/tests/e2e/apps/rails", "rails");
    server.ssh(&["apps:create", "rails"]).succeeds();
    server
        .ssh(&["config:set", "rails", "SECRET_KEY_BASE=of-the-tests"])
        .succeeds();
    let push = repository.push();
    push.succeeds();
    push.says(&[
        "there is no Gemfile.lock",
        "Rails has an asset pipeline",
        "Running the release command: bundle exec rails db:migrate",
        "CreateThings: migrated",
    ]);
    let page = server.body("rails", "/");
    assert!(
        page.contains("rails in production, things in sqlite3"),
        "{page}"
    );
    let style = page.split('"').find(|part| part.starts_with("/assets/"));
    let style = server.body("rails", style.expect("the page has a style"));
    assert_eq!(style.trim(), "p { color: red }");
}
