#!/usr/bin/env bash
# scripts/bench --library: `create` and `start` through the library, the command, and libcrun, from a program of 0 and of 4096 MB.
#
#   library.sh ROUNDS
#
# LIBCRUN=DIRECTORY has the source of crun, built with --enable-shared; without it, libcrun is not measured. Everything is
# measured in a mount namespace without the v2 hierarchy of a hybrid host, which crun does not support.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
rounds=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$here/scripts/build" --library >&2
library=$here/target/library
target=$(uname -m)-unknown-linux-musl
mkdir -p "$tmp/bundle/rootfs"/{proc,dev,sys}
rustc --edition 2024 --target "$target" -Copt-level=2 -Cpanic=abort -Crelocation-model=static -Cstrip=symbols \
    -Clinker=rust-lld -Clink-self-contained=no -o "$tmp/bundle/rootfs/true" "$here/tests/bench/true.rs"
cp "$here/tests/bench/config.json" "$tmp/bundle/"

options=()
if [ -n "${LIBCRUN-}" ]; then
    options=(-DCRUN -D_GNU_SOURCE -I"$LIBCRUN/src" -I"$LIBCRUN" -I"$LIBCRUN/libocispec/src" -L"$LIBCRUN/.libs"
        -Wl,-rpath,"$LIBCRUN/.libs" -lcrun)
else
    echo "LIBCRUN is not set: libcrun is not measured"
fi
cc -O2 -w -I"$here/bindings/c" -o "$tmp/library" "$here/tests/bench/library.c" -L"$library" -Wl,-rpath,"$library" -lmote \
    "${options[@]}"

for megabytes in 0 4096; do
    # shellcheck disable=SC2016 # the words are of the inner shell
    unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh \
        "$tmp/library" "$rounds" "$megabytes" "$tmp/bundle" "$tmp/state" "$here/target/mote" >"$tmp/times" </dev/null
    echo "calling program with $megabytes MB: ms, minimum / median"
    for name in mote_runtime_new libmote command libcrun; do
        sort -n -k 2 <(grep "^$name " "$tmp/times") | awk -v name="$name" '
            { time[NR] = $2 / 1e6 }
            END { if (NR) printf "  %-17s %8.2f / %8.2f\n", name, time[1], time[int((NR + 1) / 2)] }'
    done
done
echo "$(wc -c <"$library/libmote.so") bytes: libmote.so"
if [ -n "${LIBCRUN-}" ]; then
    strip -o "$tmp/libcrun.so" "$LIBCRUN/.libs/libcrun.so"
    echo "$(wc -c <"$tmp/libcrun.so") bytes: libcrun.so, stripped"
fi
