"""(f) The proxy over TLS 1.3 and HTTP/2, and at a fixed rate, beside nginx, haproxy and caddy."""

import statistics

import peers
from contest import SECURE, Contest

ROUNDS = 3
SECONDS = 4
REQUESTS = 100_000
RATE = 5_000
# h2load sends from all connections at once, a hundred times a second, so that the slowest of each burst stand in the 99th percentile:
# from one round to the next it differs by half, of every proxy.
STEADY_ROUNDS = 9
# Title, tool with how long or how much, its options, path, limits (BENCHMARKS.md, goals 5 and 6).
LOADS = [
    ("1 KiB over TLS, HTTP/1.1, 64 keepalive connections", ("wrk", SECONDS), ("-c64",), "/1k", {"haproxy": 0.95, "nginx": 1.0}),
    ("10 MiB over TLS, HTTP/1.1, 8 keepalive connections", ("wrk", SECONDS), ("-c8",), "/10m", {"haproxy": 0.6}),
    ("1 KiB over TLS, HTTP/2, 16 connections with 32 streams", ("h2load", REQUESTS), ("-c16", "-m32"), "/1k", {"nginx": 1.0}),
    ("1 KiB over TLS, a full handshake for each request", ("wrk", SECONDS), ("-c4", "-H", "Connection: close"), "/1k", {"haproxy": 0.65}),
]


def measure(part, report):
    contest = Contest(part, [peers.nginx, peers.haproxy, peers.caddy])
    report.section("The proxy over TLS")
    report.add(f"wrk or h2load, 2 threads, {SECONDS} s a round, ECDSA P-256, no session resumption; all on the same cores.")
    for title, (tool, much), options, path, limits in LOADS:
        load = lambda peer: getattr(contest, tool)(f"https://{SECURE}:{peer.https}{path}", list(options), much)
        contest.row(report, title, ROUNDS, load, limits=limits)

    title = "1 KiB, 50 connections, 5,000 requests/s in all"
    steady = lambda address: contest.h2load(f"http://{address}/1k", ["--h1", "-c50", f"--rps={RATE // 50}"], RATE * SECONDS)
    loads = contest.row(report, title, STEADY_ROUNDS, lambda peer: steady(f"{contest.plain}:{peer.http}"), lambda: steady(contest.backend), {"haproxy": 1.0})
    p99 = lambda name: statistics.median(load.p99 for load in loads[name])
    report.aim(f"p99 against the better of nginx and haproxy: {title}", p99("mini") / min(p99("nginx"), p99("haproxy")), 1.0)
