# Stands in for maven:3-eclipse-temurin-NN: Debian's Maven, and in the place of Maven Central the artifacts that Debian packages,
# without any network. An app that asks for one of these versions is built as it would be anywhere:
#   plugins   clean 3.2.0, resources 3.3.1, compiler 3.13.0, jar 3.3.0, surefire 2.22.3, shade 3.6.0, dependency 3.8.1
#   libraries what libjetty9-java and libgoogle-gson-java bring
ARG VERSION
FROM mini-stand-in:temurin-jdk-${VERSION}
RUN apt-get update \
 && apt-get install -y --no-install-recommends maven git unzip zip libmaven-clean-plugin-java libmaven-compiler-plugin-java \
    libmaven-dependency-plugin-java libmaven-jar-plugin-java libmaven-resources-plugin-java libmaven-shade-plugin-java libsurefire-java \
    libgoogle-gson-java libjetty9-java \
 && rm -rf /var/lib/apt/lists/* \
 && printf '%s\n' '<settings>' '  <mirrors>' \
    '    <mirror><id>debian</id><mirrorOf>*</mirrorOf><url>file:///usr/share/maven-repo</url></mirror>' \
    '  </mirrors>' '</settings>' > /etc/maven/settings.xml
# A wrapper downloads Maven as an archive from the same repository. Links to what is only recommended lead nowhere.
RUN release=$(mvn -version | sed -nE 's/.*Apache Maven ([0-9.]+).*/\1/p') \
 && folder=/usr/share/maven-repo/org/apache/maven/apache-maven/$release && mkdir -p "$folder" \
 && find /usr/share/maven/ -xtype l -delete \
 && cp -rL /usr/share/maven "/tmp/apache-maven-$release" && cd /tmp \
 && zip -q -r "$folder/apache-maven-$release-bin.zip" "apache-maven-$release" && rm -rf "/tmp/apache-maven-$release"
# Maven complains about each file without one.
RUN find -L /usr/share/maven-repo -type f \( -name '*.jar' -o -name '*.pom' -o -name '*.xml' \) \
    -exec sh -c 'for file; do sha1sum < "$file" | cut -c 1-40 > "$file.sha1"; done' sh {} +
# MAVEN_CONFIG as in the official image, where it is for the entry point alone.
ENV MAVEN_HOME=/usr/share/maven MAVEN_CONFIG=/root/.m2 MVNW_REPOURL=file:///usr/share/maven-repo
CMD ["mvn"]
