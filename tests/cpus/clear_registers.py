#!/usr/bin/env python3
"""Changes a program for powerpc64le so that its system calls clear the volatile registers, as the kernel does and the user
emulation of QEMU does not: clear_registers.py PROGRAM CHANGED"""

import struct
import sys

SC = 0x44000002
PT_LOAD, PT_GNU_STACK = 1, 0x6474E551
EXECUTABLE = 1
PAGE = 0x10000
# r0 and r4 to r12; r3 has the result.
VOLATILE = [0, *range(4, 13)]


def branch(source, target):
    return 0x48000000 | ((target - source) & 0x3FFFFFC)


def clear(register):
    """li REGISTER, 0"""
    return 0x38000000 | register << 21


def main(source, destination):
    program = bytearray(open(source, "rb").read())
    (table,) = struct.unpack_from("<Q", program, 32)
    (count,) = struct.unpack_from("<H", program, 56)
    headers = [(at, struct.unpack_from("<IIQQQQQQ", program, at)) for at in range(table, table + 56 * count, 56)]
    (spare,) = (at for at, header in headers if header[0] == PT_GNU_STACK)
    loaded = [header for _, header in headers if header[0] == PT_LOAD]
    # Of a new segment behind all others.
    address = -(-max(header[3] + header[6] for header in loaded) // PAGE) * PAGE + PAGE
    program.extend(bytes(-len(program) % PAGE))
    offset, code = len(program), []
    for _, flags, start, virtual, _, size, _, _ in loaded:
        for at in range(start, start + size - 3, 4) if flags & EXECUTABLE else []:
            if struct.unpack_from("<I", program, at)[0] == SC:
                call, copy = virtual + at - start, address + 4 * len(code)
                struct.pack_into("<I", program, at, branch(call, copy))
                code += [SC, *map(clear, VOLATILE)]
                code.append(branch(address + 4 * len(code), call + 4))
    size = 4 * len(code)
    struct.pack_into("<IIQQQQQQ", program, spare, PT_LOAD, 5, offset, address, address, size, size, PAGE)
    program.extend(struct.pack(f"<{len(code)}I", *code))
    with open(destination, "wb") as changed:
        changed.write(program)
    print(f"{len(code) // (len(VOLATILE) + 2)} system calls clear the volatile registers")


main(*sys.argv[1:])
