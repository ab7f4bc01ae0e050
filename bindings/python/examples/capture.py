"""Runs a program in a container and captures its output: capture.py BUNDLE STATE-DIRECTORY PROGRAM [ARGUMENT...]"""

import json
import os
import sys
from pathlib import Path

import mote_runtime

bundle, root, *args = sys.argv[1:]
config = json.loads(Path(bundle, "config.json").read_text())
config["process"]["args"] = args

runtime = mote_runtime.Runtime(root)
reader, writer = os.pipe()
with runtime.run(f"capture-{os.getpid()}", bundle, config, stdout=writer) as container:
    os.close(writer)
    with open(reader) as output:
        text = output.read()
    status = container.wait()

print(f"code {status.code}, output {text!r}")
