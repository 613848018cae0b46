# Stands in for nginx:1.NN: Debian's nginx (1.26 in trixie) behind the official image's layout, user and defaults.
FROM mini-stand-in:debian-13
# First, so that it gets the number 101, which images built on the official one rely on.
RUN groupadd --system --gid 101 nginx \
 && useradd --system --gid nginx --no-create-home --home-dir /nonexistent --comment "nginx user" --shell /bin/false --uid 101 nginx
RUN apt-get update \
 && apt-get install -y --no-install-recommends nginx gettext-base curl \
 && rm -rf /var/lib/apt/lists/* \
 && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log \
 && rm -rf /etc/nginx/sites-enabled /etc/nginx/sites-available /etc/nginx/snippets /etc/nginx/modules-enabled /etc/nginx/conf.d/* \
 && mkdir -p /usr/share/nginx/html /var/cache/nginx && chown nginx /var/cache/nginx \
 && echo '<!DOCTYPE html><title>Welcome to nginx!</title><h1>Welcome to nginx!</h1>' > /usr/share/nginx/html/index.html \
 && printf '%s\n' 'user nginx;' 'worker_processes auto;' 'error_log /var/log/nginx/error.log notice;' 'pid /run/nginx.pid;' \
    'events { worker_connections 1024; }' \
    'http {' '    include /etc/nginx/mime.types;' '    default_type application/octet-stream;' \
    '    access_log /var/log/nginx/access.log;' '    sendfile on;' '    keepalive_timeout 65;' \
    '    include /etc/nginx/conf.d/*.conf;' '}' > /etc/nginx/nginx.conf \
 && printf '%s\n' 'server {' '    listen 80;' '    server_name localhost;' \
    '    location / { root /usr/share/nginx/html; index index.html index.htm; }' '}' > /etc/nginx/conf.d/default.conf \
 && printf '%s\n' '#!/bin/sh' 'set -e' \
    '# As in the official image: templates become configuration with the variables of the environment.' \
    'for template in /etc/nginx/templates/*.template; do' \
    '    [ -f "$template" ] || continue' \
    '    envsubst "$(env | sed "s/=.*//; s/^/\$/" | tr "\n" " ")" < "$template" > "/etc/nginx/conf.d/$(basename "$template" .template)"' \
    'done' 'exec "$@"' > /docker-entrypoint.sh && chmod 755 /docker-entrypoint.sh \
 && nginx -t
EXPOSE 80
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
