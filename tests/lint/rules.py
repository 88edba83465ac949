"""Checks the rules of the house that a compiler cannot.

  python3 tests/lint/rules.py [--root DIR]

Run by ctest. Fails with one line per breach: an include against the direction
of the rooms, a library outside the rooms that may use it, a lock on the data
plane, a file or function that is too long, a name or header guard that is
wrong, a mark of unfinished work.
"""

import argparse
import pathlib
import re
import sys

ROOMS = ("lb", "health", "filters", "xds", "proxy", "bench", "tests")
FILE_LINES = 600
FUNCTION_LINES = 60

# Which rooms a room may include; a longer path wins over a shorter one.
MAY_INCLUDE = {
    "lb": ("lb",),
    "health": ("lb", "health"),
    "filters": ("filters",),
    "xds": ("lb", "health", "filters", "xds"),
    "xds/protos": ("xds/protos",),
    "xds/control": ("xds/control",),
    "proxy": ("lb", "health", "filters", "xds", "proxy"),
    "bench": ROOMS,
    "tests": ROOMS,
}
# Inside proxy: each may include itself and what stands before it.
PROXY_ORDER = ("base", "net", "codec", "upstream", "grpc", "stream", "main")

# Which rooms may include a library's headers.
LIBRARIES = [
    (re.compile(r"^uv\.h$"), ("proxy", "xds/control", "bench", "tests")),
    (re.compile(r"^(grpcpp|grpc)/(?!health)|\.grpc\.pb\.h$"),
     ("xds/control", "tests")),
    (re.compile(r"^nghttp2/"), ("proxy/codec", "bench", "tests")),
    (re.compile(r"^ares"), ("proxy/main", "tests")),
    (re.compile(r"^curl/"), ("xds/control", "tests")),
    (re.compile(r"^openssl/"), ("filters", "xds", "proxy", "bench", "tests")),
    (re.compile(r"^yaml-cpp/"), ("xds", "xds/control", "tests")),
    (re.compile(r"^(gtest|gmock)/"), ("tests",)),
    (re.compile(r"^benchmark/"), ("bench",)),
]
LOCK = re.compile(
    r"\bstd::(recursive_|shared_|timed_)?mutex\b|\babsl::Mutex\b"
    r"|\bstd::condition_variable|\bpthread_mutex_")
LOCKS_ALLOWED = ("proxy/base/mailbox.", "proxy/base/log.", "xds/control/", "tests/", "bench/")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
# Names of Envoy's API keep their spelling.
API_NAMES = ("HttpConnectionManager",)
BAD_NAMES = re.compile(r"\b(class|struct)\s+(?:\[\[\w+\]\]\s+)?"
                       r"(\w*(?:Impl|Base|Manager|Util|Utils|Helper))\b"
                       r"\s*(?:final)?\s*[:{]")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


class Breaches:
    def __init__(self):
        self.lines = []

    def add(self, path, line, text):
        self.lines.append(f"{path}:{line}: {text}")


def room_of(path, rooms):
    """The longest of `rooms` that holds `path`, or None."""
    held = [r for r in rooms if path == r or path.startswith(r + "/")]
    return max(held, key=len, default=None)


# Messages of the xDS project itself, which share their first folder's name with
# a room.
FOREIGN_XDS = re.compile(r"^xds/(annotations|core|data|service|type)/.*\.pb\.h$")


def check_own_include(path, line, target, breaches):
    if FOREIGN_XDS.match(target):
        return
    room = room_of(path, MAY_INCLUDE)
    target_room = room_of(target, MAY_INCLUDE)
    if room is None or target_room is None:
        return
    allowed = MAY_INCLUDE[room]
    if not (target_room in allowed or target_room == room
            or room in ("tests", "bench")
            or (target_room == "xds/protos" and room == "xds")):
        breaches.add(path, line, f"{room} may not include {target}")
    own, other = proxy_layer(path), proxy_layer(target)
    if own is not None and other is not None and other > own:
        breaches.add(
            path, line, f"proxy/{PROXY_ORDER[own]} may not include {target}: "
            "the order is " + " <- ".join(PROXY_ORDER))


def proxy_layer(path):
    parts = path.split("/")
    if parts[0] != "proxy" or len(parts) < 3 or parts[1] not in PROXY_ORDER:
        return None
    return PROXY_ORDER.index(parts[1])


def check_library(path, line, target, breaches):
    for pattern, allowed in LIBRARIES:
        if pattern.search(target):
            room = room_of(path, MAY_INCLUDE)
            if room == "xds/control" and room not in allowed:
                if not target.startswith("openssl/"):
                    breaches.add(path, line, f"{target} has no place here")
            elif not any(path.startswith(a + "/") for a in allowed):
                breaches.add(path, line, f"{target} belongs in "
                             f"{', '.join(allowed)} only")


def check_lines(path, lines, breaches):
    if len(lines) > FILE_LINES:
        breaches.add(path, len(lines), f"over {FILE_LINES} lines")
    for number, text in enumerate(lines, 1):
        include = INCLUDE.match(text)
        if include:
            check_own_include(path, number, include[2], breaches)
            check_library(path, number, include[2], breaches)
            continue
        code = text.split("//")[0]
        if LOCK.search(code) and not path.startswith(LOCKS_ALLOWED):
            breaches.add(path, number, "a lock outside proxy/base/mailbox")
        if UNFINISHED.search(text):
            breaches.add(path, number, "a mark of unfinished work")
        name = BAD_NAMES.search(code)
        if name and name[2] not in API_NAMES:
            breaches.add(path, number, f"{name[2]} does not say what it is")


def check_guard(path, lines, breaches):
    guard = "REMORA_" + re.sub(r"[/.]", "_", path).upper() + "_"
    if f"#ifndef {guard}" not in lines or f"#define {guard}" not in lines:
        breaches.add(path, 1, f"the header guard is to be {guard}")


def blank_literals(text):
    """`text` without strings, characters and comments; newlines stay."""
    pattern = re.compile(
        r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|//[^\n]*|/\*.*?\*/", re.S)
    return pattern.sub(lambda m: "\n" * m[0].count("\n"), text)


NOT_FUNCTION = re.compile(
    r"^\s*(?:namespace|class|struct|enum|union|extern|using|typedef)\b|=\s*$")


def check_functions(path, text, breaches):
    """Bodies at namespace or class scope that are too long.

    A brace opens a function when what stands before it since the last `;`,
    `{` or `}` has a parameter list and is neither a type nor an initialiser.
    """
    depth_of_function = None
    depth, line, start_line, head = 0, 1, 0, []
    for char in blank_literals(text):
        if char == "\n":
            line += 1
        if char == "{":
            before = "".join(head).strip()
            if (depth_of_function is None and "(" in before
                    and not NOT_FUNCTION.search(before)):
                depth_of_function, start_line = depth, line
            depth += 1
            head = []
        elif char == "}":
            depth -= 1
            if depth_of_function == depth:
                length = line - start_line + 1
                # Tests tell a story in order and may be longer.
                limit = FUNCTION_LINES * (2 if path.startswith("tests/") else 1)
                if length > limit:
                    breaches.add(path, start_line,
                                 f"a function of {length} lines")
                depth_of_function = None
            head = []
        elif char == ";":
            head = []
        elif not (char == "#" and not "".join(head).strip()):
            head.append(char)


def check_slow_headers(root, breaches):
    """A generated header is slow to compile. Headers inside xds may include
    one; whoever else includes such a header, directly or not, is told."""
    includes = {}
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.h")):
            path = file.relative_to(root).as_posix()
            includes[path] = [
                (number, match[2])
                for number, text in enumerate(file.read_text().splitlines(), 1)
                if (match := INCLUDE.match(text))
            ]

    def reaches(path, seen):
        for _, target in includes.get(path, ()):
            if is_slow(target):
                return True
            if target in includes and target not in seen:
                seen.add(target)
                if reaches(target, seen):
                    return True
        return False

    for path, lines in includes.items():
        if path.startswith(("xds/", "tests/")):
            continue
        for number, target in lines:
            if is_slow(target) or (target.startswith("xds/")
                                   and reaches(target, {target})):
                breaches.add(path, number, f"{target} brings a generated header,"
                             " which is slow to compile: .cc files only")


def is_slow(target):
    # The well-known types are small.
    return target.endswith(".pb.h") and not target.startswith("google/protobuf/")


def check_name(path, breaches):
    if not re.fullmatch(r"[a-z0-9_/]+\.(h|cc)", path):
        breaches.add(path, 1, "file names are snake_case")


def check_tree(root):
    breaches = Breaches()
    for room in ROOMS:
        for file in sorted((root / room).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            path = file.relative_to(root).as_posix()
            text = file.read_text(encoding="utf-8")
            lines = text.splitlines()
            check_name(path, breaches)
            check_lines(path, lines, breaches)
            check_functions(path, text, breaches)
            if file.suffix == ".h":
                check_guard(path, lines, breaches)
    check_slow_headers(root, breaches)
    return breaches.lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    lines = check_tree(parser.parse_args().root)
    for line in lines:
        print(line)
    print(f"{len(lines)} breaches")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
