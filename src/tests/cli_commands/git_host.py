# Serves bare repositories as a host of git does. One that sees the token in the arguments of any process refuses.
import base64, glob, os, subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT, TOKEN = os.environ["ROOT"], os.environ["TOKEN"]
EXPECTED = "Basic " + base64.b64encode(("ann:" + TOKEN).encode()).decode()


def is_shown():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if TOKEN.encode() in open(path, "rb").read():
                return True
        except OSError:
            pass
    return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.startswith("/away/"):
            to = "http://localhost:%d%s" % (PORT, self.path.replace("/away/", "/private/"))
            return self.answer(302, [("Location", to)])
        if path.startswith("/private/") and self.headers.get("Authorization") != EXPECTED:
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')])
        if is_shown():
            return self.answer(500, [])
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": ROOT,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.replace("/broken/", "/public/"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE)
        head, _, rest = ran.stdout.partition(b"\r\n\r\n")
        if path.startswith("/broken/") and b"PACK" in rest:
            rest = rest[: len(rest) // 2]
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers.append((name, value))
        self.answer(status, headers, rest)

    do_GET = do_POST = serve

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
PORT = server.server_address[1]
print(PORT, flush=True)
server.serve_forever()
