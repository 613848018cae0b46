//! PHP as people push it: packages by Composer from a lock file, extensions, one page that answers every address.

use crate::docker::{code_of_a_stop, docker};
use crate::repository::Repository;
use crate::server::Server;

#[test]
fn a_composer_app_with_extensions_and_one_page() {
    let server = Server::start();
    let push = Repository::copy(&server, "src/tests/e2e/apps/php", "php").push();
    push.succeeds();
    push.says(&["found composer.json", "composer install --no-dev"]);

    let body = server.body("php", "/orders/12?page=2");
    assert_eq!(
        body,
        "greetings from /orders/12?page=2: 1.234,5, pgsql, image/png, 99M, as www-data, at its port"
    );
    assert_eq!(server.body("php", "/robots.txt"), "User-agent: *\n");
    assert_eq!(server.get("php", "/.env").status, 404);

    let containers = server.instance().running("php");
    let inside = docker(&["exec", &containers[0], "sh", "-c", "which composer git"]);
    assert_eq!(inside.stdout, "", "what only the build needs: {inside}");
    let image = docker(&["inspect", "--format", "{{.Image}}", &containers[0]]);
    let code = code_of_a_stop(image.succeeds().trim(), "resuming normal operations");
    assert_ne!(code, "137", "it had to be killed");
}
