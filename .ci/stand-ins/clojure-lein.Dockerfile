# Stands in for clojure:temurin-NN-lein: Debian's Leiningen, which takes what Debian packages (Clojure 1.12.0 and others of
# /usr/share/maven-repo) in the place of Clojars and Maven Central, without any network.
ARG VERSION
FROM mini-stand-in:temurin-jdk-${VERSION}
RUN apt-get update \
 && apt-get install -y --no-install-recommends leiningen \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /etc/leiningen \
 && echo '{:system {:offline? true :local-repo "/usr/share/maven-repo"}}' > /etc/leiningen/profiles.clj \
 && lein version
ENV LEIN_ROOT=1
WORKDIR /tmp
CMD ["lein", "repl"]
