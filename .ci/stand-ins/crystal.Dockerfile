# Stands in for crystallang/crystal:1.14.0-alpine: Debian's compiler. Programs that are linked with all they need in them come from the
# static libraries of Debian; what is added by `apk` needs the real image.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends crystal git libc6-dev libevent-dev libgc-dev libgmp-dev libpcre2-dev libssl-dev libxml2-dev \
    libyaml-dev libzstd-dev make shards zlib1g-dev \
 && rm -rf /var/lib/apt/lists/* \
 # Debian's OpenSSL compresses, and the linker is told of it only where it asks for static libraries.
 && sed -i 's/^Libs: .*/& -lzstd -lz -ldl -lpthread/' /usr/lib/*/pkgconfig/libcrypto.pc \
 && crystal --version && shards --version
CMD ["bash"]
