# Stands in for eclipse-temurin:NN-jdk: the compiler on top of the stand-in for the JRE.
ARG VERSION
FROM mini-stand-in:temurin-jre-${VERSION}
ARG VERSION
RUN apt-get update \
 && apt-get install -y --no-install-recommends "openjdk-${VERSION}-jdk-headless" binutils \
 && rm -rf /var/lib/apt/lists/* \
 && javac -version
CMD ["jshell"]
