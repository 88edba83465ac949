"""wrk and h2load, and what they counted."""

import dataclasses
import re
import subprocess


@dataclasses.dataclass
class Counted:
    good: int
    bad: int
    text: str


def wrk(url, seconds=2, connections=16, *flags):
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *flags, url],
                          capture_output=True, text=True, timeout=seconds + 30, check=True)
    text = done.stdout
    total = int(re.search(r"(\d+) requests in", text).group(1))
    not_good = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed = int(not_good.group(1)) if not_good else 0
    errors = re.search(r"Socket errors: (.*)", text)
    broken = sum(map(int, re.findall(r"\d+", errors.group(1)))) if errors else 0
    return Counted(total - failed, failed + broken, text)


def h2load(url, requests, connections=4, streams=16, *flags, timeout=120):
    done = subprocess.run(["h2load", "-t1", f"-n{requests}", f"-c{connections}", f"-m{streams}",
                           *flags, url],
                          capture_output=True, text=True, timeout=timeout, check=True)
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    good = int(found.group(1))
    return Counted(good, requests - good, done.stdout)
