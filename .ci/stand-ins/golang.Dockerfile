# Stands in for golang:1.NN: Debian's compiler in the official image's places.
ARG VERSION
FROM mini-stand-in:debian-13
ARG VERSION
RUN apt-get update \
 && apt-get install -y --no-install-recommends "golang-${VERSION}-go" g++ gcc git libc6-dev make openssh-client pkg-config \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s "/usr/lib/go-${VERSION}" /usr/local/go \
 && mkdir -p /go/src /go/bin && chmod -R 1777 /go
# The compiler in the image is the one that is used: a build never downloads another.
ENV GOTOOLCHAIN=local GOPATH=/go PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN go version
WORKDIR /go
CMD ["bash"]
