# Stands in for oven/bun:1: Bun's own build, as npm carries it, in the official image's place with its user.
ARG VERSION
FROM node:22-slim AS package
ARG VERSION
RUN npm install --silent --prefix /package "@oven/bun-linux-x64@${VERSION}"

FROM mini-stand-in:debian-13
COPY --from=package /package/node_modules/@oven/bun-linux-x64/bin/bun /usr/local/bin/bun
# As in the official image: what asks for Node.js gets Bun.
RUN ln -s bun /usr/local/bin/bunx \
 && mkdir -p /usr/local/bun-node-fallback-bin && ln -s /usr/local/bin/bun /usr/local/bun-node-fallback-bin/node \
 && groupadd --gid 1000 bun && useradd --uid 1000 --gid bun --shell /bin/sh --create-home bun \
 && printf '%s\n' '#!/bin/sh' 'set -e' \
    'if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then set -- /usr/local/bin/bun "$@"; fi' \
    'exec "$@"' > /usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh \
 && bun --version
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bun-node-fallback-bin
WORKDIR /home/bun/app
ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]
CMD ["/usr/local/bin/bun"]
