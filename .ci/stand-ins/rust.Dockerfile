# Stands in for rust:1: Debian's compiler in the official image's places, with the headers that image has of common libraries.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends rustc cargo g++ gcc git libc6-dev libpq-dev libsqlite3-dev libssl-dev make pkg-config \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /usr/local/cargo/bin && chmod -R a+w /usr/local/cargo
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin RUST_VERSION=1.85.0
RUN cargo --version
CMD ["bash"]
