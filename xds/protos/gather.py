"""Makes descriptor sets of the Envoy API from the package xds-protos.

  gather.py SITE_PACKAGES OUT

Each *_pb2.py of the package holds one serialized FileDescriptorProto, found
with `ast`: nothing of it is imported or run. Written to OUT:
  envoy.binpb     the whole v3 API with what it imports, for reflection
  codegen.binpb   the same with field names that C++20 accepts, for protoc
  compiled.list   the files to compile to C++ (compiled.txt and their imports)
  services.list   the files to generate gRPC stubs for
"""

import ast
import fnmatch
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

HERE = pathlib.Path(__file__).resolve().parent
FIELD = descriptor_pb2.FieldDescriptorProto
ROOTS = [
    "envoy/*/v3/*.proto", "envoy/annotations/*.proto", "udpa/*.proto",
    "xds/*.proto", "validate/*.proto", "google/rpc/*.proto",
    "opentelemetry/*.proto", "grpc/health/v1/*.proto"
]
WELL_KNOWN = [
    "any", "api", "descriptor", "duration", "empty", "field_mask",
    "source_context", "struct", "timestamp", "type", "wrappers"
]
CXX20_KEYWORDS = {
    "char8_t", "concept", "consteval", "constinit", "co_await", "co_return",
    "co_yield", "requires"
}


def lines_of(name):
    text = (HERE / name).read_text()
    return [l for l in text.splitlines() if l and not l.startswith("#")]


def read_package(folder):
    """All FileDescriptorProtos of the package, by file name."""
    files = {}
    for path in sorted(pathlib.Path(folder).rglob("*_pb2.py")):
        if "google/protobuf" in path.as_posix():
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if (isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "AddSerializedFile"):
                file = descriptor_pb2.FileDescriptorProto.FromString(
                    node.args[0].value)
                files[file.name] = file
    return files


def read_sources():
    """The well-known types (protoc's own) and the protos beside this file."""
    own = [p.relative_to(HERE).as_posix() for p in HERE.rglob("*.proto")]
    known = [f"google/protobuf/{name}.proto" for name in WELL_KNOWN]
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{HERE}", "-I/usr/include",
                        "--include_imports", "-o", out.name] + own + known,
                       check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read()).file
    return {file.name: file for file in files}


class Additions:
    """Adds the items of additions.txt to descriptors."""

    def __init__(self, files):
        self.files = files
        self.types = {}  # full name -> (descriptor, file)
        for file in files.values():
            for message in file.message_type:
                self._index(message, file.package, file)
            for enum in file.enum_type:
                self.types[f"{file.package}.{enum.name}"] = (enum, file)

    def _index(self, message, scope, file):
        name = f"{scope}.{message.name}"
        self.types[name] = (message, file)
        for nested in message.nested_type:
            self._index(nested, name, file)
        for enum in message.enum_type:
            self.types[f"{name}.{enum.name}"] = (enum, file)

    def apply(self, lines):
        # Types first: fields refer to them.
        order = {"message": 0, "enum": 0, "value": 1, "oneof": 1, "drop": 1,
                 "field": 2}
        for line in sorted(lines, key=lambda l: order[l.split()[0]]):
            kind, *words = line.split()
            getattr(self, "_" + kind)(*words)

    def _new_type(self, name, file_name, list_name):
        file = self.files[file_name]
        scope, _, short = name.rpartition(".")
        if scope == file.package:
            items = getattr(file, list_name)
        else:
            parent = self.types[scope][0]
            items = getattr(parent, "nested_type"
                            if list_name == "message_type" else list_name)
        item = items.add(name=short)
        self.types[name] = (item, file)
        return item

    def _message(self, name, file_name, *flags):
        message = self._new_type(name, file_name, "message_type")
        if "map_entry" in flags:
            message.options.map_entry = True

    def _enum(self, name, file_name, *values):
        enum = self._new_type(name, file_name, "enum_type")
        for value in values:
            text, number = value.split("=")
            enum.value.add(name=text, number=int(number))

    def _value(self, name, value, number):
        self.types[name][0].value.add(name=value, number=int(number))

    def _drop(self, message_name, name):
        fields = self.types[message_name][0].field
        at = [field.name for field in fields].index(name)
        del fields[at]

    def _oneof(self, message, name, *flags):
        oneof = self.types[message][0].oneof_decl.add(name=name)
        for flag in flags:
            oneof.options.MergeFromString(
                bytes.fromhex(flag.removeprefix("options=")))

    def _field(self, message_name, label, type_name, name, number, *flags):
        message, file = self.types[message_name]
        field = message.field.add(name=name, number=int(number))
        field.json_name = json_name(name)
        field.label = FIELD.Label.Value("LABEL_" + label.upper())
        if "." in type_name:
            field.type_name = "." + type_name
            field.type = (FIELD.TYPE_ENUM
                          if "enum" in flags else FIELD.TYPE_MESSAGE)
            home = self.types[type_name][1].name
            if home != file.name and home not in file.dependency:
                file.dependency.append(home)
        else:
            field.type = FIELD.Type.Value("TYPE_" + type_name.upper())
        for flag in flags:
            if flag.startswith("options="):
                field.options.MergeFromString(bytes.fromhex(flag[8:]))
            elif flag.startswith("oneof="):
                names = [oneof.name for oneof in message.oneof_decl]
                field.oneof_index = names.index(flag[6:])
                group_oneof(message, field.oneof_index)


def group_oneof(message, index):
    """Moves the last field to the others of its oneof, as protoc demands."""
    fields = list(message.field)
    added = fields.pop()
    places = [
        at for at, field in enumerate(fields)
        if field.HasField("oneof_index") and field.oneof_index == index
    ]
    fields.insert(places[-1] + 1 if places else len(fields), added)
    copies = [FIELD.FromString(f.SerializeToString()) for f in fields]
    del message.field[:]
    message.field.extend(copies)


def json_name(name):
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def rename_keywords(message):
    for field in message.field:
        if field.name in CXX20_KEYWORDS:
            field.json_name = field.json_name or field.name
            field.name += "_"
    for nested in message.nested_type:
        rename_keywords(nested)


def closure(files, roots):
    """The named files and what they import, imports first."""
    done = {}

    def visit(name):
        if name not in done:
            done[name] = None  # Imports have no cycles; guards all the same.
            for imported in files[name].dependency:
                visit(imported)
            done[name] = files[name]
            done[name] = done.pop(name)

    for name in roots:
        visit(name)
    return done


def matching(files, patterns):
    return sorted({
        name
        for pattern in patterns
        for name in fnmatch.filter(files, pattern)
    })


def write_set(path, files):
    path.write_bytes(
        descriptor_pb2.FileDescriptorSet(
            file=files.values()).SerializeToString(deterministic=True))


def main():
    package, out = sys.argv[1], pathlib.Path(sys.argv[2])
    files = read_package(package)
    files.update(read_sources())
    Additions(files).apply(lines_of("additions.txt"))
    known = [f"google/protobuf/{name}.proto" for name in WELL_KNOWN]
    whole = closure(files, known + matching(files, ROOTS))
    write_set(out / "envoy.binpb", whole)

    for file in whole.values():
        for message in file.message_type:
            rename_keywords(message)
    write_set(out / "codegen.binpb", whole)

    compiled = closure(files, matching(whole, lines_of("compiled.txt")))
    names = [n for n in compiled if not n.startswith("google/protobuf/")]
    (out / "compiled.list").write_text("\n".join(names) + "\n")
    services = lines_of("services.txt")
    assert set(services) <= set(names), set(services) - set(names)
    (out / "services.list").write_text("\n".join(services) + "\n")
    print(f"{len(whole)} files of the API, {len(names)} of them compiled")


if __name__ == "__main__":
    main()
