# Every target calls one script; what it does is written there.
.DEFAULT_GOAL := help
.PHONY: help demo demo-stop check test test-provision test-package package bench bench-proxy bench-detect soak fuzz

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s  %s\n", $$1, $$2 }' Makefile

demo: ## from a bare machine to apps that answer: install, build, start, push examples/ (safe to run again)
	@examples/demo/start

demo-stop: ## end the demo and remove all it made (DEMO_PURGE=1: base images and the Docker it started, too)
	@examples/demo/stop

check: ## format, lints and the tests that need no Docker: the quick loop
	@.ci/check

test: ## everything: the above, shell scripts, Docker and end-to-end tests, doc tests; closes with the counts
	@.ci/test

test-provision: ## the playbooks against a machine made for it: install, push, upgrade under load, uninstall
	@ansible/test/run

test-package: ## a .deb of a debug build on such a machine: install, push, upgrade under load, remove, purge
	@.ci/package/try

package: ## the .deb and the archive of a release, for this machine's processor: target/package
	@.ci/package/run

bench: ## figures of mini beside nginx, haproxy, OpenSSH and Docker itself (one part: ONLY=push, commands, large, detect, proxy, tls, apps, memory)
	@src/bench/run $(ONLY)

bench-proxy: ## the proxy alone: plain, TLS, HTTP/2, WebSocket, fixed rate, 10,000 hosts, beside nginx, haproxy and caddy
	@src/bench/run proxy tls apps

bench-detect: ## what detection takes: usual, laden, deep and huge repositories, beside nixpacks where it is installed
	@src/bench/run detect

soak: ## a million requests of all kinds with the memory watched, and hostile clients beside a good one
	@src/bench/run soak

fuzz: ## coverage-guided fuzzing of the proxy and the detector, TIME=60 seconds each (one: TARGET=requests)
	@src/tests/fuzz/run $(or $(TIME),60) $(TARGET)
