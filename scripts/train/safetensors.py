"""Reads and writes .safetensors files: 8 bytes of header length, a JSON header,
then the tensors' bytes one after the other."""

import json
import struct

import numpy as np

KINDS = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def write(path, tensors, kind="F16"):
    """`tensors`: {name: array}. Names are sorted, so equal weights give equal files."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(tensors):
        values = np.array(tensors[name], np.float32)
        values[np.abs(values) < 1e-30] = 0  # denormals slow some processors down
        blob = values.astype(KINDS[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape),
                        "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    """{name: array} in the stored precision."""
    with open(path, "rb") as file:
        raw = file.read()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    body = raw[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = np.frombuffer(body[begin:end], KINDS[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors
