"""The images and the Compose mesh, on a real Docker: `tests/run --containers`.

Needs a daemon that answers (DOCKER_HOST as usual), docker-compose, and binaries of a Debian 12.
"""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

import pytest
from support_control import data_plane, wait_for
from support_load import h2load

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "compose"
PROJECT = "remoratest"
FILE = ["docker-compose", "-p", PROJECT, "-f", str(FOLDER / "docker-compose.yml")]
URL = "http://localhost:8080"
MIB = 1 << 20

BOOTSTRAP = json.dumps({"admin": {"address": {"socket_address": {
    "address": "127.0.0.1", "port_value": 9901}}}})


def run(*command, timeout=600):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def docker_answers():
    return (os.environ.get("REMORA_CONTAINERS") and shutil.which("docker-compose")
            and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0)


pytestmark = pytest.mark.skipif(not (docker_answers() and data_plane("remora")),
                                reason="no containers asked for, or no Docker")


@pytest.fixture(scope="module")
def image():
    run(str(ROOT / "deploy" / "image"), "--prebuilt", "--", "--network", "host")


@pytest.fixture(scope="module")
def mesh(image):
    run(*FILE, "up", "-d", "--build")
    yield
    run(*FILE, "down", "-v")


def get(path="/"):
    try:
        with urllib.request.urlopen(URL + path, timeout=5) as reply:
            return reply.read().decode()
    except OSError:
        return None


def containers(service):
    return run(*FILE, "ps", "-q", service).split()


def state(container, what):
    return run("docker", "inspect", container, "--format", "{{.State.%s}}" % what)


def size(name):
    return int(run("docker", "image", "inspect", name, "--format", "{{.Size}}"))


def test_a_request_travels_the_mesh(mesh):
    wait_for(lambda: (get() or "").startswith("web on"), "web to answer")
    wait_for(lambda: (get("/api/") or "").startswith("api on"), "api to answer")
    for service in ("edge", "web", "api-sidecar"):
        container = containers(service)[0]
        wait_for(lambda: state(container, "Health.Status") == "healthy", f"{service} to be healthy")


def test_scaling_needs_no_edit_and_stopping_a_replica_loses_nothing(mesh):
    run(*FILE, "up", "-d", "--scale", "web=3")
    wait_for(lambda: len({get() for _ in range(30)}) == 3, "three to answer", 60)
    gone = containers("web")[-1]
    name = run("docker", "inspect", gone, "--format", "{{.Config.Hostname}}")
    stopping = subprocess.Popen(["docker", "stop", gone], stdout=subprocess.DEVNULL)
    good = 0
    while stopping.poll() is None or good < 20_000:
        counted = h2load(URL + "/", 5000, 4, 4, "--h1")
        assert counted.bad == 0, counted.text
        good += counted.good
    assert state(gone, "ExitCode") == "0"
    assert f"web on {name}\n" not in {get() for _ in range(30)}


def test_sizes(image, record_property):
    over = size("remora") - size("debian:bookworm-slim")
    record_property("remora_over_base_mib", over / MIB)
    record_property("minimal_mib", size("remora:minimal") / MIB)
    assert over < 48 * MIB
    assert size("remora:minimal") < 56 * MIB


@pytest.mark.parametrize("name", ["remora", "remora:minimal"])
def test_envoys_arguments_without_any_privilege(image, name):
    container = run("docker", "run", "-d", "--read-only", "--cap-drop", "ALL", "-e",
                    "REMORA_ADMIN=127.0.0.1:9901", name, "--config-yaml", BOOTSTRAP)
    try:
        wait_for(lambda: state(container, "Health.Status") == "healthy", "it to be healthy")
        top = run("docker", "top", container, "-eo", "pid,uid,args")
        assert top.splitlines()[1].split()[1] == "101"
        run("docker", "stop", container)
        assert state(container, "ExitCode") == "0"
    finally:
        run("docker", "rm", "-f", container)


def test_the_entry_point_takes_envoys_habits(image):
    def said(*flags, command=("envoy", "--version")):
        return run("docker", "run", "--rm", *flags, "remora", *command)

    assert "BoringSSL" in said()
    assert said("-u", "0", command=("id", "-u")) == "101"
    assert said("-u", "0", "-e", "ENVOY_UID=1234", command=("id", "-u")) == "1234"
    assert said("-u", "0", "-e", "ENVOY_UID=0", command=("id", "-u")) == "0"
    assert "unknown argument" not in said("-e", "loglevel=debug", command=(
        "--mode", "validate", "--config-yaml", BOOTSTRAP))
