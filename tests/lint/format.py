"""Checks that every source is as clang-format would write it.

  python3 tests/lint/format.py [--fix] [FILE...]

Run by ctest. Exits 77 (skipped) where clang-format is not installed.
"""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("lb", "health", "filters", "xds", "proxy", "bench", "tests", "deploy")


def main():
    fix = "--fix" in sys.argv[1:]
    named = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    tool = shutil.which("clang-format-19") or shutil.which("clang-format")
    if tool is None:
        print("clang-format is not installed")
        return 77
    # clang-format rewrites whatever it is given, Python too.
    foreign = [name for name in named if not name.endswith((".h", ".cc"))]
    if foreign:
        print("not C++:", *foreign)
        return 2
    files = [pathlib.Path(name) for name in named] or [
        file
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*"))
        if file.suffix in (".h", ".cc")
    ]
    if not files:
        return 0
    mode = ["-i"] if fix else ["--dry-run", "--Werror"]
    result = subprocess.run([tool, "--style=file", *mode, *map(str, files)],
                            check=False)
    if result.returncode and not fix:
        print("mend with: python3 tests/lint/format.py --fix [FILE...]")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
