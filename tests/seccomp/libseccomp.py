"""Compiles profiles with libseccomp, for tests/seccomp/library.rs: one request and one reply per line.

    version                            2.5.4
    resolve ARCH NAME                  the number, or "-" if there is none, if it is multiplexed, or if the architecture is unknown
    profile OPTIMIZE ARCHS DEFAULT RULE...
                                       the program in hexadecimal, or "refused RULE ERROR" for the first rejected rule

ARCHS is a list of names as in libseccomp, the native architecture first. A RULE is ACTION/NAME, and /INDEX/OP/A/B for
each condition.
"""

import ctypes
import os
import signal
import sys

library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
OPTIMIZE = 8


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("index", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def arch_token(name):
    return ctypes.c_uint32(library.seccomp_arch_resolve_name(name.encode()))


def resolve(arch, name):
    if arch_token(arch).value == 0:
        return "-"
    # Rules have native or pseudo numbers; in 2.5.4, two names have the same pseudo number.
    machine = ctypes.c_uint32(library.seccomp_arch_native())
    given = library.seccomp_syscall_resolve_name(name.encode())
    if library.seccomp_syscall_resolve_num_arch(machine, given) != name.encode():
        return "-"
    number = library.seccomp_syscall_resolve_name_arch(arch_token(arch), name.encode())
    return "-" if number < 0 else str(number)


def add(context, rule):
    action, name, *rest = rule.split("/")
    fields = [int(field) for field in rest]
    comparisons = [Comparison(*fields[at : at + 4]) for at in range(0, len(fields), 4)]
    # -1 is an unknown name, which is skipped.
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return 0
    array = (Comparison * len(comparisons))(*comparisons)
    action = ctypes.c_uint32(int(action))
    return library.seccomp_rule_add_array(context, action, number, len(comparisons), array)


def profile(optimize, archs, default, *rules):
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(int(default))))
    library.seccomp_attr_set(context, OPTIMIZE, int(optimize))
    native = ctypes.c_uint32(library.seccomp_arch_native())
    first, *others = archs.split(",")
    if arch_token(first).value != native.value:
        library.seccomp_arch_remove(context, native)
        library.seccomp_arch_add(context, arch_token(first))
    try:
        for arch in others:
            if library.seccomp_arch_add(context, arch_token(arch)) != 0:
                return f"refused {arch}"
        for index, rule in enumerate(rules):
            error = add(context, rule)
            if error != 0:
                return f"refused {index} {error}"
        file = os.memfd_create("program")
        if library.seccomp_export_bpf(context, file) != 0:
            return "refused program"
        program = os.pread(file, 1 << 20, 0)
        os.close(file)
        return program.hex()
    finally:
        library.seccomp_release(context)


def version():
    return ".".join(str(number) for number in library.seccomp_version().contents)


for line in sys.stdin:
    # 2.5.4 does not terminate for some profiles, and is killed then.
    signal.alarm(20)
    verb, *arguments = line.split()
    print({"version": version, "resolve": resolve, "profile": profile}[verb](*arguments), flush=True)
    signal.alarm(0)
