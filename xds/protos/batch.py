"""Groups generated .pb.cc files into few translation units.

  batch.py GEN LIST SUFFIX OUT           SUFFIX: .pb.cc or .grpc.pb.cc

protobuf's headers take most of the time of compiling a small .pb.cc, so each
file written to OUT includes several of them. Two file-local names recur in all
of them and are told apart by a macro.
"""

import pathlib
import sys

BATCH_BYTES = {".pb.cc": 700_000, ".grpc.pb.cc": 120_000}
LOCAL_NAMES = ["schemas", "file_default_instances"]


def batches_of(gen, names, limit):
    batch, size = [], 0
    for name in names:
        bytes_ = (gen / name).stat().st_size
        if batch and size + bytes_ > limit:
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += bytes_
    yield batch


def text_of(batch):
    for index, name in enumerate(batch):
        for local in LOCAL_NAMES:
            yield f"#define {local} {local}_{index}\n"
        yield f'#include "{name}"\n'
        for local in LOCAL_NAMES:
            yield f"#undef {local}\n"


def main():
    gen, listing, out = (pathlib.Path(sys.argv[i]) for i in (1, 2, 4))
    suffix = sys.argv[3]
    out.mkdir(parents=True, exist_ok=True)
    names = [
        name.removesuffix(".proto") + suffix
        for name in listing.read_text().split()
    ]
    for index, batch in enumerate(
            batches_of(gen, names, BATCH_BYTES[suffix])):
        (out / f"batch_{index:02}.cc").write_text("".join(text_of(batch)))


if __name__ == "__main__":
    main()
