# Stands in for eclipse-temurin:NN-jre: Debian's OpenJDK in the official image's places.
ARG VERSION
FROM mini-stand-in:debian-13
ARG VERSION
# Its packages link manuals into a folder that this base has not.
RUN mkdir -p /usr/share/man/man1 && apt-get update \
 && apt-get install -y --no-install-recommends "openjdk-${VERSION}-jre-headless" curl fontconfig tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /opt/java && ln -s "/usr/lib/jvm/java-${VERSION}-openjdk-$(dpkg --print-architecture)" /opt/java/openjdk \
 && printf '%s\n' '#!/bin/sh' 'set -e' 'exec "$@"' > /__cacert_entrypoint.sh && chmod 755 /__cacert_entrypoint.sh
ENV JAVA_HOME=/opt/java/openjdk LANG=C.UTF-8 PATH=/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN java -version
ENTRYPOINT ["/__cacert_entrypoint.sh"]
