"""Somebody else's program with threads, which has mote as a shared library: LIBRARY ROOT BUNDLE ID."""

import ctypes
import sys
import threading

library, *words = sys.argv[1:]
over = threading.Event()


def work():
    while not over.is_set():
        bytearray(1 << 16)


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
# ctypes lets the other threads run meanwhile.
status = ctypes.CDLL(library).embedded(*(word.encode() for word in words))
over.set()
for thread in threads:
    thread.join()
sys.exit(status)
