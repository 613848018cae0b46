"""A web process with Python's standard library only."""

import html
import os
import platform
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, VERSION = "dockerfile", "1.0.0"
FACTS = {
    "version": VERSION,
    "release": os.environ.get("MINI_RELEASE") or os.environ.get("GIT_REV") or "local",
    "process": os.environ.get("MINI_PROCESS") or os.environ.get("HOSTNAME") or "web",
    "runtime": f"Python {platform.python_version()}, own Dockerfile",
}
LINE = "{name} {version}, release {release}, process {process}, {runtime}\n".format(name=NAME, **FACTS)
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{NAME}</title>
<style>
  body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; color: #1d2733; background: #f6f8fa }}
  h1 {{ font-size: 1.8rem; margin: 0 0 1rem }} dt {{ color: #5b6b7b }} dd {{ margin: 0 0 .6rem; font-weight: 600 }}
</style>
<h1>{NAME} is running</h1>
<dl>{"".join(f"<dt>{label.capitalize()}</dt><dd>{html.escape(value)}</dd>" for label, value in FACTS.items())}</dl>
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.split("?")[0] == "/":
            is_browser = "text/html" in self.headers.get("accept", "")
            self.answer(200, PAGE if is_browser else LINE, "text/html" if is_browser else "text/plain")
        elif self.path == "/health":
            self.answer(200, "ok\n", "text/plain")
        else:
            self.answer(404, "there is no such page\n", "text/plain")

    do_HEAD = do_GET

    def answer(self, status, text, kind):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main():
    server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "5000"))), Handler)
    # shutdown() waits for serve_forever(), so it cannot be called in the thread that serves.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on {server.server_port}")
    server.serve_forever()
    print("stopped")


main()
