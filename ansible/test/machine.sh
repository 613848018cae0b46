# shellcheck shell=bash
# A machine to install mini on: a container with systemd, an SSH login, and its own Docker engine once that is installed. Sourced by
# ansible/test/run and .ci/package/try, from the root of the repository, after .ci/say.sh. Wants `$folder`, a folder for files of the
# test; gives `$machine`, the container, and `$address`, where it is.

# Which Debian it has: trixie or bookworm.
debian=${MACHINE_DEBIAN:-trixie}
image=mini-test-machine:$debian
machine=mini-test-machine-$$
# Set by git while it runs a hook; they would send our commits into another repository.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX

# until_true SECONDS WHAT COMMAND...: asks again and again.
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what did not come about" "\`$*\` still fails" "see the output above"
        sleep 0.5
    done
}

inside() { docker exec "$machine" "$@"; }

# Starts it, and waits until systemd is up.
start_machine() {
    # The apps' image as well, which is of trixie.
    .ci/base-images debian:trixie-slim "debian:$debian-slim"
    docker build --quiet --build-arg "DEBIAN=$debian" --tag "$image" ansible/test >/dev/null
    arguments=(--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
        --device-cgroup-rule 'a *:* rwm' --cgroupns private --tmpfs /run --tmpfs /run/lock -v /var/lib/docker -v /var/lib/containerd)
    # As much as this machine itself may do, and no more: some sandboxes lack a capability that --privileged asks for.
    bounds=$((16#$(awk '/^CapBnd/ { print $2 }' /proc/self/status)))
    names=(chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast
        net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice
        sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm
        block_suspend audit_read)
    for index in "${!names[@]}"; do
        if ((bounds >> index & 1)); then arguments+=(--cap-add "${names[index]}"); fi
    done
    # Today's systemd knows only the unified hierarchy; where the host has the old one, an empty unified one is good enough. Mounts
    # are shared as on a machine, else credentials do not reach services.
    # shellcheck disable=SC2016
    init='if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
        umount /sys/fs/cgroup/*; umount /sys/fs/cgroup; mount -o remount,rw /sys; mount -t cgroup2 none /sys/fs/cgroup
    fi; mount --make-rshared /; exec /sbin/init'
    docker run --detach --name "$machine" "${arguments[@]}" "$image" sh -c "$init" >/dev/null
    address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$machine")
    until_true 60 "systemd" inside systemctl is-active dbus.socket
}

# get: what the app of push_hello answers.
get() { curl --silent --show-error --max-time 10 --header 'Host: hello.apps.test' "http://$address/"; }
serves() { [ "$(get)" = "$1" ]; }

# push_hello: pushes an app with the key $folder/id and the SSH options $options; it answers "hello from inside".
# shellcheck disable=SC2154  # options and folder are the test's
push_hello() {
    mkdir "$folder/app"
    cat >"$folder/app/Dockerfile" <<'TEXT'
FROM debian:trixie-slim
COPY server.pl /
CMD ["perl", "/server.pl"]
TEXT
    cat >"$folder/app/server.pl" <<'TEXT'
use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $door = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 100, ReuseAddr => 1) or die $!;
while (1) {
    my $visitor = $door->accept or next;
    while (my $line = <$visitor>) { last if $line eq "\r\n" }
    print $visitor "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\nhello from inside\n";
    close $visitor;
}
TEXT
    docker save debian:trixie-slim | docker exec --interactive "$machine" docker load >/dev/null
    git -C "$folder/app" init --quiet --initial-branch main
    git -C "$folder/app" add .
    git -C "$folder/app" -c user.name=tester -c user.email=tester@example.com commit --quiet --message one
    GIT_SSH_COMMAND="ssh -i $folder/id $options" git -C "$folder/app" push "ssh://mini@$address:2222/hello" main >"$folder/push.log" 2>&1 ||
        { cat "$folder/push.log" >&2; fail "the push was refused" "$(last_line "$folder/push.log")" "its output is above"; }
}

# start_laptop: a second container, `$laptop`, with git, an SSH client that has the key $folder/id, and nothing else.
laptop=mini-test-laptop-$$
on_laptop() { docker exec --workdir /root "$laptop" "$@"; }
start_laptop() {
    docker build --quiet --tag mini-test-laptop - >/dev/null <<'TEXT'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client curl && rm -rf /var/lib/apt/lists/*
TEXT
    docker run --detach --init --name "$laptop" mini-test-laptop sleep infinity >/dev/null
    docker exec --interactive "$laptop" sh -c 'umask 077; mkdir -p /root/.ssh; cat >/root/.ssh/id_ed25519' <"$folder/id"
    on_laptop sh -c 'printf "Host *\n    StrictHostKeyChecking accept-new\n    BatchMode yes\n" >.ssh/config'
}
