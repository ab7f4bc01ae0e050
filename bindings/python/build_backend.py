"""Builds the wheel (PEP 517) without any other package: pure Python, and libmote.so.

libmote.so is that of `scripts/build --library`, or the file that MOTE_LIBRARY names. It needs no other library, so the wheel is
for any libc, and for all versions of Python.
"""

import base64
import hashlib
import os
import platform
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME, PACKAGE = "mote_runtime", HERE / "mote_runtime"


def _project():
    """The members of pyproject.toml that are texts."""
    lines = (HERE / "pyproject.toml").read_text().splitlines()
    pairs = (line.split(" = ", 1) for line in lines if " = " in line)
    return {name: value.strip('"') for name, value in pairs if value.startswith('"')}


def _tags():
    machine = platform.machine()
    return [f"py3-none-manylinux_2_17_{machine}", f"py3-none-musllinux_1_1_{machine}"]


def _metadata(project):
    lines = [
        "Metadata-Version: 2.1",
        "Name: mote-runtime",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        "License: Apache-2.0",
        "Operating System :: POSIX :: Linux",
        "Description-Content-Type: text/markdown",
    ]
    lines[6] = f"Classifier: {lines[6]}"
    return "\n".join(lines) + "\n\n" + (HERE / "README.md").read_text()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel to a directory, and returns its name. The same input gives the same bytes (SOURCE_DATE_EPOCH)."""
    project = _project()
    library = Path(os.environ.get("MOTE_LIBRARY") or HERE.parents[1] / "target/library/libmote.so")
    if not library.exists():
        raise FileNotFoundError(f"{library} is missing: run scripts/build --library first")
    info = f"{NAME}-{project['version']}.dist-info"
    tags = _tags()
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in sorted(PACKAGE.iterdir()) if path.is_file()}
    files[f"{NAME}/libmote.so"] = library.read_bytes()
    files[f"{info}/METADATA"] = _metadata(project).encode()
    wheel = ["Wheel-Version: 1.0", "Generator: mote", "Root-Is-Purelib: false", *(f"Tag: {tag}" for tag in tags)]
    files[f"{info}/WHEEL"] = ("\n".join(wheel) + "\n").encode()
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(content)}\n")
    files[f"{info}/RECORD"] = ("".join(record) + f"{info}/RECORD,,\n").encode()
    stamp = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "315532800")), 315532800))[:6]
    platforms = ".".join(tag.split("-", 2)[2] for tag in tags)
    name = f"{NAME}-{project['version']}-py3-none-{platforms}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, stamp)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return name
