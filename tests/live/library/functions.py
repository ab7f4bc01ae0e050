"""All functions of the package, with a container that ends with code 7 on SIGTERM: FUNCTIONS BUNDLE ROOT ID."""

import asyncio
import os
import signal
import socket
import sys
import threading

import mote_runtime as mote
from mote_runtime import aio

bundle, root, name = sys.argv[1:]
runtime = mote.Runtime(root)


def fails(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError(f"{call} has not failed")


def objects():
    assert mote.version().count(".") == 2
    assert runtime.features()["ociVersionMax"]
    assert runtime.template(rootless=True)["process"]
    assert runtime.list() == []
    error = fails(mote.InvalidError, runtime.run, name, bundle, {"ociVersion": "1.0.2", "process": {"cwd": 5}})
    assert error.field == "process.cwd" and error.errno == 0, error.field
    error = fails(mote.SystemCallError, runtime.run, name, "/none")
    assert error.errno == 2
    fails(mote.NotFoundError, runtime.container, name)
    fails(mote.InvalidError, runtime.run, name, bundle, pid_file="relative")
    fails(mote.InvalidError, runtime.run, "a\0b", bundle)
    fails(mote.InvalidError, mote.Runtime, root, cgroup_manager="other")
    fails(TypeError, runtime.run, name, bundle, other=1)


def container():
    with runtime.create(name, bundle) as container:
        assert container.id == name and container.pid > 0 and container.warnings == []
        assert container.state().status == "created"
        fails(mote.ExistsError, runtime.create, name, bundle)
        container.start()
        fails(mote.StateError, container.start)
        state = container.state()
        assert (state.status, state.pid, state.bundle) == ("running", container.pid, bundle)
        assert [state.id for state in runtime.list()] == [name]
        assert container.pid in container.processes()
        container.pause()
        assert container.state().status == "paused"
        container.resume()
        fails(mote.StateError, container.resume)
        container.update({"pids": {"limit": 50}})
        fails(mote.InvalidError, container.update, [])
        assert container.stats().data is not None
        events = container.events(0.01)
        assert isinstance(next(events), mote.Stats) and events.fileno() > 2
        del events
        mounts = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]
        container.add_mounts(mounts)
        container.remove_mounts(mounts)
        fails(mote.UnsupportedError, container.checkpoint, "/none/images")
        fails(TypeError, container.checkpoint, "/none/images", other=True)
        processes(container)
        assert container.try_wait() is None
        container.kill()
        status = container.wait()
        assert status == mote.ExitStatus(7, None) and not status, status
        assert container.try_wait() == status
        fails(mote.StateError, container.kill)
    fails(mote.NotFoundError, runtime.container, name)


def processes(container):
    reader, writer = os.pipe()
    extra, other = os.pipe()
    process = container.exec(
        ["/bin/busybox", "sh", "-c", "echo $WORD $PWD; busybox id -u; echo more >&3; exit 9"],
        env={"WORD": "word"},
        cwd="/tmp",
        user=(5, 6),
        additional_gids=[7],
        stdout=writer,
        pass_fds=[other],
    )
    os.close(writer)
    os.close(other)
    assert process.wait().code == 9
    with open(reader) as output, open(extra) as more:
        assert output.read() == "word /tmp\n5\n", output
        assert more.read() == "more\n"
    fails(mote.NoProgramError, container.exec, ["/none"])
    fails(mote.InvalidError, container.exec, ["/bin/busybox"], capabilities=["CAP_NONE"], process={"args": 5})
    process = container.exec(process={"args": ["/bin/busybox", "sleep", "100"], "cwd": "/"})
    assert process.pid in container.processes()
    process.kill(signal.SIGKILL)
    assert process.wait() == mote.ExitStatus(None, signal.SIGKILL)
    terminal(container)


def terminal(container):
    ours, theirs = socket.socketpair()
    process = container.exec(["/bin/busybox", "tty"], terminal=True, console=theirs)
    _, (master,), _, _ = socket.recv_fds(ours, 16, 1)
    assert process.wait().code == 0
    assert os.read(master, 100) == b"/dev/pts/0\r\n"
    os.close(master)
    ours.close()
    theirs.close()


def threads():
    """The GIL is released: other threads go on while one waits for a container."""
    with runtime.run(name, bundle) as container:
        waiting = threading.Thread(target=container.wait)
        waiting.start()
        for thread in [threading.Thread(target=container.state) for _ in range(8)]:
            thread.start()
            thread.join()
        assert waiting.is_alive()
        runtime.container(name).kill(signal.SIGKILL, all=True)
        waiting.join()


async def asynchronous():
    runtime = aio.Runtime(root)
    async with await runtime.create(name, bundle) as container:
        await container.start()
        assert (await container.state()).status == "running"
        process = await container.exec(["/bin/busybox", "sleep", "100"])
        waiting = asyncio.create_task(process.wait())
        async for event in container.events(0.01):
            assert isinstance(event, mote.Stats)
            break
        await container.pause()
        await container.resume()
        await container.update('{"pids": {"limit": 60}}')
        assert len(await container.processes()) >= 2
        assert (await container.stats()).data is not None
        assert not waiting.done()
        process.kill(signal.SIGKILL)
        assert (await waiting).signal == signal.SIGKILL
        # Of two tasks, one gives up.
        both = [asyncio.create_task(container.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        both[0].cancel()
        found = await runtime.container(name)
        await found.kill(signal.SIGTERM)
        assert (await both[1]).code == 7
        assert (await container.wait()).code == 7
        late = await runtime.container(name)
        try:
            await late.wait()
        except mote.StateError:
            pass
        else:
            raise AssertionError
        assert [state.status for state in await runtime.list()] == ["stopped"]
    try:
        await runtime.run(name, "/none")
    except mote.SystemCallError:
        return
    raise AssertionError


objects()
container()
threads()
asyncio.run(asynchronous())
