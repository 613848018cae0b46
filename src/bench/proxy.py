"""(d) The proxy: CPU per request and requests per second, beside nginx and haproxy, all before the same container."""

import re

from docker_api import Docker
from machine import Failure, cpu_seconds, free_port, get, memory_mib, rounds, run
from push import PORT
from report import Figure
from servers import Mini, quiet_git

ROUNDS = 5
SECONDS = 4
APP = "backend"
LOADS = {
    "1 KiB, 64 keepalive connections": (["-c64"], "/1k"),
    "100 KiB, 64 keepalive connections": (["-c64"], "/100k"),
    "1 KiB, a new connection per request": (["-c64", "-H", "Connection: close"], "/1k"),
}


def measure(part, report):
    docker = Docker()
    mini = Mini(part, docker)
    deploy(part, mini, APP)
    backend = docker.address(mini.containers(APP)[0]["Id"])
    name = mini.host(APP)
    peers = {
        "nginx": nginx(part, backend),
        "haproxy": haproxy(part, backend),
        "mini": (mini.process, mini.http),
    }
    for peer, (_, port) in peers.items():
        if get("127.0.0.1", port, name, "/1k")[1] != b"x" * 1024:
            raise Failure(f"{peer} does not answer as it should", "the body is another one", "see its configuration in proxy.py")

    report.section("The proxy")
    report.add(f"wrk, 2 threads, {SECONDS} s a round; load, proxies and backend (a container) on the same cores. PSS: at the end of the round.")
    for title, (options, path) in LOADS.items():
        load = lambda port, host="127.0.0.1": wrk(options, f"http://{host}:{port}{path}", name)
        contestants = {"direct": lambda _: (*load(PORT, backend), 0)}
        for peer, (process, port) in peers.items():
            contestants[peer] = lambda _, pid=process.pid, port=port: proxied(pid, lambda: load(port))
        values = rounds(ROUNDS, contestants)
        column = lambda peer, index, digits: Figure([value[index] for value in values[peer]], digits)
        cpu = {peer: column(peer, 4, 2) for peer in peers}
        speed = {peer: column(peer, 0, 0) for peer in values}
        rows = []
        for peer in values:
            figures = [speed[peer], column(peer, 1, 2), column(peer, 2, 2)]
            figures += [cpu[peer], column(peer, 5, 1)] if peer in peers else ["", ""]
            rows.append([peer, *figures, sum(value[3] for value in values[peer])])
        report.table([title, "req/s", "p50 ms", "p99 ms", "CPU s per 100k", "PSS MiB", "errors"], rows)
        for peer in ("haproxy", "nginx"):
            ratio = cpu["mini"].median / cpu[peer].median
            if peer == "haproxy":
                report.aim(f"proxy CPU per request against haproxy: {title}", ratio, 1.0)
            else:
                report.add(f"mini / {peer}: CPU {ratio:.2f}, req/s {speed['mini'].median / speed[peer].median:.2f}; "
                           f"mini / haproxy: req/s {speed['mini'].median / speed['haproxy'].median:.2f}")
        report.aim(f"errors of mini: {title}", sum(value[3] for value in values["mini"]), 0, "")


def deploy(part, mini, app):
    """The app, pushed once."""
    folder = part.folder / f"app-{app}"
    if not folder.exists():
        folder.mkdir()
        (folder / "Dockerfile").write_bytes((part.bench.source / "app" / "Dockerfile").read_bytes())
        (folder / "server").write_bytes(part.bench.app_binary().read_bytes())
        (folder / "server").chmod(0o755)
        (folder / "version").write_text(f"{app}\n")
        for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
            run(["git", *words], cwd=folder, env=quiet_git())
    run(["git", "push", "-q", mini.remote(app), "main"], cwd=folder, env=mini.door.git())


def nginx(part, backend):
    port = free_port()
    folder = part.folder / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(
        f"""pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes auto;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    upstream app {{ server {backend}:{PORT}; keepalive 128; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto http;
        }}
    }}
}}
"""
    )
    return part.serve(["nginx", "-c", config, "-g", "daemon off;"], folder / "out", port, "nginx"), port


def haproxy(part, backend):
    port = free_port()
    folder = part.folder / "haproxy"
    folder.mkdir()
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""global
    nbthread 2
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
    option forwardfor
frontend door
    bind 127.0.0.1:{port} shards by-thread
    http-request set-header X-Forwarded-Proto http
    default_backend app
backend app
    server app {backend}:{PORT}
"""
    )
    return part.serve(["haproxy", "-db", "-f", config], folder / "out", port, "haproxy"), port


def proxied(pid, load):
    """The load with what it cost the proxy: CPU seconds per 100,000 requests, and its memory afterwards."""
    before = cpu_seconds(pid)
    speed, p50, p99, errors, requests = load()
    spent = cpu_seconds(pid) - before
    return speed, p50, p99, errors, spent / requests * 100_000, memory_mib(pid)[1]


def wrk(options, url, host):
    """Requests per second, p50 and p99 in ms, errors, requests."""
    said = run(["wrk", "-t2", f"-d{SECONDS}s", "--latency", "-H", f"Host: {host}", *options, url])
    number = lambda pattern: sum(int(found) for match in re.findall(pattern, said) for found in (match if isinstance(match, tuple) else [match]))
    requests = number(r"(\d+) requests in")
    if not requests:
        raise Failure(f"no answer from {url}", said, "run this part again")
    errors = number(r"Non-2xx or 3xx responses: (\d+)") + number(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)")
    speed = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
    return speed, percentile(said, 50), percentile(said, 99), errors, requests


def percentile(said, which):
    value, unit = re.search(rf"^ +{which}% +([\d.]+)(us|ms|s)", said, re.M).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
