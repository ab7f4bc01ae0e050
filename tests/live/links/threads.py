"""A program with threads that uses mote as a shared library: LIBRARY ROOT BUNDLE ID."""

import ctypes
import sys
import threading

library, *words = sys.argv[1:]
stop = threading.Event()


def work():
    while not stop.is_set():
        bytearray(1 << 16)


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
# ctypes lets the other threads run during the call.
status = ctypes.CDLL(library).embedded(*(word.encode() for word in words))
stop.set()
for thread in threads:
    thread.join()
sys.exit(status)
