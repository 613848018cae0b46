"""What the parts need of the machine: ports, processes, their CPU time and memory, and one place that cleans up."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Failure(Exception):
    """A measurement that could not be made, in the three lines all our scripts use."""

    def __init__(self, what, why, remedy):
        super().__init__(f"error: {what}\nwhy:   {why}\nnext:  {remedy}")


class Bench:
    """One run: its folder, and what has to be ended and removed after it."""

    def __init__(self, checkout, target):
        self.checkout = checkout
        self.target = target
        self.source = checkout / "src" / "bench"
        self.mini = target / "release" / "mini"
        self.cache = target / "bench"
        self.cache.mkdir(parents=True, exist_ok=True)
        self.ends = contextlib.ExitStack()

    def __enter__(self):
        # Short, because sockets of SSH and mini have paths of at most 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mini-bench-"))
        self.ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        # Readable for the workers of nginx and the like.
        self.folder.chmod(0o755)
        return self

    def __exit__(self, *_):
        self.ends.close()

    def part(self):
        """Ends what one part started."""
        return contextlib.closing(Part(self))

    def program(self, name):
        """One of the programs in app/, built once: `server`, the app all parts run, or `echo_load`."""
        binary = self.folder / name
        if not binary.exists():
            run(["cc", "-O2", "-static", "-pthread", "-s", "-o", binary, self.source / "app" / f"{name}.c"])
        return binary


class Part:
    """What one part of a run started; closing it ends all of that, the last first."""

    def __init__(self, bench):
        self.bench = bench
        self.ends = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        self.folder.chmod(0o755)

    def close(self):
        self.ends.close()

    def start(self, command, log, **options):
        """Starts a program that runs until the end of the part."""
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
        self.ends.callback(end, process)
        return process

    def serve(self, command, log, port, what, **options):
        """Starts a server and waits until it accepts connections."""
        process = self.start(command, log, **options)
        wait_until(lambda: process.poll() is not None or accepts(port), f"the door of {what}")
        if process.poll() is not None:
            raise Failure(f"{what} did not start", log.read_text(errors="replace").strip()[-2000:], " ".join(map(str, command)))
        return process


def end(process, patience=20):
    """SIGTERM, then SIGKILL for whatever is left in its session."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command, **options):
    """Runs a program to its end; what it says is shown only when it fails."""
    command = [str(word) for word in command]
    ran = subprocess.run(command, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if ran.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed", ran.stdout.strip()[-2000:] or f"exit status {ran.returncode}", "run it by hand")
    return ran.stdout


def free_port():
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def wait_until(condition, what, seconds=30.0, pause=0.02):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failure(f"{what} did not come within {seconds:.0f} s", "see the log above, if any", "run this part again")
        time.sleep(pause)


def accepts(port, host="127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def with_children(pid):
    """A process and all that it started."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += with_children(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of a process, of what it started, and of what it has started and outlived (proc(5), stat)."""
    ticks = 0
    for one in with_children(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    """RSS and PSS of a process and of what it started."""
    rss = pss = 0
    for one in with_children(pid):
        text = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
        rss += int(re.search(r"^Rss: +(\d+)", text, re.M)[1])
        pss += int(re.search(r"^Pss: +(\d+)", text, re.M)[1])
    return rss / 1024, pss / 1024


def own_mib(pid):
    """What a process and those it started hold for themselves: no pages of programs, which come and go by themselves."""
    texts = [pathlib.Path(f"/proc/{one}/smaps_rollup").read_text() for one in with_children(pid)]
    return sum(int(re.search(r"^Anonymous: +(\d+)", text, re.M)[1]) for text in texts) / 1024


def get(host, port, name, path="/", timeout=5.0):
    """One request on a connection of its own: status and body."""
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def timed_ms(command, **options):
    begun = time.monotonic()
    run(command, **options)
    return (time.monotonic() - begun) * 1000


def rounds(count, contestants):
    """Calls every contestant in every round, each round beginning with another; returns the values by name."""
    names = list(contestants)
    values = {name: [] for name in names}
    for number in range(count):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(contestants[name](number))
    return values
