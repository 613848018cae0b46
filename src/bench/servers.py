"""mini and OpenSSH, each as a server of our own with a client configuration beside it."""

import os

from machine import accepts, end, free_port, run, wait_until


class SshDoor:
    """How a client reaches a server: its own key and known hosts, nothing of the caller's."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.key = folder / "key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key])
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"""Host *
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile {self.key}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking accept-new
    LogLevel ERROR
"""
        )

    def ssh(self, *options):
        return ["ssh", "-F", self.config, *options, "bench"]

    def git(self):
        """The environment in which git uses this door."""
        return dict(quiet_git(), GIT_SSH_COMMAND=f"ssh -F '{self.config}'")

    def master(self, part):
        """A connection that stays; returns the ssh command that uses it."""
        path = self.folder / "m"
        part.start(self.ssh("-M", "-S", path, "-N"), self.folder / "master.log")
        wait_until(path.exists, "the SSH master connection")
        return self.ssh("-S", path)


def quiet_git():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return dict(
        kept,
        GIT_CONFIG_GLOBAL="/dev/null",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_AUTHOR_NAME="bench",
        GIT_AUTHOR_EMAIL="bench@localhost",
        GIT_COMMITTER_NAME="bench",
        GIT_COMMITTER_EMAIL="bench@localhost",
    )


def of_the_unit(checkout):
    """What systemd adds to the environment of the installed server."""
    unit = checkout / "ansible" / "roles" / "mini" / "files" / "mini.service"
    lines = [line.removeprefix("Environment=") for line in unit.read_text().splitlines() if line.startswith("Environment=")]
    return dict(line.split("=", 1) for line in lines)


class Mini:
    """A server with its defaults, in the environment that the unit gives it, its data in the folder of the part."""

    def __init__(self, part, docker):
        self.part = part
        self.docker = docker
        self.folder = part.folder / "mini"
        self.folder.mkdir()
        self.http = free_port()
        self.https = free_port()
        self.door = SshDoor(self.folder, free_port())
        self.data = self.folder / "data"
        part.ends.callback(self._remove)
        self.start()

    def start(self):
        log = self.folder / "server.log"
        nothing = self.folder / "mini.toml"
        nothing.touch()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MINI_")}
        environment |= of_the_unit(self.part.bench.checkout)
        if os.environ.get("MINI_LOG"):
            environment["MINI_LOG"] = os.environ["MINI_LOG"]
        words = ["server", "--dev", "--config", nothing, "--data-dir", self.data, "--authorized-key", f"{self.door.key}.pub"]
        words += ["--ssh-listen", f"127.0.0.1:{self.door.port}", "--http-listen", f"127.0.0.1:{self.http}"]
        words += ["--https-listen", f"127.0.0.1:{self.https}"]
        self.process = self.part.serve([self.part.bench.mini, *words], log, self.http, "mini", env=environment)
        wait_until(lambda: accepts(self.door.port), "the SSH door of mini")

    def restart(self):
        end(self.process)
        self.start()

    def command(self, *words):
        return run([*self.door.ssh(), *words])

    def host(self, app):
        return f"{app}.localhost"

    def secure(self, app, name, identity):
        """Gives an app one more name, and a certificate for it."""
        self.command("domains:add", app, name)
        archive = self.folder / "certificate.tar"
        run(["tar", "-cf", archive, "-C", identity.folder, identity.certificate.name, identity.key.name])
        with archive.open("rb") as certificate:
            run([*self.door.ssh(), "certs:add", app], stdin=certificate)

    def remote(self, app):
        return f"ssh://bench/{app}"

    def instance(self):
        return (self.data / "instance").read_text().split()[0]

    def containers(self, app):
        return self.docker.containers(f"mini.instance={self.instance()}", f"mini.app={app}")

    def _remove(self):
        end(self.process)
        if (self.data / "instance").exists():
            self.docker.remove_all(f"mini.instance={self.instance()}")


class OpenSsh:
    """sshd at its defaults, without PAM, for a user with /bin/sh and an empty home."""

    def __init__(self, part):
        self.folder = part.folder / "sshd"
        home = self.folder / "home"
        home.mkdir(parents=True)
        self.door = SshDoor(self.folder, free_port())
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "host_key"])
        (self.folder / "passwd").write_text(_passwd(home))
        config = self.folder / "sshd_config"
        config.write_text(
            f"""Port {self.door.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.door.key}.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
"""
        )
        if not os.path.isdir("/run/sshd"):
            os.mkdir("/run/sshd", 0o755)
            part.ends.callback(os.rmdir, "/run/sshd")
        # In a mount name space of its own it finds another home and shell for the user, and the machine's stay as they are.
        script = 'mount --make-rprivate / && mount --bind "$1/passwd" /etc/passwd && exec "$2" -D -e -f "$1/sshd_config"'
        words = ["unshare", "-m", "sh", "-c", script, "sh", self.folder, "/usr/sbin/sshd"]
        self.process = part.serve(words, self.folder / "sshd.log", self.door.port, "sshd")

    def remote(self, path):
        return f"ssh://bench{path}"


def _passwd(home):
    lines = []
    for line in open("/etc/passwd"):
        fields = line.rstrip("\n").split(":")
        if fields[0] == "root":
            fields[5:] = [str(home), "/bin/sh"]
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"
