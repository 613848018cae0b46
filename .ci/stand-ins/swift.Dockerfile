# Stands in for swift:6.0: Debian's toolchain. There is no package of another repository.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends git libc6-dev libcurl4-openssl-dev libstdc++-14-dev libxml2-dev swiftlang tzdata zlib1g-dev \
 && rm -rf /var/lib/apt/lists/* \
 && swift --version
CMD ["bash"]
