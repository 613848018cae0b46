"""What was measured, as Markdown: tables with medians, and for each aim whether it was reached."""

import datetime
import os
import platform
import statistics
import subprocess


class Figure:
    """Values of one thing, one per round. Shown as `median (least-most)`."""

    def __init__(self, values, digits=1):
        self.values = list(values)
        self.digits = digits

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        show = lambda value: f"{value:,.{self.digits}f}"
        if len(self.values) == 1:
            return show(self.median)
        return f"{show(self.median)} ({show(min(self.values))}-{show(max(self.values))})"


class Report:
    """Collects and prints as it goes, so that a run that is ended early has said what it knew."""

    def __init__(self, checkout):
        self.parts = []
        self.aims = []
        self.add(f"Measured {_now()} on {machine(checkout)}.")

    def add(self, text):
        self.parts.append(text)
        print(text + "\n", flush=True)

    def section(self, title):
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        self.add(f"## {title}\n\n{_now()}, load average {load}")

    def table(self, head, rows):
        lines = [head, ["---"] * len(head)] + [[str(cell) for cell in row] for row in rows]
        self.add("\n".join("| " + " | ".join(line) + " |" for line in lines))

    def aim(self, goal, found, limit, unit="x"):
        """`found` is to be at most `limit`."""
        self.aims.append([goal, f"{found:,.2f}{unit}", f"{limit:,.2f}{unit}", "reached" if found <= limit else "**not reached**"])

    def finish(self, path):
        if self.aims:
            self.section("Aims")
            self.table(["aim", "found", "at most", ""], self.aims)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(self.parts) + "\n")


def _now():
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")


def said(*command, cwd=None):
    """The first line a program says about itself."""
    ran = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = ran.stdout.strip().splitlines()
    return lines[0] if lines else ""


def machine(checkout):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = said("git", "rev-parse", "--short", "HEAD", cwd=checkout)
    if said("git", "status", "--porcelain", "--untracked-files=no", cwd=checkout):
        commit += " with changes"
    docker = said("docker", "version", "--format", "{{.Server.Version}}")
    driver = said("docker", "info", "--format", "{{.Driver}}")
    peers = [said("nginx", "-v").removeprefix("nginx version: "), said("haproxy", "-v").split("-")[0], said("ssh", "-V").split(",")[0]]
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, Docker {docker} ({driver}), "
        f"{', '.join(peers)}, {said('git', '--version')}; mini at {commit}"
    )
