"""(e) Memory of the idle server with 1 and 100 deployed apps, and the time of `apps:list`."""

import time

from docker_api import Docker
from machine import get, memory_mib, run, timed_ms, wait_until
from contest import deploy
from report import Figure
from servers import Mini

APPS = 100
SAMPLES = 5
LISTS = 15


def measure(part, report):
    mini = Mini(part, Docker())
    report.section("Memory of the idle server")
    rows = [["no app, just started", *idle(mini)]]
    deploy(part, mini, "app-0")
    rows.append(["1 app deployed", *idle(mini)])
    one = lists(part, mini)
    begun = time.monotonic()
    for number in range(1, APPS):
        deploy_same(part, mini, number)
    spent = time.monotonic() - begun
    rows.append([f"{APPS} apps deployed, after these {APPS} pushes", *idle(mini)])
    after = rows[-1]
    mini.restart()
    last = mini.host(f"app-{APPS - 1}")
    wait_until(lambda: get("127.0.0.1", mini.http, last)[0] == 200, "the routes after a restart", 60)
    rows.append([f"{APPS} apps running, mini started again", *idle(mini)])
    report.table(["", "RSS, MiB", "PSS, MiB"], rows)
    report.add(f"Each app is a container of its own with a route of its own; {APPS - 1} pushes took {spent / (APPS - 1) * 1000:.0f} ms each.")
    many = lists(part, mini)
    report.table(
        ["`apps:list` with", "new connection, ms", "over a ControlMaster, ms"],
        [["1 app", *one], [f"{APPS} apps", *many]],
    )
    report.aim("RSS of the idle server with 1 app", rows[1][1].median, 30, " MiB")
    report.aim(f"RSS of the idle server with {APPS} apps, after their pushes", after[1].median, 30, " MiB")
    report.aim(f"RSS of the idle server with {APPS} apps, started again", rows[-1][1].median, 30, " MiB")


def deploy_same(part, mini, number):
    """The image of the first one: Docker has every layer of it."""
    run(["git", "push", "-q", mini.remote(f"app-{number}"), "main"], cwd=part.folder / "app-app-0", env=mini.door.git())


def idle(mini):
    """RSS and PSS over some seconds in which nothing is asked of it."""
    time.sleep(3)
    samples = []
    for _ in range(SAMPLES):
        samples.append(memory_mib(mini.process.pid))
        time.sleep(0.5)
    return [Figure(values) for values in zip(*samples)]


def lists(part, mini):
    new = mini.door.ssh()
    kept = mini.door.ssh("-S", mini.door.folder / "m")
    if not (mini.door.folder / "m").exists():
        kept = mini.door.master(part)
    figures = []
    for command in (new, kept):
        run([*command, "apps:list"])
        figures.append(Figure([timed_ms([*command, "apps:list"]) for _ in range(LISTS)]))
    return figures
