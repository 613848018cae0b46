"""The app the tests push: answers with its version, and does on request what an app can do wrong or right."""

import base64
import hashlib
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERSION = open("version.txt").read().strip()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/":
            self.answer(f"version {VERSION}\n")
        elif url.path == "/env":
            value = os.environ.get(query["name"])
            self.answer(value or "", 200 if value is not None else 404)
        elif url.path == "/hostname":
            self.answer(socket.gethostname())
        elif url.path == "/headers":
            self.answer(json.dumps({key.lower(): value for key, value in self.headers.items()}))
        elif url.path == "/print":
            print(query["line"], flush=True)
            self.answer("printed\n")
        elif url.path == "/slow":
            print("a slow answer begins", flush=True)
            time.sleep(int(query["ms"]) / 1000)
            self.answer(f"version {VERSION}\n")
        elif url.path == "/echo" and self.headers.get("upgrade", "").lower() == "websocket":
            self.echo()
        else:
            self.answer("there is no such page\n", 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.answer(hashlib.sha256(body).hexdigest())

    def answer(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self):
        """RFC 6455, as little as it takes: short text frames come back as they are until the client closes."""
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        self.send_header("sec-websocket-accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                return
            mask = self.rfile.read(4)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(head[1] & 0x7F)))
            self.wfile.write(bytes([head[0], len(text)]) + text)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def server_bind(self):
        # Without the base class's reverse look-up of the host name, which may take seconds.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address


def main():
    mode = open("mode.txt").read().strip() if os.path.exists("mode.txt") else "well"
    port = int(os.environ["PORT"])
    print(f"version {VERSION} begins, mode {mode}", flush=True)
    if mode == "exits":
        print("the last words of the app", flush=True)
        sys.exit(3)
    if mode == "silent":
        threading.Event().wait()
    address = {"well": ("0.0.0.0", port), "wrong-port": ("0.0.0.0", 4321), "loopback": ("127.0.0.1", port)}[mode]
    Server(address, Handler).serve_forever()


main()
