//! Ports of apps beside the server's own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::http;
use crate::repository::Repository;
use crate::server::Server;
use crate::wait::wait_until;

/// A port of the loopback address that nobody listens on. Below those that the system gives away by itself, so that none
/// takes it meanwhile.
fn free_port() -> SocketAddr {
    let random = random_below();
    let mut ports = (0..12_000).map(|number| 20_000 + (random + number) % 12_000);
    let mut addresses = ports
        .by_ref()
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("some port is free")
}

fn random_below() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u16::from_ne_bytes(bytes) % 12_000
}

#[test]
fn an_app_answers_at_a_port_of_its_own_and_over_takeovers_and_restarts() {
    let server = Server::start();
    let _repository = Repository::deployed(&server, "ported", "one");
    let address = free_port();
    let port = address.port();
    let release = server.json(&["ports:report", "ported"]);
    let detected = release["ports-map-detected"].as_str().unwrap();
    let container_port = detected.rsplit(':').next().unwrap();
    let mapping = format!("http:{port}:{container_port}");
    server
        .ssh(&["ports:add", "ported", &mapping])
        .says(&[&format!("http://ported.localhost:{port}")])
        .succeeds();
    let body = |host: &str| http::get(address, host, "/").unwrap().body;
    assert_eq!(body("ported.localhost"), "version one\n");
    assert_eq!(body(&address.to_string()), "version one\n");
    let load = server.load_at(address, "ported");
    load.wait_for_requests(50);
    for number in 0..4 {
        let successor = if number % 2 == 0 {
            server.begin_takeover_under(&["taskset", "-c", "0"])
        } else {
            server.begin_takeover()
        };
        server.succeed(successor);
        load.wait_for_requests(50);
    }
    load.stop().has_no_failure();
    server.wait_for_leavers();

    server.stop();
    assert!(TcpStream::connect(address).is_err());
    let held = TcpListener::bind(address).unwrap();
    server.launch();
    wait_until("the report of who holds the port", || {
        let report = server.json(&["ports:report", "ported"]);
        let closed = report["ports-closed"].as_str().unwrap();
        closed.contains("listens there already")
    });
    server.wait_for_version("ported", "one");
    drop(held);
    wait_until("the port to be opened", || {
        server.ssh(&["domains:enable", "ported"]).succeeds();
        TcpStream::connect(address).is_ok()
    });
    assert_eq!(body("ported.localhost"), "version one\n");
    server
        .ssh(&["ports:remove", "ported", &port.to_string()])
        .succeeds();
    assert!(TcpStream::connect(address).is_err());
}
