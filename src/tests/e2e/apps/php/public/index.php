<?php

require __DIR__ . '/../vendor/autoload.php';

$number = (new NumberFormatter('de_DE', NumberFormatter::DECIMAL))->format(1234.5);
$drivers = implode(',', array_intersect(PDO::getAvailableDrivers(), ['pgsql']));

ob_start();
imagepng(imagecreatetruecolor(8, 8));
$image = getimagesizefromstring(ob_get_clean())['mime'];

$user = posix_getpwuid(posix_geteuid())['name'];
$memory = ini_get('memory_limit');

header('content-type: text/plain');
echo Acme\Greeting\Greeting::of($_SERVER['REQUEST_URI']), ": $number, $drivers, $image, $memory, as $user, at ", $_ENV['PORT'] === getenv('PORT') ? 'its port' : 'no port';
