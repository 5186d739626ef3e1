"""Machines of a lab, made of Linux namespaces: each has its own network, processes, home, /tmp/ray and sshd."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TOOLS = ("ip", "iptables", "unshare", "nsenter", "ssh", "ssh-keygen", "rsync", "/usr/sbin/sshd")
SUBNET = f"10.{77 + os.getpid() % 100}.{os.getpid() // 100 % 250}"  # two test runs beside each other do not meet

BOOT = """
set -e
mount -t tmpfs none /run && mkdir -p /run/sshd /tmp/ray
mount -t tmpfs none /tmp/ray
mount -t tmpfs none /dev/shm
mount --bind {folder}/passwd /etc/passwd
hostname {name}
ip link set lo up
while ! ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip address add {address}/24 dev eth0
ip link set eth0 up
ip route add default via {subnet}.254  # by which Ray finds the own address
exec /usr/sbin/sshd -D -e -f {folder}/sshd_config
"""
SSHD = """
HostKey {lab}/host_key
AuthorizedKeysFile {lab}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
MaxStartups 50
SetEnv PYTHONPATH={root} {env}
"""
# The memory that Ray would watch is the whole machine's, which others use too.
ENV = "OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0 RAY_memory_monitor_refresh_ms=0"


def missing() -> str | None:
    """Why no lab can be made here, or None."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"needs {', '.join(lacking)} (apt install iproute2 iptables openssh-server openssh-client rsync)"
    if os.geteuid() or run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        return "needs root and the right to make namespaces"
    made = run(["ip", "link", "add", "sbprobe", "type", "bridge"], check=False).returncode == 0
    run(["ip", "link", "del", "sbprobe"], check=False)
    return None if made else "needs the right to make a network bridge"


def run(command: Sequence[str], *, check: bool = True, timeout: float = 300, **more: Any) -> Any:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=timeout, **more)


class Host:
    """One machine: `ssh` runs a command there, `cut` drops its packets, `power_off` ends all its processes at once."""

    def __init__(self, lab: Path, number: int) -> None:
        self.name, self.address = f"h{number}", f"{SUBNET}.{number + 1}"
        self._lab, self.folder, self._link = lab, lab / self.name, f"sb{os.getpid()}h{number}"[-15:]
        self.home = self.folder / "home"
        (self.home / "sbir").mkdir(parents=True)
        for path in ("sweeps", "sbir", "deploy"):
            (self.home / "sbir" / path).symlink_to(ROOT / path)
        (self.home / "sbir/.venv").symlink_to(Path(sys.executable).parents[1])
        users = Path("/etc/passwd").read_text().splitlines(keepends=True)
        root = f"root:*:0:0:root:{self.home}:/bin/bash\n"
        (self.folder / "passwd").write_text("".join([root, *(line for line in users if not line.startswith("root:"))]))
        (self.folder / "sshd_config").write_text(SSHD.format(lab=lab, root=ROOT, env=ENV))
        self._process: subprocess.Popen[bytes] | None = None

    def power_on(self) -> None:
        boot = BOOT.format(folder=self.folder, name=self.name, address=self.address, subnet=SUBNET)
        spaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                ["unshare", *spaces, "sh", "-c", boot], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        time.sleep(0.2)  # until it has left our network
        inner = ["type", "veth", "peer", "name", "eth0", "netns", str(self._process.pid)]
        run(["ip", "link", "add", self._link, *inner])
        run(["ip", "link", "set", self._link, "master", bridge(), "up"])
        until(lambda: self.ssh("true", check=False).returncode == 0, 30, f"{self.name} takes no ssh")

    def power_off(self) -> None:
        """As when the plug is pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            run(["ip", "link", "del", self._link], check=False)

    def cut(self) -> None:
        """Drop every packet from and to this machine, as a broken switch does."""
        for chain in ("INPUT", "OUTPUT"):
            self._inside("iptables", "-A", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP")

    def mend(self) -> None:
        self._inside("iptables", "-F")

    def ssh_command(self, command: str) -> list[str]:
        quiet = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        return ["ssh", *quiet, "-o", "ConnectTimeout=5", "-i", str(self._lab / "key"), f"root@{self.address}", command]

    def ssh(self, command: str, **more: Any) -> Any:
        return run(self.ssh_command(command), **more)

    def processes(self, title: str) -> list[int]:
        """Its processes whose title holds a text, by their id on that machine."""
        found = self.ssh("ps -eo pid=,args=", check=False).stdout.splitlines()
        return [int(line.split()[0]) for line in found if title in line and "ps -eo" not in line]

    def kill(self, title: str, signal: str = "KILL") -> int:
        """Signal all processes with such a title; how many they were."""
        found = self.processes(title)
        if found:
            self.ssh(f"kill -{signal} {' '.join(map(str, found))}", check=False)
        return len(found)

    def _inside(self, *command: str) -> None:
        assert self._process is not None
        run(["nsenter", "--net", "--target", str(self._process.pid), *command])


class Lab:
    """Some hosts, and Ray on them by `ray up` with deploy/lab.yaml but for addresses, user, key and resources."""

    def __init__(self, folder: Path, hosts: int) -> None:
        self.folder = folder
        self.hosts = [Host(folder, number) for number in range(hosts)]
        self.head, *self.workers = self.hosts
        self.yaml = folder / "lab.yaml"
        self.shared = folder / "shared"  # what all machines see under one path
        self.shared.mkdir()
        self._write_yaml()

    def ray(self, *words: str, **more: Any) -> Any:
        """A `ray` command of the launching machine."""
        (self.folder / "launcher").mkdir(exist_ok=True)
        env = {**os.environ, "RAY_TMPDIR": str(self.folder / "launcher"), "RAY_USAGE_STATS_ENABLED": "0"}
        return run([str(Path(sys.executable).with_name("ray")), *words], env=env, **more)

    def up(self) -> None:
        self.ray("up", "-y", "--no-config-cache", str(self.yaml))

    def down(self) -> None:
        self.ray("down", "-y", str(self.yaml))

    def alive(self) -> int:
        """Nodes that the cluster counts as alive."""
        ask = "import ray; ray.init('auto', log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
        told = self.head.ssh(f'cd sbir && RAY_AUTH_MODE=disabled .venv/bin/python -c "{ask}"', check=False).stdout
        return int(told.split()[-1]) if told.split() else 0

    def join(self) -> Host:
        """One more machine, that nobody had written down: Ray is started there as on the other workers."""
        new = Host(self.folder, len(self.hosts))
        self.hosts.append(new)
        new.power_on()
        start = yaml.safe_load(self.yaml.read_text())["worker_start_ray_commands"][-1]
        new.ssh(f"cd sbir && export PATH=$PWD/.venv/bin:$PATH RAY_HEAD_IP={self.head.address} && {start}")
        return new

    def leave(self, host: Host) -> None:
        """Its plug is pulled for good."""
        host.power_off()
        self.hosts.remove(host)

    def _write_yaml(self) -> None:
        given = yaml.safe_load((ROOT / "deploy/lab.yaml").read_text())
        workers = [host.address for host in self.workers]
        given |= {"cluster_name": f"sbir-lab-{os.getpid()}", "max_workers": len(workers), "min_workers": len(workers)}
        given["provider"] |= {"head_ip": self.head.address, "worker_ips": workers}
        given["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.folder / "key")}
        small = " --num-cpus=1 --object-store-memory=200000000"
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            given[key] = [line.replace("ray start", f"ray start{small}") for line in given[key]]
        self.yaml.write_text(yaml.safe_dump(given))


@contextmanager
def lab(folder: Path, hosts: int = 2) -> Iterator[Lab]:
    for key in ("key", "host_key"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)])
    run(["ip", "link", "add", bridge(), "type", "bridge"])
    run(["ip", "address", "add", f"{SUBNET}.254/24", "dev", bridge()])
    run(["ip", "link", "set", bridge(), "up"])
    made = Lab(folder, hosts)
    try:
        for host in made.hosts:
            host.power_on()
        yield made
    finally:
        for host in made.hosts:
            host.power_off()
        run(["ip", "link", "del", bridge()])


def bridge() -> str:
    return f"sb{os.getpid()}"


def until(true: Any, seconds: float, otherwise: str) -> float:
    """Wait for a condition; the seconds it took. Fails with `otherwise`."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"after {seconds:.0f} s: {otherwise}")
        time.sleep(0.05)
    return time.monotonic() - started
