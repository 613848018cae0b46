# Stands in for denoland/deno:N: Deno's own build, as npm carries it, in the official image's place with its user.
ARG VERSION
FROM node:22-slim AS package
ARG VERSION
RUN npm install --silent --prefix /package "@deno/linux-x64-glibc@${VERSION}"

FROM mini-stand-in:debian-13
COPY --from=package /package/node_modules/@deno/linux-x64-glibc/deno /usr/bin/deno
RUN chmod 755 /usr/bin/deno \
 && useradd --uid 1993 --user-group deno && mkdir /deno-dir && chown deno:deno /deno-dir \
 && printf '%s\n' '#!/bin/sh' 'set -e' \
    'if [ "$1" != "${1#-}" ] || deno "$1" --help > /dev/null 2>&1; then set -- deno "$@"; fi' \
    'exec "$@"' > /usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh \
 && deno --version
ENV DENO_DIR=/deno-dir/ DENO_INSTALL_ROOT=/usr/local
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["eval", "console.log('Welcome to Deno!')"]
