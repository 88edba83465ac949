"""The story that deploy/quickstart tells, and what must come true in it."""

import argparse
import collections
import pathlib
import signal
import socket
import ssl
import sys
import time

from display import Display
from mesh import Failed, Mesh, WEB, WEIGHTS, get
from traffic import Traffic

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAME = 0.25  # seconds between two pictures
SAMPLE = 600  # answers that make a share worth judging
TOLERANCE = 0.05  # of all answers, that a share may be off


class Story:
    """Watches the traffic act by act; raises Failed when one does not end."""

    def __init__(self, mesh, traffic, display):
        self.mesh, self.traffic, self.display = mesh, traffic, display
        self.down = set()
        self.frames = collections.deque(maxlen=int(1 / FRAME) + 1)

    def frame(self, title):
        time.sleep(FRAME)
        for name in self.mesh.dead():
            raise Failed(f"{name} ended; see {self.mesh.folder}/{name}.out")
        answers, failed = self.traffic.counts()
        self.frames.append(answers)
        recent = {n: answers[n] - self.frames[0][n] for n in WEB}
        self.display.shares(title, recent, self.down, len(failed))

    def until(self, title, condition, seconds):
        """Draws until `condition` of the answers since now is true."""
        start, _ = self.traffic.counts()
        deadline = time.monotonic() + seconds
        while True:
            self.frame(title)
            answers, failed = self.traffic.counts()
            if failed:
                raise Failed(f"{len(failed)} requests failed, the first with: "
                             f"{failed[0]}")
            fresh = answers - start
            if condition(fresh):
                return fresh
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds} s: {title}; answers were "
                             f"{dict(fresh)}")

    def shares_settle(self, title, up, seconds=20):
        """Waits for SAMPLE answers, then judges the shares of the next SAMPLE,
        until they are by weight among `up` and nobody else answers."""
        deadline = time.monotonic() + seconds
        while True:
            fresh = self.until(title, lambda c: sum(c.values()) >= SAMPLE, 20)
            total = sum(fresh.values())
            weight = sum(WEIGHTS[n] for n in up)
            off = [n for n in fresh if n not in up] + [
                n for n in up
                if abs(fresh[n] / total - WEIGHTS[n] / weight) > TOLERANCE
            ]
            shares = ", ".join(f"{n} {fresh[n] / total:.0%}" for n in WEB)
            if not off:
                self.display.say(f"   ok  {title}: {shares}, none failed")
                return
            if time.monotonic() > deadline:
                raise Failed(f"{title}: {shares}")

    def tell(self):
        self.shares_settle("shares follow the weights 1 : 2 : 3", WEB)
        self.mesh.stop("web-3")
        self.down = {"web-3"}
        self.shares_settle("web-3 stopped, its share goes to the others",
                           ["web-1", "web-2"])
        self.mesh.start_nginx("web-3")
        self.down = set()
        self.shares_settle("web-3 started again, its share returns", WEB)


def check_identity(mesh, display):
    """Sidecars talk mTLS, and let nobody in who has no certificate."""
    status, body = get(mesh.url("edge", "/api"))
    if (status, body) != (200, "api\n"):
        raise Failed(f"service api through the gateway: {status} {body}")
    status, body = get(mesh.url("web-to-api"))
    if (status, body) != (200, "api\n"):
        raise Failed(f"service api as web calls it: {status} {body}")
    status, stats = get(mesh.url("web-admin",
                                 "/stats?filter=ssl.handshake&usedonly"))
    if status != 200 or "ssl.handshake" not in stats:
        raise Failed("the sidecar of web has seen no TLS handshake")
    if stranger_is_served(mesh.ports["web-sidecar"]):
        raise Failed("the sidecar of web served a client with no certificate")
    display.say("   ok  services are reached over mTLS; a client without a "
                "certificate is refused")


def stranger_is_served(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as plain:
            with context.wrap_socket(plain) as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
                return bool(tls.recv(1))
    except OSError:
        return False


def print_urls(mesh, display):
    for text, name, path in [
            ("the gateway, to service web", "edge", "/"),
            ("the gateway, to service api", "edge", "/api"),
            ("admin page of the gateway", "edge-admin", "/"),
            ("admin page of web's sidecar", "web-admin", "/"),
            ("what web's sidecar knows", "web-admin", "/clusters"),
            ("its configuration", "web-admin", "/config_dump"),
            ("admin page of api's sidecar", "api-admin", "/")]:
        display.say(f"  {mesh.url(name, path):<40} {text}")
    display.say(f"  {mesh.services_file}   edit and save: the mesh follows")


def stay(story, display):
    display.say()
    display.say("Try by hand:")
    print_urls(story.mesh, display)
    display.say()
    display.say("Ctrl-C stops everything.")
    while True:
        story.frame("answers in the last second")


def run(options, display):
    proxy = options.proxy or options.binary
    with Mesh(str(options.binary), str(proxy), options.folder) as mesh:
        display.say("== Starting the mesh: 4 nginx, control plane, 2 sidecars, "
                    "gateway")
        mesh.start()
        with Traffic(mesh.ports["edge"]) as traffic:
            story = Story(mesh, traffic, display)
            story.until("first answers", lambda c: sum(c.values()) > 0, 10)
            if options.started:
                display.say(f"== Traffic flows, {time.time() - options.started:.1f}"
                            " s after the start")
            check_identity(mesh, display)
            story.tell()
            if not options.check:
                stay(story, display)
    if options.check:
        display.say("All was observed; everything that was started has ended.")


def main():
    parser = argparse.ArgumentParser(prog="deploy/quickstart")
    parser.add_argument("--check", action="store_true",
                        help="unattended; exit 0 only if all was observed")
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--binary", type=pathlib.Path,
                        default=ROOT / "build" / "release" / "remora",
                        help="the remora to run")
    parser.add_argument("--proxy", type=pathlib.Path,
                        help="another proxy that takes Envoy's bootstrap, to "
                        "carry the traffic in its place")
    parser.add_argument("--folder", type=pathlib.Path,
                        default=ROOT / "build" / "quickstart",
                        help="for the files of this run; emptied first")
    options = parser.parse_args()
    display = Display()

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        run(options, display)
    except Failed as fault:
        display.say(f"FAILED {fault}")
        display.say(f"logs are in {options.folder}")
        return 1
    except KeyboardInterrupt:
        display.say("stopped")
        return 130 if options.check else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
