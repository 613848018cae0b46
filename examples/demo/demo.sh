# shellcheck shell=bash
# shellcheck disable=SC2034  # used by the scripts that source this
# Where the demo keeps its things, and whether its server runs. Sourced by start and stop.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$checkout" || exit
# shellcheck source=.ci/say.sh
. .ci/say.sh

# Everything the demo writes is in here; git ignores it and stop removes it.
demo=$checkout/.demo
mini=${CARGO_TARGET_DIR:-$checkout/target}/release/mini
log=$demo/server.log
pid_file=$demo/server.pid

# Another port, where these are taken: DEMO_HTTP_PORT=9080 make demo
http_port=${DEMO_HTTP_PORT:-8080}
https_port=${DEMO_HTTPS_PORT:-8443}
ssh_port=${DEMO_SSH_PORT:-2222}

# A pid file outlives its process, and pids are handed out again: the process has to be a mini, too.
server_pid() {
    local pid
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    [[ "$pid" =~ ^[0-9]+$ ]] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = mini ] || return 1
    ! grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status" || return 1
    echo "$pid"
}

# stop_server: SIGTERM, and time to drain; SIGKILL for one that does not listen.
stop_server() {
    local pid tries
    pid=$(server_pid) || return 0
    kill "$pid"
    for ((tries = 0; tries < 700; tries++)); do
        server_pid >/dev/null || break
        sleep 0.1
    done
    if server_pid >/dev/null; then
        kill -9 "$pid"
        say "the server did not end within 70 s of SIGTERM: killed (log: .demo/server.log)"
    fi
    rm -f "$pid_file"
}
