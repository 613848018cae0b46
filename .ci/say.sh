# shellcheck shell=bash
# How our scripts talk, and how they become root. Sourced, never run.

# /usr/sbin is missing from the PATH of ordinary users on Debian, yet dockerd, iptables and mmdebstrap's parts live there.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# rustup's folder is in the PATH of a login shell only. Last, so that whoever chose another cargo keeps it.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

# One line per thing done.
say() { printf '    %s\n' "$*"; }

# A heading between the parts of a longer run.
step() { printf '==> %s\n' "$*"; }

# problem WHAT WHY NEXT: the three lines every failure of ours has.
problem() { printf 'error: %s\nwhy:   %s\nnext:  %s\n' "$1" "$2" "$3" >&2; }

# fail WHAT WHY NEXT: the same, and the script ends.
fail() {
    problem "$@"
    exit 1
}

# as_root COMMAND...: runs it as root, through sudo when we are somebody else. Call require_root first: a refusal in the
# middle would be lost where the output goes to a log.
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi; }

# require_root WHAT_FOR: fails unless as_root can work.
require_root() {
    [ "$(id -u)" -eq 0 ] || has sudo || fail "$1 needs root" "this user is not root, and sudo is not installed" \
        "run the same command as root, or install sudo"
}

has() { command -v "$1" >/dev/null 2>&1; }

# A one-line reason out of a longer log: the last line that is not empty.
last_line() { sed -e '/^[[:space:]]*$/d' "$1" 2>/dev/null | tail -n 1; }
