"""The proxies mini is measured against, each before the same backend, plain and over TLS with one certificate."""

import os

from machine import free_port, run


class Peer:
    """A running proxy: its process and its two ports."""

    def __init__(self, process, http, https):
        self.process = process
        self.http = http
        self.https = https


class Identity:
    """A certificate and its key (P-256, as Let's Encrypt gives them today) for one name."""

    def __init__(self, folder, name):
        self.folder = folder / "identity"
        self.folder.mkdir()
        self.certificate = self.folder / "server.crt"
        self.key = self.folder / "server.key"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        run([*words, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", self.key, "-out", self.certificate])
        # haproxy wants both in one file.
        self.both = self.folder / "both.pem"
        self.both.write_text(self.certificate.read_text() + self.key.read_text())


def nginx(part, backend, identity):
    """Workers as cores, 128 idle connections to the backend, no access log, no session resumption."""
    http, https = free_port(), free_port()
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
    ssl_session_cache off;
    ssl_session_tickets off;
    keepalive_requests 10000000;
    ssl_certificate {identity.certificate};
    ssl_certificate_key {identity.key};
    upstream app {{ server {backend}; keepalive 512; keepalive_requests 1000000; }}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{http} reuseport;
        listen 127.0.0.1:{https} ssl http2 reuseport;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
    )
    process = part.serve(["nginx", "-c", config, "-g", "daemon off;"], folder / "out", http, "nginx")
    return Peer(process, http, https)


def haproxy(part, backend, identity):
    """Two threads with a listener each, connections to the backend reused whenever possible, no log."""
    http, https = free_port(), free_port()
    folder = part.folder / "haproxy"
    folder.mkdir()
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""global
    nbthread 2
    maxconn 4000
    tune.ssl.cachesize 0
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    http-reuse always
    option forwardfor
frontend door
    bind 127.0.0.1:{http} shards by-thread
    bind 127.0.0.1:{https} shards by-thread ssl crt {identity.both} alpn h2,http/1.1 no-tls-tickets
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    default_backend app
backend app
    server app {backend}
"""
    )
    process = part.serve(["haproxy", "-db", "-f", config], folder / "out", http, "haproxy")
    return Peer(process, http, https)


def caddy(part, backend, identity):
    """256 idle connections to the backend, no access log, no certificates of its own."""
    http, https = free_port(), free_port()
    folder = part.folder / "caddy"
    folder.mkdir()
    config = folder / "Caddyfile"
    config.write_text(
        f"""{{
    admin off
    auto_https off
}}
http://:{http} {{
    bind 127.0.0.1
    reverse_proxy {backend} {{
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
https://:{https} {{
    bind 127.0.0.1
    tls {identity.certificate} {identity.key}
    reverse_proxy {backend} {{
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""
    )
    process = part.serve(["caddy", "run", "--config", config, "--adapter", "caddyfile"], folder / "out", http, "caddy", env=home(folder))
    return Peer(process, http, https)


def home(folder):
    """An environment in which a program keeps its files in this folder."""
    return dict(os.environ, HOME=str(folder), XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder))
