"""Docker by its API, with nothing between: what the raw parts of a deploy cost."""

import http.client
import io
import json
import socket
import tarfile
import urllib.parse

from machine import Failure, wait_until

SOCKET = "/var/run/docker.sock"
# The oldest version all engines of these years answer.
API = "/v1.41"


class _Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


class Docker:
    """One connection, kept."""

    def __init__(self):
        self.connection = _Connection("docker", timeout=120)

    def call(self, method, path, body=None, kind="application/json", **query):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        query = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in query.items()}
        target = f"{API}{path}?{urllib.parse.urlencode(query)}" if query else API + path
        try:
            self.connection.request(method, target, body, {"Content-Type": kind} if body is not None else {})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            # The next call makes a new one.
            self.connection.close()
            raise Failure(f"Docker did not answer {method} {path}", repr(error), "was it started again? run this part again") from error
        if answer.status >= 400:
            raise Failure(f"Docker refused {method} {path}", text.decode(errors="replace")[:500], "see Docker's log")
        return text

    def json(self, *words, **options):
        return json.loads(self.call(*words, **options) or b"null")

    def build(self, tag, files, labels):
        """BuildKit, inside Docker; `files` is the context."""
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for name, (content, mode) in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), mode
                archive.addfile(entry, io.BytesIO(content))
        said = self.call("POST", "/build", context.getvalue(), "application/x-tar", version=2, t=tag, labels=labels, rm=1)
        if b'"error"' in said:
            raise Failure("the raw build failed", said.decode(errors="replace")[-500:], "see Docker's log")

    def answers(self):
        try:
            return self.call("GET", "/_ping") == b"OK"
        except Failure:
            return False

    def containers(self, *labels):
        return self.json("GET", "/containers/json", filters={"label": list(labels)}, all=1)

    def address(self, container):
        networks = self.json("GET", f"/containers/{container}/json")["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def remove_all(self, label):
        """Whatever carries the label: containers, networks, volumes, images. A Docker that is coming up is waited for."""
        wait_until(self.answers, "Docker, to clean up", 60, 0.5)
        by_label = {"label": [label]}
        for container in self.containers(label):
            self.call("DELETE", f"/containers/{container['Id']}", force=1, v=1)
        for network in self.json("GET", "/networks", filters=by_label):
            self.call("DELETE", f"/networks/{network['Id']}")
        for volume in self.json("GET", "/volumes", filters=by_label)["Volumes"] or []:
            self.call("DELETE", f"/volumes/{volume['Name']}", force=1)
        for image in self.json("GET", "/images/json", filters=by_label):
            self.call("DELETE", f"/images/{image['Id']}", force=1)
