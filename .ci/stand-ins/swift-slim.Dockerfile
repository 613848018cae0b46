# Stands in for swift:6.0-slim: the libraries of Debian's toolchain without the compiler.
FROM mini-stand-in:debian-13
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcurl4t64 libswiftlang libxml2 tzdata \
 && rm -rf /var/lib/apt/lists/*
CMD ["bash"]
