"""(b) A command over SSH: `apps:list` of mini beside `true` under OpenSSH."""

import time

from docker_api import Docker
from machine import cpu_seconds, rounds, run, timed_ms
from report import Figure
from servers import Mini, OpenSsh

ROUNDS = 25
CPU_BATCHES = 3
CPU_BATCH = 20
CURVE = ["-o", "KexAlgorithms=curve25519-sha256"]


def measure(part, report):
    mini = Mini(part, Docker())
    openssh = OpenSsh(part)
    servers = {"openssh": (openssh.process, openssh.door, ["true"]), "mini": (mini.process, mini.door, ["apps:list"])}
    ways = {"default": [], "curve25519": CURVE}
    commands = {}
    for name, (process, door, words) in servers.items():
        for way, options in ways.items():
            commands[name, way] = [*door.ssh(*options), *words]
        commands[name, "master"] = [*door.master(part), *words]
    # The first of each is not counted: the client notes the host key then.
    for command in commands.values():
        run(command)

    report.section("A command over SSH")
    times = rounds(ROUNDS, {key: lambda _, command=command: timed_ms(command) for key, command in commands.items()})
    cpu = rounds(CPU_BATCHES, {key: lambda _, key=key: batch(servers[key[0]][0].pid, commands[key]) for key in commands})
    texts = {"openssh": "OpenSSH, `true`", "mini": "mini, `apps:list`"}
    wall = {key: Figure(values) for key, values in times.items()}
    spent = {key: Figure(values) for key, values in cpu.items()}
    head = ["server", "new connection, defaults, ms", "server CPU, ms", "new connection, curve25519, ms", "server CPU, ms", "over a ControlMaster, ms", "server CPU, ms"]
    report.table(head, [[texts[name], *(f[name, way] for way in (*ways, "master") for f in (wall, spent))] for name in texts])
    ratio = lambda figures, way: figures["mini", way].median / figures["openssh", way].median
    report.aim("a command on a new connection against OpenSSH at its defaults", ratio(wall, "default"), 0.12)
    report.aim("the same, both with curve25519", ratio(wall, "curve25519"), 0.2)
    report.aim("a command over a ControlMaster", ratio(wall, "master"), 0.9)
    report.aim("server CPU of a command on a new connection", ratio(spent, "default"), 0.1)


def batch(server, command):
    """CPU milliseconds of the server per command; many at once, because the kernel counts in steps of 10."""
    before = cpu_seconds(server)
    for _ in range(CPU_BATCH):
        run(command)
    # What a session leaves behind ends a moment after it.
    time.sleep(0.3)
    return (cpu_seconds(server) - before) * 1000 / CPU_BATCH
