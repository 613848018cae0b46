"""(d) The proxy over plain HTTP: CPU per request and requests per second, beside nginx and haproxy."""

import peers
from contest import Contest, Load
from machine import run

ROUNDS = 3
SECONDS = 4
KEPT = ("-c64",)
# Title, options of wrk, path, and how many times a peer's CPU mini's may be (BENCHMARKS.md, goals 1, 3, 4).
LOADS = [
    ("1 KiB, 64 keepalive connections", KEPT, "/1k", {"haproxy": 1.0, "nginx": 1.0}),
    ("100 KiB, 64 keepalive connections", KEPT, "/100k", {"haproxy": 0.95}),
    ("1 KiB, a new connection per request", ("-c64", "-H", "Connection: close"), "/1k", {"haproxy": 1.05}),
    ("10 MiB, 8 keepalive connections", ("-c8",), "/10m", {"haproxy": 0.65}),
]


def measure(part, report):
    contest = Contest(part, [peers.nginx, peers.haproxy])
    report.section("The proxy")
    report.add(f"wrk, 2 threads, {SECONDS} s a round; load, proxies and backend (a container) on the same cores. PSS: at the end of the round.")
    for title, options, path, limits in LOADS:
        wrk = lambda address: contest.wrk(f"http://{address}{path}", [*options, "-H", f"Host: {contest.plain}"], SECONDS)
        contest.row(report, title, ROUNDS, lambda peer: wrk(f"127.0.0.1:{peer.http}"), lambda: wrk(contest.backend), limits)

    program = part.bench.program("echo_load")
    host, port = contest.backend.split(":")
    echo = lambda address, port: echoed(program, address, port, contest.plain)
    contest.row(report, "WebSocket, 100 bytes to and fro, 64 connections", ROUNDS, lambda peer: echo("127.0.0.1", peer.http),
                lambda: echo(host, port), {"haproxy": 1.1}, per="message")


def echoed(program, address, port, name):
    messages, p50, p99, failed = map(int, run([program, address, port, name, 64, SECONDS]).split())
    return Load(messages / SECONDS, p50 / 1000, p99 / 1000, failed, max(messages, 1))
