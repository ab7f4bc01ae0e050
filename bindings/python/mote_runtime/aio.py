"""The classes of mote_runtime for asyncio: operations are awaited.

    runtime = mote_runtime.aio.Runtime("/run/mine")
    async with await runtime.run("hello", "/path/to/bundle") as container:
        print((await container.wait()).code)

Operations that may take long, and waiting, use file descriptors of the event loop; the others run in a thread of its executor.
"""

from __future__ import annotations

import asyncio
import os
import threading
from ctypes import byref
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Optional, Sequence, TypeVar, Union

from . import (
    CheckpointOptions,
    Container as _Container,
    CreateOptions,
    Events as _Events,
    ExecOptions,
    ExitStatus,
    Json,
    OomKill,
    PathLike,
    Process as _Process,
    RestoreOptions,
    Runtime as _Runtime,
    StartOptions,
    State,
    Stats,
    _bytes,
    _call,
    _create_options,
    _criu_options,
    _exec_options,
    _native,
    _result,
    _start_options,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Container", "Process", "Runtime"]

T = TypeVar("T")


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _readable(fd: int) -> None:
    """Waits until a file descriptor is readable."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    # A duplicate, since the loop has one reader for each number, and other tasks may wait for the same process.
    own = os.dup(fd)
    try:
        loop.add_reader(own, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(own)
    finally:
        os.close(own)


async def _finish(pending: Any, finish: Callable[[Any], T]) -> T:
    """Waits for an operation. If that is cancelled, the operation goes on, and its result is undone."""
    try:
        await _readable(_native.pending_fd(pending))
    except BaseException:
        # It waits for the operation: not in the thread of the loop.
        threading.Thread(target=_native.pending_free, args=[pending]).start()
        raise
    return finish(pending)


def _container(pending: Any) -> Container:
    return Container(_Container(_result(_native.pending_finish_container, pending)))


def _process(pending: Any) -> Process:
    return Process(_Process(_result(_native.pending_finish_process, pending)))


def _nothing(pending: Any) -> None:
    _call(_native.pending_finish, pending)


class _Waitable:
    _sync: Union[_Container, _Process]

    async def wait(self) -> ExitStatus:
        """Waits for the process to end."""
        fd = self._sync.fileno()
        if fd >= 0:
            await _readable(fd)
        return self._sync.wait()

    @property
    def pid(self) -> int:
        """Its PID in the pid namespace of the caller."""
        return self._sync.pid


class Process(_Waitable):
    """A process that was added to a container; see `mote_runtime.Process`."""

    def __init__(self, sync: _Process) -> None:
        self._sync: _Process = sync

    def kill(self, *arguments: Any) -> None:
        """Sends it a signal."""
        self._sync.kill(*arguments)


class Container(_Waitable):
    """A container; see `mote_runtime.Container`."""

    def __init__(self, sync: _Container) -> None:
        self._sync: _Container = sync

    async def __aenter__(self) -> Container:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.delete(force=True)

    @property
    def id(self) -> str:
        """Its ID."""
        return self._sync.id

    @property
    def warnings(self) -> list[Exception]:
        """The warnings of its creation."""
        return list(self._sync.warnings)

    async def start(self, **options: Unpack[StartOptions]) -> None:
        """See `mote_runtime.Container.start`."""
        await _finish(_result(_native.begin_start, self._sync, byref(_start_options(**options))), _nothing)

    async def exec(self, args: Sequence[str] = (), **options: Unpack[ExecOptions]) -> Process:
        """See `mote_runtime.Container.exec`."""
        given = byref(_exec_options(args, **options))
        return await _finish(_result(_native.begin_exec, self._sync, given), _process)

    async def delete(self, *, force: bool = False) -> None:
        """See `mote_runtime.Container.delete`."""
        await _finish(_result(_native.begin_delete, self._sync, force), _nothing)

    async def checkpoint(self, image_path: PathLike, **options: Unpack[CheckpointOptions]) -> None:
        """See `mote_runtime.Container.checkpoint`."""
        given = byref(_criu_options(image_path, **options))
        await _finish(_result(_native.begin_checkpoint, self._sync, given), _nothing)

    async def kill(self, *arguments: Any, **options: Any) -> None:
        """See `mote_runtime.Container.kill`."""
        await asyncio.to_thread(self._sync.kill, *arguments, **options)

    async def pause(self) -> None:
        """See `mote_runtime.Container.pause`."""
        await asyncio.to_thread(self._sync.pause)

    async def resume(self) -> None:
        """See `mote_runtime.Container.resume`."""
        await asyncio.to_thread(self._sync.resume)

    async def update(self, resources: Json, **options: Any) -> None:
        """See `mote_runtime.Container.update`."""
        await asyncio.to_thread(self._sync.update, resources, **options)

    async def add_mounts(self, mounts: Json) -> None:
        """See `mote_runtime.Container.add_mounts`."""
        await asyncio.to_thread(self._sync.add_mounts, mounts)

    async def remove_mounts(self, mounts: Json) -> None:
        """See `mote_runtime.Container.remove_mounts`."""
        await asyncio.to_thread(self._sync.remove_mounts, mounts)

    async def state(self) -> State:
        """See `mote_runtime.Container.state`."""
        return await asyncio.to_thread(self._sync.state)

    async def processes(self) -> list[int]:
        """See `mote_runtime.Container.processes`."""
        return await asyncio.to_thread(self._sync.processes)

    async def stats(self) -> Stats:
        """See `mote_runtime.Container.stats`."""
        return await asyncio.to_thread(self._sync.stats)

    async def events(self, interval: float = 5.0) -> AsyncIterator[Union[Stats, OomKill]]:
        """See `mote_runtime.Container.events`: `async for event in container.events(1.0)`."""
        events: _Events = self._sync.events(interval)
        while True:
            await _readable(events.fileno())
            try:
                event = next(events)
            except StopIteration:
                return
            yield event


class Runtime:
    """A directory for the state of containers, and settings; see `mote_runtime.Runtime`."""

    def __init__(self, root: PathLike, **options: Any) -> None:
        self._sync = _Runtime(root, **options)

    async def create(
        self, id: str, bundle: PathLike, config: Optional[Json] = None, **options: Unpack[CreateOptions]
    ) -> Container:
        """See `mote_runtime.Runtime.create`."""
        return await self._create(_native.begin_create, id, bundle, config, options)

    async def run(
        self, id: str, bundle: PathLike, config: Optional[Json] = None, **options: Unpack[CreateOptions]
    ) -> Container:
        """See `mote_runtime.Runtime.run`."""
        return await self._create(_native.begin_run, id, bundle, config, options)

    async def _create(self, begin: Any, id: str, bundle: PathLike, config: Any, options: Any) -> Container:
        given = byref(_create_options(config, **options))
        return await _finish(_result(begin, self._sync, _bytes(id), _bytes(bundle), given), _container)

    async def restore(
        self,
        id: str,
        bundle: PathLike,
        image_path: PathLike,
        config: Optional[Json] = None,
        *,
        criu: Optional[RestoreOptions] = None,
        **options: Unpack[CreateOptions],
    ) -> Container:
        """See `mote_runtime.Runtime.restore`."""
        given = byref(_create_options(config, **options))
        images = byref(_criu_options(image_path, **(criu or {})))
        arguments = (self._sync, _bytes(id), _bytes(bundle), given, images)
        return await _finish(_result(_native.begin_restore, *arguments), _container)

    async def container(self, id: str) -> Container:
        """See `mote_runtime.Runtime.container`."""
        return Container(await asyncio.to_thread(self._sync.container, id))

    async def list(self) -> list[State]:
        """See `mote_runtime.Runtime.list`."""
        return await asyncio.to_thread(self._sync.list)
