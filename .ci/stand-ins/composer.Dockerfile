# Stands in for composer:2: Debian's Composer as the one file that others copy from the official image.
FROM mini-stand-in:debian-13 AS packed
RUN apt-get update \
 && apt-get install -y --no-install-recommends composer \
 && rm -rf /var/lib/apt/lists/*
# Its classes load one another by their whole path; inside the file they are beneath it.
RUN printf '%s\n' '<?php' '$phar = new Phar("/tmp/composer.phar");' \
    '$phar->startBuffering();' \
    '$files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator("/usr/share/php", FilesystemIterator::SKIP_DOTS | FilesystemIterator::FOLLOW_SYMLINKS));' \
    'foreach ($files as $path => $file) {' \
    '    $text = file_get_contents($path);' \
    '    $phar["share/php" . substr($path, strlen("/usr/share/php"))] = str_replace(["'"'"'/usr/share/php/", "\"/usr/share/php/"], ["'"'"'phar://composer.phar/share/php/", "\"phar://composer.phar/share/php/"], $text);' \
    '}' \
    '$phar["bin/composer"] = preg_replace("/^#!.*\n/", "", file_get_contents("/usr/bin/composer"));' \
    '$phar->setStub("#!/usr/bin/env php\n<?php Phar::mapPhar(\"composer.phar\"); set_include_path(\"phar://composer.phar/share/php\"); require \"phar://composer.phar/bin/composer\"; __HALT_COMPILER();");' \
    '$phar->stopBuffering();' > /pack.php \
 && php -d phar.readonly=0 /pack.php && cp /tmp/composer.phar /usr/local/bin/composer && chmod 755 /usr/local/bin/composer \
 && mv /usr/share/php /usr/share/php-away && COMPOSER_ALLOW_SUPERUSER=1 /usr/local/bin/composer --version

FROM mini-stand-in:debian-13
COPY --from=packed /usr/local/bin/composer /usr/bin/composer
CMD ["composer"]
