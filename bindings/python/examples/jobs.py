"""A tiny job queue: runs jobs in containers with limits, a few at a time: jobs.py BUNDLE STATE-DIRECTORY COUNT"""

import asyncio
import json
import os
import sys
from pathlib import Path

from mote_runtime import aio

bundle, root, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
AT_A_TIME = 3
LIMITS = {"pids": {"limit": 16}, "memory": {"limit": 32 << 20}}


async def run(runtime: aio.Runtime, job: int, places: asyncio.Semaphore) -> int:
    config = json.loads(Path(bundle, "config.json").read_text())
    config["linux"]["resources"] = LIMITS
    config["process"]["env"] = [*config["process"].get("env", []), f"JOB={job}"]
    async with places:
        async with await runtime.run(f"job-{os.getpid()}-{job}", bundle, config) as container:
            return (await container.wait()).code


async def main() -> None:
    runtime, places = aio.Runtime(root), asyncio.Semaphore(AT_A_TIME)
    codes = await asyncio.gather(*(run(runtime, job, places) for job in range(count)))
    print(f"{codes.count(0)} of {count} jobs succeeded")


asyncio.run(main())
