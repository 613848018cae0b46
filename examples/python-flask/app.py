"""Flask behind mini: a page, a line of text and a slow answer."""

import os
import platform
import time

import flask

NAME = "python-flask"
VERSION = "1.0.0"

app = flask.Flask(__name__)


def facts():
    return {
        "version": VERSION,
        "release": os.environ.get("MINI_RELEASE") or os.environ.get("GIT_REV") or "local",
        "process": os.environ.get("MINI_PROCESS") or os.environ.get("HOSTNAME") or "web",
        "runtime": f"Python {platform.python_version()}",
    }


@app.get("/")
def home():
    if flask.request.accept_mimetypes.best_match(["text/plain", "text/html"]) == "text/html":
        return flask.render_template("home.html", name=NAME, facts=facts())
    line = "{name} {version}, release {release}, process {process}, {runtime}\n".format(name=NAME, **facts())
    return line, {"Content-Type": "text/plain; charset=utf-8"}


@app.get("/slow")
def slow():
    """Answers after ?ms= milliseconds, at most a minute: to see requests in flight finish during a deploy."""
    wait = min(max(flask.request.args.get("ms", 1000, type=int), 0), 60_000)
    time.sleep(wait / 1000)
    return f"waited {wait} ms\n", {"Content-Type": "text/plain; charset=utf-8"}


@app.get("/health")
def health():
    return "ok\n", {"Content-Type": "text/plain; charset=utf-8"}
