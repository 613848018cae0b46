"""A contest: mini and the proxies it is measured against before one backend (a container), and how a load is run at each."""

import os
import re

import peers
from docker_api import Docker
from machine import Failure, cpu_seconds, get, memory_mib, rounds, run
from push import PORT
from report import Figure
from servers import Mini, quiet_git

APP = "backend"
# Of the app's two names one has a certificate: over plain HTTP a name that has one would be sent to HTTPS.
SECURE = "secure.test"


class Contest:
    """All contestants, running and answering."""

    def __init__(self, part, wanted):
        self.part = part
        self.mini = Mini(part, Docker())
        deploy(part, self.mini, APP)
        address = self.mini.docker.address(self.mini.containers(APP)[0]["Id"])
        self.backend = f"{address}:{PORT}"
        self.plain = self.mini.host(APP)
        identity = peers.Identity(part.folder, SECURE)
        self.mini.secure(APP, SECURE, identity)
        self.peers = {make.__name__: make(part, self.backend, identity) for make in wanted}
        self.peers["mini"] = peers.Peer(self.mini.process, self.mini.http, self.mini.https)
        # Loads that look names up find them here.
        self.hosts = part.folder / "hosts"
        self.hosts.write_text(f"127.0.0.1 localhost {self.plain} {SECURE}\n")
        for name, peer in self.peers.items():
            if get("127.0.0.1", peer.http, self.plain, "/1k")[1] != b"x" * 1024:
                raise Failure(f"{name} does not answer as it should", "the body is another one", "see its configuration in peers.py")

    def run(self, words):
        """Runs a load where our names lead to this machine: in a mount name space with a hosts file of its own."""
        script = 'mount --make-rprivate / && mount --bind "$0" /etc/hosts && exec "$@"'
        # In a user name space of its own as well, where we are not root.
        space = "-m" if os.getuid() == 0 else "-rm"
        return run(["unshare", space, "sh", "-c", script, self.hosts, *words])

    def row(self, report, title, count, load, direct=None, limits=(), per="request"):
        """Measures one load at every contestant and prints the table. `load(peer)` and `direct()` return a Load; `limits`
        says which peer's CPU mini's may be how many times."""
        contestants = {"direct": lambda _: (direct(), 0, 0)} if direct else {}
        for name, peer in self.peers.items():
            contestants[name] = lambda _, peer=peer: costing(peer.process.pid, lambda: load(peer))
        values = rounds(count, contestants)
        loads = {name: [value[0] for value in found] for name, found in values.items()}
        cpu = {name: Figure([value[1] for value in values[name]], 2) for name in self.peers}
        rows = []
        for name, found in loads.items():
            cells = [Figure([one.speed for one in found], 0), Figure([one.p50 for one in found], 2), Figure([one.p99 for one in found], 2)]
            cells += [cpu[name], Figure([value[2] for value in values[name]], 1)] if name in cpu else ["", ""]
            rows.append([name, *cells, sum(one.errors for one in found)])
        report.table([title, f"{per}s/s", "p50 ms", "p99 ms", "CPU s per 100k", "PSS MiB", "errors"], rows)
        limits = dict(limits)
        for peer in self.peers:
            if peer == "mini":
                continue
            ratio = cpu["mini"].median / cpu[peer].median
            if peer in limits:
                report.aim(f"proxy CPU per {per} against {peer}: {title}", ratio, limits[peer])
            else:
                report.add(f"mini / {peer}: CPU {ratio:.2f}")
        report.aim(f"errors of mini: {title}", sum(one.errors for one in loads["mini"]), 0, "")
        return loads

    def wrk(self, url, options, seconds):
        """wrk with two threads."""
        said = self.run(["wrk", "-t2", f"-d{seconds}s", "--latency", *options, url])
        requests = number(said, r"(\d+) requests in")
        if not requests:
            raise Failure(f"no answer from {url}", said, "run this part again")
        errors = number(said, r"Non-2xx or 3xx responses: (\d+)") + number(said, r"connect (\d+), read (\d+), write (\d+), timeout (\d+)")
        speed = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
        return Load(speed, percentile(said, 50), percentile(said, 99), errors, requests)

    def h2load(self, url, options, requests):
        """h2load, with the time of each request from its log. By number: with `-D` and `--rps` it (1.52) may never end."""
        log = self.part.folder / "h2load.log"
        log.unlink(missing_ok=True)
        said = self.run(["h2load", "-t2", "-n", requests, f"--log-file={log}", *options, url])
        good = number(said, r"(\d+) 2xx")
        if not good:
            raise Failure(f"no answer from {url}", said, "run this part again")
        times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        errors = number(said, r"(\d+) failed") + number(said, r"(\d+) 3xx, (\d+) 4xx, (\d+) 5xx")
        took, unit = re.search(r"finished in ([\d.]+)(us|ms|s),", said).groups()
        seconds = float(took) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
        at = lambda share: times[min(len(times) - 1, int(len(times) * share))] / 1000
        return Load(good / seconds, at(0.5), at(0.99), errors, good)


class Load:
    """What a load found: answers per second, milliseconds, failed requests, requests."""

    def __init__(self, speed, p50, p99, errors, requests):
        self.speed = speed
        self.p50 = p50
        self.p99 = p99
        self.errors = errors
        self.requests = requests


def costing(pid, load):
    """A load with what it cost the proxy: CPU seconds per 100,000 requests, and its memory afterwards."""
    before = cpu_seconds(pid)
    found = load()
    spent = cpu_seconds(pid) - before
    return found, spent / found.requests * 100_000, memory_mib(pid)[1]


def deploy(part, mini, app):
    """The app, pushed once."""
    folder = part.folder / f"app-{app}"
    if not folder.exists():
        folder.mkdir()
        (folder / "Dockerfile").write_bytes((part.bench.source / "app" / "Dockerfile").read_bytes())
        (folder / "server").write_bytes(part.bench.program("server").read_bytes())
        (folder / "server").chmod(0o755)
        (folder / "version").write_text(f"{app}\n")
        for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
            run(["git", *words], cwd=folder, env=quiet_git())
    run(["git", "push", "-q", mini.remote(app), "main"], cwd=folder, env=mini.door.git())


def number(said, pattern):
    """The sum of all numbers the pattern finds."""
    return sum(int(found) for match in re.findall(pattern, said) for found in (match if isinstance(match, tuple) else [match]))


def percentile(said, which):
    value, unit = re.search(rf"^ +{which}% +([\d.]+)(us|ms|s)", said, re.M).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
