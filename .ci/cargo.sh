# shellcheck shell=bash
# Running cargo: format, lints, and tests with their counts, with cargo-nextest or without it. Sourced by .ci/check and .ci/test.

tests_passed=0 tests_failed=0 tests_skipped=0

# add_counts LOG: adds up what cargo test or cargo nextest said at its end.
add_counts() {
    local counts
    counts=$(sed -e 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        # nextest: "     Summary [   4.1s] 12 tests run: 11 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
        /^ *Summary \[/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^failed/) failed += $(i - 1)
                if ($i ~ /^out/ && $(i - 1) == "timed") failed += $(i - 2)
                if ($i ~ /^skipped/) skipped += $(i - 1)
            }
        }
        # cargo test: "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
        /^test result: / {
            for (i = 4; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^failed/) failed += $(i - 1)
                if ($i ~ /^ignored/) skipped += $(i - 1)
            }
        }
        END { print passed + 0, failed + 0, skipped + 0 }')
    read -r passed failed skipped <<<"$counts"
    tests_passed=$((tests_passed + passed))
    tests_failed=$((tests_failed + failed))
    tests_skipped=$((tests_skipped + skipped))
}

# run_and_count LIMIT COMMAND...: runs it under a time limit, shows its output, counts, gives its exit status.
run_and_count() {
    local limit=$1 log status=0
    shift
    log=$(mktemp)
    timeout --kill-after=30 "$limit" "$@" 2>&1 </dev/null | tee "$log" || status=$?
    add_counts "$log"
    if [ "$status" -eq 124 ]; then
        problem "the tests were ended" "they did not finish within $limit" "look for the test named last above"
    fi
    rm -f "$log"
    return "$status"
}

has_nextest() { cargo nextest --version >/dev/null 2>&1; }

# The integration tests of the workspace that need no Docker, as arguments for cargo test.
tests_without_docker() {
    cargo metadata --format-version 1 --no-deps --locked |
        grep -oE '"kind":\["test"\],"crate_types":\["bin"\],"name":"[^"]+"' |
        sed -E 's/.*"name":"([^"]+)"/\1/' | grep -vE '^(docker|e2e)_' | sed 's/^/--test=/' || true
}

# format_and_lints: the two checks every run begins with.
format_and_lints() {
    step "format"
    # The fuzz targets are a workspace of their own.
    { cargo fmt --all --check && cargo fmt --manifest-path src/tests/fuzz/Cargo.toml --check; } || fail "the code is not formatted" "cargo fmt would change the lines above" \
        "run \`cargo fmt --all\`, for src/tests/fuzz in that folder"
    step "clippy"
    cargo clippy --workspace --all-targets --locked -- -D warnings ||
        fail "clippy is not content" "see above; warnings count as errors here" "change the code, or add an #[expect] with its reason"
}
