# Stands in for mlocati/php-extension-installer:2: the tool others copy from there, for the stand-in of php, which has Debian's extensions.
FROM mini-stand-in:debian-13
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'exec install-debian-extensions "$@"' > /usr/bin/install-php-extensions \
 && chmod 755 /usr/bin/install-php-extensions
ENTRYPOINT ["/usr/bin/install-php-extensions"]
