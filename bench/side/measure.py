"""Processes of a side-by-side run, and what they cost."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

PROXY_CORE, LOAD_CORE = 0, 1
_TICKS = os.sysconf("SC_CLK_TCK")


def free_base(count, taken=()):
    """The first of `count` consecutive ports that nobody listens on."""
    for base in range(21000, 32000, 50):
        if base in taken:
            continue
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + count):
                    probe = held.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise SystemExit("no free ports")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Process:
    """A child on one core, with a log, ended with the run."""

    def __init__(self, command, core, port, log):
        self._log = pathlib.Path(log)
        with self._log.open("w") as out:
            self._child = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        deadline = time.monotonic() + 20
        while not listens(port):
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = self._log.read_text()[-2000:]
                raise SystemExit(f"{command[0]} does not listen on {port}:\n{said}")
            time.sleep(0.02)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _family(self):
        waiting, found = [self._child.pid], []
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = pathlib.Path(f"/proc/{pid}/task/{task}/children")
                    waiting += map(int, children.read_text().split())
        return set(found)

    def cpu_seconds(self):
        """User and system time of the process and its children so far."""
        ticks = 0
        for pid in self._family():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def resident_mib(self):
        """Proportional set size: shared pages count for each sharer's part."""
        total = 0
        for pid in self._family():
            with contextlib.suppress(OSError, AttributeError):
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"Pss:\s+(\d+)", text).group(1))
        return total / 1024


def certificates(folder):
    """A CA, and a server's and a client's pair under it, for the run alone."""
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def key(name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-out", folder / f"{name}.key")  # fmt: skip

    key("ca")
    openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-days", 2, "-subj", "/CN=bench ca",
            "-out", folder / "ca.crt")  # fmt: skip
    for name in ("server", "client"):
        key(name)
        openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={name}",
                "-out", folder / f"{name}.csr")  # fmt: skip
        names = folder / f"{name}.ext"
        names.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1,URI:spiffe://bench/{name}\n")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.crt",
                "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", 2, "-extfile", names,
                "-out", folder / f"{name}.crt")  # fmt: skip
        pair = (folder / f"{name}.crt").read_text() + (folder / f"{name}.key").read_text()
        (folder / f"{name}.pem").write_text(pair)
