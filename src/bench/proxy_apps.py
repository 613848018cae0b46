"""(g) Many names: CPU per request, memory and the time of one change with 1 and with 10,000 routed hosts, beside nginx."""

import os
import signal
import threading
import time

import peers
from contest import APP, Contest, costing
from machine import get, own_mib, rounds, wait_until
from report import Figure

HOSTS = 10_000
ROUNDS = 3
SECONDS = 4
CHANGES = 10
# The words of one command must fit into one argument (128 KiB on Linux).
AT_ONCE = 2_000


def measure(part, report):
    contest = Contest(part, [])
    mini = contest.mini
    report.section(f"The proxy with {HOSTS:,} hosts")
    few = loaded(part, contest, 1)
    empty = own_mib(mini.process.pid)
    names = [name(number) for number in range(HOSTS)]
    for begin in range(0, HOSTS, AT_ONCE):
        mini.command("domains:add", APP, *names[begin : begin + AT_ONCE])
    wait_until(lambda: get("127.0.0.1", mini.http, names[-1], "/1k")[0] == 200, "the last of the hosts")
    many = loaded(part, contest, HOSTS)
    full = own_mib(mini.process.pid)
    table = [[f"{count:,}", *[Figure([value[0].speed for value in found], 0), Figure([value[1] for value in found], 2)]] for count, found in ((1, few), (HOSTS, many))]
    report.table(["hosts asked for in turn", "requests/s", "CPU s per 100k"], table)
    report.aim(f"CPU per request with {HOSTS:,} hosts against 1", table[1][2].median / table[0][2].median, 1.03)
    report.aim("memory per host", (full - empty) * 1024 / HOSTS, 1.0, " KiB")

    nginx = Many(part, contest.backend)
    begin = lambda what: [what(number) for number in range(ROUNDS)]
    ours, theirs = begin(lambda number: change(mini, number)), begin(nginx.change)
    report.table(
        ["one more host until it answers", "ms"],
        [["mini, `ssh mini domains:add`", Figure(ours)], ["nginx, server block and reload", Figure(theirs)]],
    )
    report.aim("one more host until it answers, against nginx", Figure(ours).median / Figure(theirs).median, 0.1)

    over = threading.Event()
    changing = threading.Thread(target=lambda: [mini.command("domains:add", APP, f"under-load-{number}.test") for number in range(CHANGES)] and over.set())
    changing.start()
    errors = requests = 0
    while not over.is_set():
        found = contest.wrk(f"http://127.0.0.1:{mini.http}/1k", ["-c64", "-H", f"Host: {contest.plain}"], 1)
        errors += found.errors
        requests += found.requests
    changing.join()
    report.aim(f"errors in {requests:,} requests while {CHANGES} hosts were added", errors, 0, "")


def name(number):
    return f"host-{number}.test"


def loaded(part, contest, hosts):
    """wrk, each request for another of the hosts."""
    script = part.folder / f"hosts-{hosts}.lua"
    first = f'"{contest.plain}"' if hosts == 1 else f'"host-" .. (next % {hosts}) .. ".test"'
    # A step that shares no factor with the number of hosts comes by all of them.
    script.write_text(f'next = 0\nrequest = function()\n  next = next + 7919\n  return wrk.format("GET", "/1k", {{ Host = {first} }})\nend\n')
    load = lambda: contest.wrk(f"http://127.0.0.1:{contest.mini.http}/1k", ["-c64", "-s", script], SECONDS)
    return rounds(ROUNDS, {"mini": lambda _: costing(contest.mini.process.pid, load)})["mini"]


def change(mini, number):
    """Milliseconds from the command until the new host answers."""
    begun = time.monotonic()
    mini.command("domains:add", APP, f"one-more-{number}.test")
    wait_until(lambda: get("127.0.0.1", mini.http, f"one-more-{number}.test", "/1k")[0] == 200, "the new host", pause=0.001)
    return (time.monotonic() - begun) * 1000


class Many:
    """nginx with as many server blocks."""

    def __init__(self, part, backend):
        self.folder = part.folder / "nginx-many"
        self.folder.mkdir()
        self.backend = backend
        self.port = peers.free_port()
        self.blocks = [self.block(name(number)) for number in range(HOSTS)]
        self.write()
        words = ["nginx", "-c", self.folder / "nginx.conf", "-g", "daemon off;"]
        self.process = part.serve(words, self.folder / "out", self.port, "nginx")

    def block(self, host):
        return f"upstream {host} {{ server {self.backend}; keepalive 8; }} server {{ listen 127.0.0.1:{self.port}; server_name {host}; location / {{ proxy_pass http://{host}; }} }}\n"

    def write(self):
        (self.folder / "nginx.conf").write_text(
            f"pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log; worker_processes auto; events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; server_names_hash_max_size 65536; server_names_hash_bucket_size 128; variables_hash_max_size 4096;\n"
            f"server {{ listen 127.0.0.1:{self.port} default_server; return 404; }}\n{''.join(self.blocks)}}}\n"
        )

    def change(self, number):
        begun = time.monotonic()
        self.blocks.append(self.block(f"one-more-{number}.test"))
        self.write()
        os.kill(self.process.pid, signal.SIGHUP)
        wait_until(lambda: get("127.0.0.1", self.port, f"one-more-{number}.test", "/1k")[0] == 200, "nginx's new host", pause=0.001)
        return (time.monotonic() - begun) * 1000
