"""Reads the protobuf format by Prometheus's own schema, which Debian ships and `protoc` compiles.

An older release of the schema lacks fields; those are added by the names and numbers of the current one:
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

__all__ = ["needs_schema", "parsed"]

FOLDER = Path("/usr/share/gocode/src/github.com/prometheus/client_model")
FILE = "io/prometheus/client/metrics.proto"
PACKAGE = "io.prometheus.client"

TIMESTAMP = """
syntax = "proto3";
package google.protobuf;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
"""

ADDED = (
    ("MetricFamily", "unit", 5, "optional", ""),
    ("Counter", "created_timestamp", 3, "optional", ".google.protobuf.Timestamp"),
    ("Summary", "created_timestamp", 4, "optional", ".google.protobuf.Timestamp"),
    ("Histogram", "created_timestamp", 15, "optional", ".google.protobuf.Timestamp"),
    ("Histogram", "exemplars", 16, "repeated", f".{PACKAGE}.Exemplar"),
)
"""Message, name, number, label and type (a string, if empty) of the fields that an older schema lacks."""

needs_schema = pytest.mark.skipif(
    shutil.which("protoc") is None or not (FOLDER / FILE).exists(),
    reason="needs protoc and Prometheus's schema"
    " (Debian: apt-get install protobuf-compiler golang-github-prometheus-client-model-dev)",
)


@cache
def family_message() -> Any:
    """The class of the message MetricFamily."""
    descriptors: Any = import_module("google.protobuf.descriptor_pb2")
    with tempfile.TemporaryDirectory() as folder:
        timestamp = Path(folder, "google", "protobuf", "timestamp.proto")
        timestamp.parent.mkdir(parents=True)
        timestamp.write_text(TIMESTAMP, "utf-8")
        output = Path(folder, "compiled")
        paths = [f"--proto_path={path}" for path in (folder, FOLDER)]
        command = ["protoc", *paths, "--include_imports", f"--descriptor_set_out={output}", FILE]
        subprocess.run(command, check=True)
        files = descriptors.FileDescriptorSet.FromString(output.read_bytes()).file
    types = descriptors.FieldDescriptorProto
    pool = import_module("google.protobuf.descriptor_pool").DescriptorPool()
    for file in files:
        messages = {message.name: message for message in file.message_type}
        for owner, name, number, label, message in ADDED:
            if file.package != PACKAGE or number in (field.number for field in messages[owner].field):
                continue
            messages[owner].field.add(
                name=name,
                number=number,
                label=types.LABEL_REPEATED if label == "repeated" else types.LABEL_OPTIONAL,
                type=types.TYPE_MESSAGE if message else types.TYPE_STRING,
                type_name=message or None,
            )
        pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily")
    return import_module("google.protobuf.message_factory").GetMessageClass(descriptor)


def parsed(body: bytes) -> list[Any]:
    """The families in `body`, each of which has its length before it. Fails if anything in them is unknown."""
    families = []
    position = 0
    while position < len(body):
        length = shift = 0
        while True:
            byte = body[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert position + length <= len(body), "a family ends after the body"
        family = family_message().FromString(body[position : position + length])
        assert_known(family)
        families.append(family)
        position += length
    return families


def assert_known(message: Any) -> None:
    """Fail if `message`, or one within it, has fields that the schema lacks."""
    unknown = import_module("google.protobuf.unknown_fields").UnknownFieldSet(message)
    assert len(unknown) == 0, f"{message} has {len(unknown)} unknown fields"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                assert_known(each)
