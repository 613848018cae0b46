"""(h) A million requests of all kinds with the memory watched, and clients that mean harm beside one that does not."""

import json
import socket
import struct
import subprocess
import sys

import peers
from contest import SECURE, Contest
from machine import Failure, memory_mib
from report import Figure

ROUNDS = 10
# Requests of one round, so that all rounds together are a million and more.
KEPT, KEPT_TLS, HTTP_2, UPLOADS, ABORTED = 40_000, 20_000, 40_000, 2_000, 500
NEW_SECONDS = 2
UPLOAD_BYTES = 100_000
# What memory may still grow by after three rounds, when all pools and caches have been filled: a leak of 16 bytes a request shows.
GROWTH_MIB = 10
# Kind, how many, where to.
HOSTILE = [("heads", 2000, "http"), ("bodies", 1000, "http"), ("readers", 500, "http"), ("idle", 2000, "http"), ("handshakes", 100_000, "https"), ("halves", 100_000, "https")]
MOST = 100


def measure(part, report):
    contest = Contest(part, [peers.haproxy])
    soak(part, contest, report)
    hostile(part, contest, report)
    limited(part, contest, report)


def soak(part, contest, report):
    report.section("A million requests")
    mini = contest.peers["mini"]
    upload = part.folder / "upload"
    upload.write_bytes(b"x" * UPLOAD_BYTES)
    plain, secure = f"http://{contest.plain}:{mini.http}", f"https://{SECURE}:{mini.https}"
    done = failed = 0
    memory = [memory_mib(mini.process.pid)[0]]
    for _ in range(ROUNDS):
        loads = [
            contest.h2load(f"{plain}/1k", ["--h1", "-c64"], KEPT),
            contest.h2load(f"{secure}/1k", ["--h1", "-c32"], KEPT_TLS),
            contest.h2load(f"{secure}/1k", ["-c16", "-m32"], HTTP_2),
            contest.h2load(f"{plain}/1k", ["--h1", "-c16", f"--data={upload}"], UPLOADS),
            contest.h2load(f"{secure}/1k", ["-c4", "-m8", f"--data={upload}"], UPLOADS),
            contest.wrk(f"{plain}/1k", ["-c32", "-H", "Connection: close"], NEW_SECONDS),
            contest.wrk(f"{secure}/1k", ["-c8", "-H", "Connection: close"], NEW_SECONDS),
        ]
        done += sum(load.requests for load in loads)
        failed += sum(load.errors for load in loads)
        abort(mini.http, contest.plain)
        memory.append(memory_mib(mini.process.pid)[0])
    report.add(f"{done:,} requests answered: kept connections, new ones, TLS, HTTP/2, uploads of 100 kB; beside them {ROUNDS * ABORTED * 2:,} given up by their clients.")
    report.table(["", "before", *(f"round {number}" for number in range(1, ROUNDS + 1))], [["RSS of mini, MiB", *(Figure([value]) for value in memory)]])
    report.aim("failed requests", failed, 0, "")
    report.aim("growth of memory after the third round", memory[-1] - memory[3], GROWTH_MIB, " MiB")
    report.aim("requests missing to a million", max(0, 1_000_000 - done), 0, "")


def abort(port, name):
    """Clients that leave in the middle of an upload, and of a download."""
    for number in range(2 * ABORTED):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if number % 2:
                connection.sendall(f"POST /1k HTTP/1.1\r\nHost: {name}\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 50_000)
            else:
                connection.sendall(f"GET /10m HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                connection.recv(4096)


def hostile(part, contest, report):
    report.section("Clients that mean harm")
    report.add("Beside them, one that asks 200 times a second over four kept connections. held: connections that were still open after it.")
    for proxy, peer in contest.peers.items():
        steady = lambda seconds: contest.h2load(f"http://{contest.plain}:{peer.http}/1k", ["--h1", "-c4", "--rps=50"], 200 * seconds)
        quiet = steady(12)
        rows = [["nobody", Figure([quiet.p50], 2), Figure([quiet.p99], 2), quiet.errors, "", "", "", ""]]
        for kind, count, door in HOSTILE:
            before = memory_mib(peer.process.pid)[0]
            name = SECURE if door == "https" else contest.plain
            with Attack(part, getattr(peer, door), name, kind, count) as attack:
                # Halves are given up after 10 s, and only then there is room for more.
                load = steady(60 if kind == "halves" else 12)
                grown = memory_mib(peer.process.pid)[0] - before
                found = attack.end()
            rows.append([f"{count:,} {kind}", Figure([load.p50], 2), Figure([load.p99], 2), load.errors, found["cut"], found["held"], found["refused"], Figure([grown])])
            if proxy == "mini":
                report.aim(f"failed requests beside {count:,} {kind}", load.errors, 0, "")
        report.table([f"{proxy}, beside", "p50 ms", "p99 ms", "failed", "cut off", "held", "refused", "RSS grown by, MiB"], rows)


def limited(part, contest, report):
    report.section(f"A flood from one address, of which mini takes {MOST} connections")
    mini = contest.mini
    (mini.folder / "mini.toml").write_text(f"max-connections-per-address = {MOST}\n")
    mini.restart()
    words = [sys.executable, part.bench.source / "load.py", "127.0.0.1", mini.http, contest.plain, 200, "127.0.0.9"]
    load = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    part.ends.callback(load.kill)
    with Attack(part, mini.http, contest.plain, "idle", 2000) as attack:
        found = attack.end()
    asked = json.loads(load.communicate()[0])
    # Not what was open at the end of the attack: of the last ones it had not yet heard that they were closed.
    stayed = found["opened"] - found["cut"]
    report.add(f"Of {found['opened']:,} connections {found['cut']:,} were closed at once, {stayed} stayed; {asked['requests']:,} requests of another address meanwhile.")
    report.aim("connections of one address at once", stayed, MOST, "")
    report.aim("failed requests of another address", asked["failed"], 0, "")


class Attack:
    """hostile.py, under way."""

    def __init__(self, part, port, name, kind, count):
        words = [sys.executable, part.bench.source / "hostile.py", "127.0.0.1", port, name, kind, count]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise Failure(f"hostile.py {kind} did not begin", "see above", "run it by hand")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self):
        return json.loads(self.process.communicate()[0])
