# Stands in for php:8.4-apache: Debian's PHP and Apache with the official image's places, settings and tools.
FROM mini-stand-in:debian-13
ENV PHP_INI_DIR=/usr/local/etc/php APACHE_CONFDIR=/etc/apache2 APACHE_ENVVARS=/etc/apache2/envvars
RUN apt-get update \
 && apt-get install -y --no-install-recommends apache2 curl libatomic1 libapache2-mod-php8.4 php8.4-cli php8.4-curl php8.4-mbstring php8.4-sqlite3 php8.4-xml xz-utils \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /usr/bin/php /usr/local/bin/php \
 # What is part of the official build stays; anything else is there only once it was asked for.
 && phpdismod calendar exif ffi gettext opcache shmop sockets sysvmsg sysvsem sysvshm xsl \
 # One folder of settings for the command line and for Apache, where the official image has it.
 && mkdir -p "$PHP_INI_DIR/conf.d" /var/www/html \
 && cp /usr/lib/php/8.4/php.ini-production /usr/lib/php/8.4/php.ini-development "$PHP_INI_DIR/" \
 && for sapi in cli apache2; do \
        mv /etc/php/8.4/$sapi/conf.d/* "$PHP_INI_DIR/conf.d/" 2>/dev/null || true; \
        rm -r /etc/php/8.4/$sapi/conf.d /etc/php/8.4/$sapi/php.ini; \
        ln -s "$PHP_INI_DIR/conf.d" /etc/php/8.4/$sapi/conf.d; \
        ln -s "$PHP_INI_DIR/php.ini" /etc/php/8.4/$sapi/php.ini; \
    done \
 && sed -ri 's/^export ([^=]+)=(.*)$/: ${\1:=\2}\nexport \1/' "$APACHE_ENVVARS" \
 && . "$APACHE_ENVVARS" \
 && for dir in "$APACHE_LOCK_DIR" "$APACHE_RUN_DIR" "$APACHE_LOG_DIR" "$APACHE_RUN_DIR/socks"; do \
        rm -rf "$dir" && mkdir -p "$dir" && chown "$APACHE_RUN_USER:$APACHE_RUN_GROUP" "$dir" && chmod 1777 "$dir"; \
    done \
 && rm -rf /var/www/html/* && chown www-data:www-data /var/www/html && chmod 1777 /var/www/html \
 && ln -sfT /dev/stderr "$APACHE_LOG_DIR/error.log" && ln -sfT /dev/stdout "$APACHE_LOG_DIR/access.log" \
 && ln -sfT /dev/stdout "$APACHE_LOG_DIR/other_vhosts_access.log" \
 && chown -R --no-dereference "$APACHE_RUN_USER:$APACHE_RUN_GROUP" "$APACHE_LOG_DIR" \
 && { a2dismod mpm_event || true; } && a2enmod mpm_prefork php8.4 \
 && printf '%s\n' '<FilesMatch \.php$>' '    SetHandler application/x-httpd-php' '</FilesMatch>' 'DirectoryIndex disabled' \
    'DirectoryIndex index.php index.html' '<Directory /var/www/>' '    Options -Indexes' '    AllowOverride All' '</Directory>' \
    > "$APACHE_CONFDIR/conf-available/docker-php.conf" && a2enconf docker-php
# Extensions: Debian has them compiled, so that to install one is to fetch its package.
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'for name; do' \
    '    case "$name" in' \
    '    -*|bz2|bcmath|dba|enchant|gd|gmp|imap|intl|ldap|mysqli|odbc|pdo_*|pgsql|pspell|snmp|soap|tidy|xsl|zip) ;;' \
    '    calendar|exif|ffi|gettext|opcache|pcntl|shmop|sockets|sysvmsg|sysvsem|sysvshm) ;;' \
    '    *) echo "error: /usr/src/php/ext/$name does not exist" >&2; exit 1 ;;' \
    '    esac' 'done' 'exec install-debian-extensions "$@"' > /usr/local/bin/docker-php-ext-install \
 && printf '%s\n' '#!/bin/sh' 'set -e' 'packages=' 'names=' 'for name; do' \
    '    case "$name" in' \
    '    -*) continue ;;' \
    '    mysqli|pdo_mysql) package=mysql ;;' \
    '    pgsql|pdo_pgsql) package=pgsql ;;' \
    '    sqlite3|pdo_sqlite) package=sqlite3 ;;' \
    '    pdo_odbc) package=odbc ;;' \
    '    xsl) package=xml ;;' \
    '    calendar|exif|ffi|gettext|pcntl|shmop|sockets|sysvmsg|sysvsem|sysvshm) package=common ;;' \
    '    *) package=$name ;;' \
    '    esac' \
    '    packages="$packages php8.4-$package"' \
    '    names="$names $name"' 'done' \
    'kept=mysqlnd' \
    'for ini in "$PHP_INI_DIR"/conf.d/*.ini; do ini=$(basename "$ini" .ini); kept="$kept ${ini#*-}"; done' \
    '# As with the official image, packages of PHP are out of reach for apt otherwise.' \
    'apt-get update -qq' \
    'apt-get install -y -qq --no-install-recommends -o Dir::Etc::PreferencesParts=/dev/null $packages' \
    'rm -rf /var/lib/apt/lists/*' \
    '# A package may have brought more than was asked for.' \
    'for ini in "$PHP_INI_DIR"/conf.d/[0-9]*-*.ini; do' \
    '    have=$(basename "$ini" .ini); have=${have#*-}' \
    '    case " $names $kept " in *" $have "*) ;; *) rm "$ini" ;; esac' \
    'done' 'exec docker-php-ext-enable $names' > /usr/local/bin/install-debian-extensions \
 && printf '%s\n' '#!/bin/sh' 'set -e' 'for name; do' \
    '    case "$name" in -*|pcntl) continue ;; esac' \
    '    [ -e "/etc/php/8.4/mods-available/$name.ini" ] || { echo "error: $name does not exist" >&2; exit 1; }' \
    '    number=$(sed -n "s/^; *priority=//p" "/etc/php/8.4/mods-available/$name.ini")' \
    '    ln -sf "/etc/php/8.4/mods-available/$name.ini" "$PHP_INI_DIR/conf.d/${number:-20}-$name.ini"' \
    'done' > /usr/local/bin/docker-php-ext-enable \
 && printf '%s\n' '#!/bin/sh' 'set -e' 'if [ "${1#-}" != "$1" ]; then set -- apache2-foreground "$@"; fi' 'exec "$@"' > /usr/local/bin/docker-php-entrypoint \
 && printf '%s\n' '#!/bin/bash' 'set -e' '. "$APACHE_ENVVARS"' 'rm -f "$APACHE_PID_FILE"' \
    'mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR" "$APACHE_LOG_DIR"' 'exec apache2 -DFOREGROUND "$@"' > /usr/local/bin/apache2-foreground \
 && chmod 755 /usr/local/bin/* \
 && printf 'Package: php*\nPin: release *\nPin-Priority: -1\n' > /etc/apt/preferences.d/no-debian-php \
 && docker-php-ext-enable opcache \
 && php -m && rm -rf /tmp/*
ENV PHP_VERSION=8.4.24
ENTRYPOINT ["docker-php-entrypoint"]
STOPSIGNAL SIGWINCH
WORKDIR /var/www/html
EXPOSE 80
CMD ["apache2-foreground"]
