//! Processes that die under load, and requests that wait.

use std::thread;

use crate::docker::docker;
use crate::http;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

#[test]
fn one_of_two_containers_is_killed_under_load_and_no_request_fails() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "twins", "one");
    server.ssh(&["ps:scale", "twins", "web=2"]).succeeds();
    let load = server.load("twins");
    for _ in 0..3 {
        load.wait_for_requests(200);
        let running = server.instance().running("twins");
        assert_eq!(running.len(), 2, "{running:?}");
        docker(&["kill", &running[0]]).succeeds();
        load.wait_for_requests(200);
        wait_until("both processes to be there again", || {
            server.instance().running("twins").len() == 2
        });
    }
    load.stop().has_no_failure();
}

#[test]
fn the_only_container_is_killed_and_requests_wait_for_it_to_come_back() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "single", "one");
    let before = server.instance().running("single");
    docker(&["kill", &before[0]]).succeeds();
    // The first ones come perhaps before the server knows of it, perhaps after. A process that is slow to come back, on a
    // machine that is busy, may outlast their patience; that nobody listened is not told to anybody.
    wait_until("an answer", || {
        let answer = server.get("single", "/");
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        answer.body == "version one\n"
    });
}

#[test]
fn fifty_requests_wait_while_an_app_is_paused() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "held", "one");
    server
        .ssh(&["proxy:pause", "held", "--max", "10m"])
        .succeeds();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let address = server.http();
            thread::spawn(move || http::get(address, "held.localhost", "/"))
        })
        .collect();
    wait_until("the requests to wait", || {
        let report = server.json(&["proxy:report", "held"]);
        report["proxy-waiting"] == "50"
    });
    // A pause is remembered, and so is its end.
    let until = server.json(&["proxy:report", "held"])["proxy-paused-until"].clone();
    assert!(until.as_str().is_some_and(|until| !until.is_empty()));
    server.ssh(&["proxy:resume", "held"]).succeeds();
    for answer in asking {
        let answer = answer.join().unwrap().unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "version one\n"));
    }
}
