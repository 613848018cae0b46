<?php
namespace Acme\Greeting;
final class Greeting { public static function of(string $name): string { return "greetings from $name"; } }
