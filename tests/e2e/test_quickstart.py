"""The mesh of deploy/quickstart: weights, an outage without a failed request,
mTLS between services. Every process is a real one."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REMORA = os.environ.get("REMORA_BINARY", str(ROOT / "build/release/remora"))


def run_quickstart(binary, folder, *arguments):
    return subprocess.run(
        [sys.executable, "-B", str(ROOT / "deploy/demo/quickstart.py"),
         "--check", "--binary", str(binary), "--folder", str(folder),
         *arguments],
        capture_output=True, text=True, timeout=120, check=False)


def test_a_mesh_survives_the_loss_of_an_endpoint(tmp_path):
    done = run_quickstart(REMORA, tmp_path / "mesh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "mesh").exists()


def stock_envoy():
    found = importlib.util.find_spec("envoy")
    if found is None or not found.submodule_search_locations:
        return None
    binary = pathlib.Path(found.submodule_search_locations[0]) / "_bin/envoy"
    return binary if binary.exists() else None


@pytest.mark.skipif(stock_envoy() is None, reason="needs tests/run --peers")
def test_remora_control_drives_stock_envoys(tmp_path):
    # Run by its own program, so that the test does not lean on the proxy.
    control = os.environ.get("REMORA_CONTROL",
                             str(ROOT / "build/release/remora-control"))
    front = tmp_path / "front"
    front.write_text(f'#!/bin/sh\nshift\nexec "{control}" "$@"\n')
    front.chmod(0o755)
    done = run_quickstart(front, tmp_path / "mesh", "--proxy",
                          str(stock_envoy()))
    assert done.returncode == 0, done.stdout + done.stderr
