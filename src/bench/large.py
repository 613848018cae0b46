"""(c) Pushing without a deploy: a large repository and a tiny one, beside OpenSSH and a local path."""

import random
import shutil
import subprocess

from docker_api import Docker
from machine import Failure, rounds, run, timed_ms
from report import Figure
from servers import Mini, OpenSsh, quiet_git

ROUNDS = {"large": 5, "tiny": 15}
COMMITS = 12_000
FILES = 300
# Part of the folder's name, so that a change here makes a new repository.
RECIPE = 1


def measure(part, report):
    mini = Mini(part, Docker())
    openssh = OpenSsh(part)
    sources = {"large": large_repository(part.bench.cache), "tiny": tiny_repository(part.folder)}
    size = run(["git", "count-objects", "-v"], cwd=sources["large"], env=quiet_git())
    facts = dict(line.split(": ") for line in size.splitlines())
    report.section("git push of a tag, without a deploy")
    report.add(f"The large repository: {COMMITS:,} commits, {int(facts['in-pack']):,} objects, {int(facts['size-pack']) / 1024:.0f} MiB packed. ms.")

    bare = part.folder / "bare"

    def local(size):
        path = bare / f"local-{size}.git"
        return push(sources[size], path, quiet_git(), path)

    def over_openssh(size):
        path = bare / f"openssh-{size}.git"
        return push(sources[size], path, openssh.door.git(), openssh.remote(path))

    def over_mini(size):
        mini.command("apps:create", f"{size}-app")
        try:
            return push(sources[size], None, mini.door.git(), mini.remote(f"{size}-app"))
        finally:
            mini.command("apps:destroy", f"{size}-app", "--force")

    figures = {}
    for size, count in ROUNDS.items():
        contestants = {"local": local, "openssh": over_openssh, "mini": over_mini}
        values = rounds(count, {name: lambda _, go=go: go(size) for name, go in contestants.items()})
        figures[size] = {name: Figure(found, 0) for name, found in values.items()}
    texts = {"local": "a local path, no SSH", "openssh": "OpenSSH", "mini": "mini"}
    report.table(["to", "tiny: one commit", "large"], [[text, figures["tiny"][name], figures["large"][name]] for name, text in texts.items()])
    ratio = lambda size, peer: figures[size]["mini"].median / figures[size][peer].median
    report.aim("push of a large repository against OpenSSH", ratio("large", "openssh"), 0.9)
    report.aim("push of a large repository against a local path", ratio("large", "local"), 1.05)
    report.aim("push of one commit against OpenSSH", ratio("tiny", "openssh"), 0.2)


def push(source, fresh, environment, remote):
    """Milliseconds of pushing the tag into a repository that is empty."""
    if fresh:
        shutil.rmtree(fresh, ignore_errors=True)
        run(["git", "init", "-q", "--bare", fresh], env=quiet_git())
    return timed_ms(["git", "push", "-q", remote, "v1"], cwd=source, env=environment)


def tiny_repository(folder):
    path = folder / "tiny"
    path.mkdir()
    (path / "file").write_text("hello\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        run(["git", *words], cwd=path, env=quiet_git())
    return path


def large_repository(cache):
    """The same on every machine: a long history of small changes to text, and now and then a picture."""
    path = cache / f"large-{RECIPE}.git"
    if path.exists():
        return path
    making = cache / f"large-{RECIPE}.part"
    shutil.rmtree(making, ignore_errors=True)
    run(["git", "init", "-q", "--bare", making], env=quiet_git())
    process = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=making, env=quiet_git(), stdin=subprocess.PIPE)
    history(process.stdin.write)
    process.stdin.close()
    if process.wait() != 0:
        raise Failure("the large repository was not made", "git fast-import failed", "see its words above")
    run(["git", "repack", "-q", "-a", "-d", "-f", "--window=5"], cwd=making, env=quiet_git())
    making.rename(path)
    return path


def history(write):
    chance = random.Random(20261120)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 11))) for _ in range(4000)]
    line = lambda: " ".join(chance.choices(words, k=9))
    files = [[line() for _ in range(chance.randint(40, 400))] for _ in range(FILES)]

    def put(path, content):
        write(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")

    for number in range(COMMITS):
        message = line().encode()
        write(b"commit refs/heads/history\n" + f"committer bench <bench@localhost> {1700000000 + number * 60} +0000\n".encode())
        write(f"data {len(message)}\n".encode() + message + b"\n")
        changed = range(FILES) if number == 0 else chance.sample(range(FILES), chance.randint(1, 3))
        for index in changed:
            lines = files[index]
            for _ in range(chance.randint(1, 6)):
                lines[chance.randrange(len(lines))] = line()
            put(f"part{index % 17}/section{index % 5}/file{index}.txt", "\n".join(lines).encode())
        if number % 100 == 0:
            put(f"pictures/{number}.png", chance.randbytes(chance.randint(20_000, 150_000)))
    write(b"tag v1\nfrom refs/heads/history\ntagger bench <bench@localhost> 1800000000 +0000\ndata 2\nv1\n")
