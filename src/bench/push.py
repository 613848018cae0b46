"""(a) From `git push` to the first answer with the new body, beside Docker's own minimum and a shell script."""

import collections
import json
import shutil
import subprocess
import sys
import threading
import time

from docker_api import Docker
from machine import Failure, free_port, get, rounds, run, wait_until
from report import Figure
from servers import Mini, OpenSsh, quiet_git

ROUNDS = 9
REDEPLOYS = 5
APP = "pushed"
PORT = 5000
# Between two questions whether the new body is there.
PAUSE = 0.002

Times = collections.namedtuple("Times", "live returned")


def measure(part, report):
    docker = Docker()
    label = f"mini.bench={part.folder.name}"
    part.ends.callback(docker.remove_all, label)
    mini = Pushed(part, "mini", Mini(part, docker))
    script = Pushed(part, "script", Script(part, docker, label))
    raw = Raw(part, docker, label)

    report.section("Push to live: one changed file, FROM scratch")
    first = {"mini": mini.push("first"), "script": script.push("first"), "raw": raw.deploy("first"), "network": raw.deploy("first", network=True)}
    values = rounds(
        ROUNDS,
        {
            "mini": lambda number: mini.push(number),
            "script": lambda number: script.push(number),
            "raw": lambda number: raw.deploy(number),
            "network": lambda number: raw.deploy(number, network=True),
        },
    )
    live = {name: Figure([times.live for times in found], 0) for name, found in values.items()}
    builds = {
        "raw": Figure(raw.builds[False][1:], 0),
        "network": Figure(raw.builds[True][1:], 0),
    }
    after = {name: Figure([times.returned - times.live for times in values[name]], 0) for name in ("mini", "script")}
    names = {
        "mini": "mini",
        "raw": "Docker API: BuildKit build + create + start, default bridge",
        "network": "the same, in a network of its own and with an init, as mini's apps run",
        "script": "OpenSSH + post-receive script (docker CLI, BuildKit, nginx)",
    }
    report.table(
        ["what", "first, ms", "live after, ms", "push returned after, ms", "returned - live, ms", "of which the build, ms"],
        [
            [
                text,
                f"{first[name].live:.0f}",
                live[name],
                Figure([times.returned for times in values[name]], 0) if name in after else "",
                after.get(name, ""),
                builds.get(name, ""),
            ]
            for name, text in names.items()
        ],
    )
    over = {name: live["mini"].median - live[name].median for name in builds}
    report.add(f"mini takes {over['raw']:.0f} ms more than the raw parts, {over['network']:.0f} ms more than the same in a network of its own.")
    failed = {pushed.name: pushed.under_load() for pushed in (mini, script)}
    report.table(
        ["under 200 requests a second", "redeploys", "requests", "failed", "what failed"],
        [[names[name], REDEPLOYS, load["requests"], load["failed"], load["failures"] or ""] for name, load in failed.items()],
    )
    report.aim("push to live over Docker's own build + create + start + first answer", over["raw"], 70, " ms")
    report.aim("push to live against a post-receive script", live["mini"].median / live["script"].median, 0.5)
    report.aim("push returned - live", after["mini"].median, 50, " ms")
    report.aim("failed requests during redeploys under load", failed["mini"]["failed"], 0, "")


class Pushed:
    """A repository with one app that is pushed to one server again and again."""

    def __init__(self, part, name, server):
        self.name = name
        self.server = server
        self.part = part
        self.folder = part.folder / f"{name}-app"
        self.folder.mkdir()
        # New in every run, or the build would find an earlier run's in its cache.
        self.salt = part.folder.name
        self.environment = server.door.git()
        for file in ("Dockerfile",):
            shutil.copy(part.bench.source / "app" / file, self.folder)
        shutil.copy(part.bench.program("server"), self.folder / "server")
        self._git("init", "-q", "-b", "main")
        self._git("remote", "add", "bench", server.remote(APP))

    def _git(self, *words):
        return run(["git", *words], cwd=self.folder, env=quiet_git())

    def push(self, body):
        """Pushes a change of one file: the milliseconds from there."""
        body = f"{self.name} {body} {self.salt}\n"
        (self.folder / "version").write_text(body)
        self._git("add", "--all")
        self._git("commit", "-q", "-m", body)
        seen = []
        begun = time.monotonic()
        watch = threading.Thread(target=lambda: seen.append(first_answer("127.0.0.1", self.server.http, self.server.host(APP), body)))
        watch.start()
        push = subprocess.run(
            ["git", "push", "-q", "bench", "main"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        returned = time.monotonic()
        if push.returncode != 0:
            raise Failure(f"a push to {self.name} was refused", push.stdout.decode(errors="replace")[-1500:], "run this part again")
        watch.join()
        # The old one ends after the push has returned; the next measurement is not to share the machine with that.
        wait_until(lambda: len(self.server.containers(APP)) == 1, f"the end of the old release ({self.name})", 60)
        time.sleep(0.2)
        return Times((seen[0] - begun) * 1000, (returned - begun) * 1000)

    def under_load(self):
        """Redeploys under 200 requests a second: how many of these failed."""
        words = ["127.0.0.1", str(self.server.http), self.server.host(APP), "200"]
        load = subprocess.Popen(
            [sys.executable, "-B", self.part.bench.source / "load.py", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            time.sleep(1)
            for number in range(REDEPLOYS):
                self.push(f"under load {number}")
            time.sleep(1)
            said, _ = load.communicate(b"", timeout=60)
        finally:
            load.kill()
            load.wait()
        return json.loads(said)


def first_answer(host, port, name, body, seconds=60):
    """When the body is first answered."""
    wanted = body.encode()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if get(host, port, name)[1] == wanted:
                return time.monotonic()
        except (OSError, ValueError, IndexError):
            pass
        time.sleep(PAUSE)
    raise Failure(f"{name} did not answer with the new body", f"{seconds} s have passed", "run this part again")


class Raw:
    """What a deploy cannot do without, by Docker's API: build, create, start, first answer of the process itself."""

    def __init__(self, part, docker, label):
        self.docker = docker
        key, _, value = label.partition("=")
        self.labels = {key: value}
        source = part.bench.source / "app" / "Dockerfile"
        self.files = {"Dockerfile": (source.read_bytes(), 0o644), "server": (part.bench.program("server").read_bytes(), 0o755)}
        self.network = f"mini-bench-{part.folder.name}"
        self.docker.call("POST", "/networks/create", {"Name": self.network, "Driver": "bridge", "Labels": self.labels})
        self.builds = {False: [], True: []}

    def deploy(self, body, network=False):
        # New in every run, or the build would find an earlier run's in its cache.
        body = f"raw {network} {body} {self.network}\n"
        self.files["version"] = (body.encode(), 0o644)
        tag = f"mini-bench-raw:{self.network}"
        host = {"NetworkMode": self.network} if network else {}
        if network:
            host["Init"] = True
        begun = time.monotonic()
        self.docker.build(tag, self.files, self.labels)
        built = time.monotonic()
        wanted = {"Image": tag, "Labels": self.labels, "Env": [f"PORT={PORT}"], "HostConfig": host}
        container = self.docker.json("POST", "/containers/create", wanted)["Id"]
        self.docker.call("POST", f"/containers/{container}/start")
        live = first_answer(self.docker.address(container), PORT, APP, body)
        self.docker.call("DELETE", f"/containers/{container}", force=1)
        time.sleep(0.2)
        self.builds[network].append((built - begun) * 1000)
        return Times((live - begun) * 1000, 0)


class Script:
    """The least that a PaaS made of one shell script does: OpenSSH, a bare repository, its hook, the docker CLI, nginx."""

    def __init__(self, part, docker, label):
        self.docker = docker
        self.label = f"{label}-script"
        part.ends.callback(docker.remove_all, self.label)
        self.openssh = OpenSsh(part)
        self.door = self.openssh.door
        self.http = free_port()
        self.folder = part.folder / "script"
        repository = self.folder / "app.git"
        run(["git", "init", "-q", "--bare", "-b", "main", repository], env=quiet_git())
        shutil.copy(part.bench.source / "post-receive", repository / "hooks" / "post-receive")
        (repository / "bench.env").write_text(
            f"docker={buildkit_client(part)}\nlabel={self.label}\nport={PORT}\nfolder={self.folder}\n"
        )
        (self.folder / "upstream.conf").write_text("server 127.0.0.1:1;\n")
        config = self.folder / "nginx.conf"
        config.write_text(
            f"""pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx.log;
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream app {{ include {self.folder}/upstream.conf; keepalive 128; }}
    server {{
        listen 127.0.0.1:{self.http} reuseport;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto http;
        }}
    }}
}}
"""
        )
        part.serve(["nginx", "-c", config, "-g", "daemon off;"], self.folder / "nginx.out", self.http, "nginx")

    def host(self, app):
        return f"{app}.localhost"

    def remote(self, _):
        return self.openssh.remote(self.folder / "app.git")

    def containers(self, _):
        return self.docker.containers(self.label)


def buildkit_client(part):
    """A docker client that can build with BuildKit: some have it in themselves, some need a plug-in that may be missing."""
    context = part.folder / "probe"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/bin"):
        command = [f"{folder}/docker", "build", "-q", context]
        try:
            built = subprocess.run(command, env=dict(quiet_git(), DOCKER_BUILDKIT="1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except OSError:
            continue
        if built.returncode == 0:
            subprocess.run([f"{folder}/docker", "image", "rm", built.stdout.strip()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return command[0]
    raise Failure("no docker client here builds with BuildKit", built.stderr[-500:], "install docker-buildx, or the client of docker.io")
