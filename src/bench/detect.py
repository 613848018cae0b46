"""(h) What a repository is: detection of small, large, deep and laden ones, beside `nixpacks plan`."""

import json
import os
import shutil

from machine import rounds, run, timed_ms
from report import Figure

ROUNDS = 5
# Of one program, so that the page cache and nothing else is warm.
TIMES = 5
MIB = 1 << 20


def measure(part, report):
    bench = part.bench
    detect = bench.target / "quick" / "examples" / "detect"
    nixpacks = os.environ.get("NIXPACKS") or shutil.which("nixpacks")
    report.section("What a repository is")
    if not nixpacks:
        report.add("nixpacks was not there: `cargo install nixpacks --locked`, or NIXPACKS=PROGRAM, to have it measured beside.")
    rows = []
    found = {}
    for name, make in REPOSITORIES.items():
        folder = bench.folder / "repositories" / name.replace(" ", "-").replace(",", "")
        folder.mkdir(parents=True)
        make(folder, bench.checkout)
        seen = json.loads(run([detect, folder, str(TIMES)]))
        programs = {"mini": [detect, folder]}
        if nixpacks:
            programs["nixpacks"] = [nixpacks, "plan", folder, "--format", "json"]
        contestants = {peer: lambda _, command=command: timed(command) for peer, command in programs.items()}
        times = rounds(ROUNDS, contestants)
        inside = Figure(seen["milliseconds"])
        peer = Figure(times["nixpacks"]) if nixpacks and None not in times["nixpacks"] else "fails" if nixpacks else "not there"
        rows.append([name, f"{seen['files']:,}", seen["language"] or seen["refused"], inside, Figure(times["mini"]), peer, f"{seen['reads']:,}", f"{seen['largest_bytes'] / MIB:.2f}"])
        found[name] = (inside, seen)
        shutil.rmtree(folder)
    head = ["repository", "files listed", "found", "detection, ms", "whole program, ms", "`nixpacks plan`, ms", "files read", "the largest read, MiB"]
    report.table(head, rows)
    for name, (inside, seen) in found.items():
        report.aim(f"{name}: detection", inside.median, 1000.0 if "100,000" in name else 20.0, " ms")
        report.aim(f"{name}: read of one file", seen["largest_bytes"] / MIB, 1.0, " MiB")


def timed(command):
    """Milliseconds; nothing for a program that cannot say what the repository is."""
    try:
        return timed_ms(command)
    except Exception:
        return None


def write(folder, path, text="x\n"):
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def package(**more):
    return json.dumps({"name": "shop", "private": True, "scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "15.0.0", "react": "19.0.0"}, **more})


def next_app(folder, _):
    write(folder, "package.json", package())
    write(folder, "package-lock.json", json.dumps({"lockfileVersion": 3, "packages": {f"node_modules/p{number}": {"version": "1.0.0", "integrity": "x" * 90} for number in range(900)}}))
    write(folder, "next.config.ts", "export default { output: 'standalone' };\n")
    for number in range(300):
        write(folder, f"src/app/part{number % 20}/view{number}.tsx", "export default function View() { return <p>hello</p>; }\n" * 20)


def django(folder, _):
    write(folder, "requirements.txt", "django==5.2\ngunicorn\npsycopg2\n")
    write(folder, "manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\nfrom django.core.management import execute_from_command_line\n")
    write(folder, "shop/settings.py", "STATIC_ROOT = 'static'\n")
    write(folder, "shop/wsgi.py", "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n")
    for number in range(200):
        write(folder, f"parts/part{number % 15}/models{number}.py", "from django.db import models\n" * 60)


def go_service(folder, _):
    write(folder, "go.mod", "module example.com/shop\n\ngo 1.26\n")
    write(folder, "go.sum", "example.com/x v1.0.0 h1:x\n" * 400)
    write(folder, "cmd/web/main.go", "package main\n\nfunc main() {}\n")
    for number in range(300):
        write(folder, f"internal/part{number % 20}/file{number}.go", "package part\n\nfunc F() {}\n" * 30)


def workspace(folder, _):
    write(folder, "package.json", json.dumps({"private": True, "packageManager": "pnpm@10.34.9", "scripts": {"build": "turbo run build"}}))
    write(folder, "pnpm-workspace.yaml", "packages:\n  - apps/*\n  - packages/*\n")
    write(folder, "pnpm-lock.yaml", "lockfileVersion: '9.0'\n" + "  p@1.0.0: {}\n" * 5000)
    write(folder, "turbo.json", "{}")
    write(folder, "apps/web/package.json", package(name="web", dependencies={"next": "15.0.0", "@shop/p1": "workspace:*"}))
    for number in range(40):
        write(folder, f"packages/p{number}/package.json", json.dumps({"name": f"@shop/p{number}", "scripts": {"build": "tsc"}}))
        for file in range(10):
            write(folder, f"packages/p{number}/src/f{file}.ts", "export const x = 1;\n" * 20)


def laden(folder, checkout):
    next_app(folder, checkout)
    for number in range(30_000):
        write(folder, f"node_modules/p{number % 900}/lib/file{number}.js")


def deep(folder, checkout):
    next_app(folder, checkout)
    for number in range(300):
        write(folder, "/".join(f"d{level}" for level in range(number % 60)) + f"/file{number}.ts")


def large_files(folder, checkout):
    next_app(folder, checkout)
    with open(folder / "package-lock.json", "w") as lock:
        lock.truncate(100 * MIB)
    for number in range(20):
        with open(folder / f"src/data{number}.js", "w") as data:
            data.truncate(5 * MIB)


def many(folder, kind):
    for number in range(100_000):
        place = folder / f"src/m{number % 40}/n{number // 40 % 50}"
        if number < 2000:
            place.mkdir(parents=True, exist_ok=True)
        file = place / f"file{number}.{kind}"
        # No detection looks into more of them, and empty ones are made in a tenth of the time.
        if number < 5000:
            file.write_text("value = 1\n")
        else:
            os.mknod(file)


def many_javascript(folder, checkout):
    next_app(folder, checkout)
    many(folder, "js")


def many_python(folder, _):
    write(folder, "requirements.txt", "flask\n")
    many(folder, "py")


def many_go(folder, _):
    write(folder, "go.mod", "module example.com/shop\n\ngo 1.26\n")
    many(folder, "go")


REPOSITORIES = {
    "a Next.js app": next_app,
    "a Django app": django,
    "a Go service": go_service,
    "a pnpm workspace": workspace,
    "30,000 files in node_modules": laden,
    "folders 60 deep": deep,
    "a lock file of 100 MiB and sources of 5 MiB": large_files,
    "100,000 files of JavaScript": many_javascript,
    "100,000 files of Python": many_python,
    "100,000 files of Go": many_go,
}
