# Stands in for gradle:jdkNN: Debian's Gradle (4.4, made to run on a newer Java), which builds what needs no plugin of others.
ARG VERSION
FROM mini-stand-in:temurin-jdk-${VERSION}
RUN apt-get update \
 && apt-get install -y --no-install-recommends gradle git unzip wget \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 gradle && useradd --uid 1000 --gid gradle --shell /bin/bash --create-home gradle \
 && mkdir -p /home/gradle/.gradle && chown gradle:gradle /home/gradle/.gradle && gradle --version
ENV GRADLE_HOME=/usr/share/gradle
WORKDIR /home/gradle
CMD ["gradle"]
