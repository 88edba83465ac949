"""The rows of a side-by-side run: which listener, which load.

A load is closed-loop by wrk or h2load, pinned beside the upstream, and returns
what the generator counted. Anything but whole 2xx answers makes the row void:
a proxy that fails is not fast.
"""
import dataclasses
import re
import subprocess


@dataclasses.dataclass
class Counted:
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    listener: str
    title: str
    path: str
    connections: int
    streams: int = 0  # a connection; 0: HTTP/1.1 by wrk
    close: bool = False  # a new connection for each request

    @property
    def secure(self):
        return self.listener in ("tls", "h2tls")


SMALL, LARGE = "/small", "/large"
ROWS = {
    row.name: row
    for row in (
        Row("h1", "http", "HTTP/1.1 keep-alive, 64 B", SMALL, 64),
        Row("h1_64k", "http", "HTTP/1.1 keep-alive, 64 KiB", LARGE, 32),
        Row("h1_close", "http", "HTTP/1.1, a new connection each", SMALL, 32, close=True),
        Row("h2", "h2", "HTTP/2 in the clear, 8 x 32 streams", SMALL, 8, streams=32),
        Row("tcp", "tcp", "TCP, 64 B", SMALL, 64),
        Row("tcp_64k", "tcp", "TCP, 64 KiB", LARGE, 32),
        Row("tls", "tls", "TLS 1.3 keep-alive, 64 B", SMALL, 64),
        Row("tls_64k", "tls", "TLS 1.3 keep-alive, 64 KiB", LARGE, 32),
        Row("tls_new", "tls", "TLS 1.3, a full handshake each", SMALL, 16, close=True),
        Row("h2tls", "h2tls", "HTTP/2 over TLS, 8 x 32 streams", SMALL, 8, streams=32),
        Row("pair", "pair", "sidecar pair, mTLS between, 64 B", SMALL, 64),
    )
}

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def _time(text):
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * _MILLISECONDS[unit]


def _number(pattern, text, default=0):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else default


def _wrk(row, url, seconds):
    command = ["wrk", "-t1", f"-c{row.connections}", f"-d{seconds}s", "--latency"]
    if row.close:
        command += ["-H", "Connection: close"]
    text = subprocess.run([*command, url], capture_output=True, text=True).stdout
    errors = re.search(r"Socket errors: (.*)", text)
    failed = _number(r"Non-2xx or 3xx responses: (\d+)", text)
    if errors:
        failed += sum(int(n) for n in re.findall(r"\d+", errors.group(1)))
    quantiles = dict(re.findall(r"(?m)^\s+(\d+)%\s+([\d.]+[a-z]+)$", text))
    return Counted(
        requests=int(_number(r"(\d+) requests in", text)),
        per_second=_number(r"Requests/sec:\s+([\d.]+)", text),
        p50_ms=_time(quantiles.get("50", "0ms")),
        p99_ms=_time(quantiles.get("99", "0ms")),
        failed=int(failed),
    )


def _h2load(row, url, seconds):
    command = ["h2load", "-t1", f"-c{row.connections}", f"-m{row.streams}", f"-D{seconds}"]
    text = subprocess.run(
        [*command, "--warm-up-time=0", url], capture_output=True, text=True
    ).stdout
    good = _number(r"status codes: (\d+) 2xx", text)
    done = _number(r"(\d+) total", text)
    mean = re.search(r"(?m)^time for request:\s+\S+\s+\S+\s+(\S+)", text)
    return Counted(
        requests=int(good),
        per_second=_number(r"finished in [^,]*, ([\d.]+) req/s", text),
        p50_ms=_time(mean.group(1)) if mean else 0,
        p99_ms=0,
        # What is under way when the time is up is neither.
        failed=int(
            _number(r"(\d+) failed", text)
            + sum(int(n) for n in re.findall(r"(\d+) [345]xx", text))
            + (0 if done else 1)
        ),
    )


def run(row, port, seconds):
    url = f"{'https' if row.secure else 'http'}://127.0.0.1:{port}{row.path}"
    return (_h2load if row.streams else _wrk)(row, url, seconds)


def delivers(row, port, upstream):
    """Whether the proxy hands on the upstream's own bytes."""

    def get(url, *flags):
        command = ["curl", "-sk", "--noproxy", "*", "--max-time", "10", *flags, url]
        return subprocess.run(command, capture_output=True).stdout

    version = "--http1.1"
    if row.streams:
        version = "--http2" if row.secure else "--http2-prior-knowledge"
    scheme = "https" if row.secure else "http"
    expected = get(f"http://127.0.0.1:{upstream}{row.path}")
    return expected and get(f"{scheme}://127.0.0.1:{port}{row.path}", version) == expected
