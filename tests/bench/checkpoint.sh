#!/usr/bin/env bash
# Times `checkpoint` and `restore --detach` of a small container: minimum and median in ms, and the ratio of the first
# runtime to each. Called by scripts/bench --checkpoint.
#
#   checkpoint.sh ROUNDS RUNTIME...
set -euo pipefail
rounds=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
busybox=$(command -v busybox) || { echo "checkpoint.sh: needs busybox (busybox-static)" >&2; exit 1; }
name=mote-bench-$$
tmp=$(mktemp -d)
clean_up() {
    for runtime; do
        "$runtime" --root "$tmp/state" delete --force "$name" >/dev/null 2>&1 || true
    done
    rm -rf "$tmp"
}
trap 'clean_up "$@"' EXIT
trap 'exit 130' INT TERM HUP

mkdir -p "$tmp/bundle/rootfs/"{bin,tmp}
cp "$busybox" "$tmp/bundle/rootfs/bin/busybox"
# CRIU interrupts a sleep: the loop goes on.
loop='"/bin/busybox", "sh", "-c", "while :; do busybox usleep 10000; done"'
# Without masks: crun restores none of directories.
tr -d '\n' <"$here/config.json" |
    sed "s|\[\"/true\"\]|[$loop]|; s|\"maskedPaths\": *\[[^]]*\]|\"maskedPaths\": []|" >"$tmp/bundle/config.json"

# timed FILE COMMAND...: appends the time of the command in microseconds to a file.
timed() {
    local file=$1 begin=${EPOCHREALTIME/./}
    shift
    "$@" </dev/null >/dev/null 2>&1 || return 1
    echo $((${EPOCHREALTIME/./} - begin)) >>"$file"
}

# cycle RESULTS RUNTIME: runs, dumps, restores and deletes a container.
cycle() {
    local results=$1 call=("$2" --root "$tmp/state")
    rm -rf "$tmp/images"
    "${call[@]}" run --detach --bundle "$tmp/bundle" "$name" </dev/null >/dev/null 2>&1 &&
        timed "$results.dump" "${call[@]}" checkpoint --image-path "$tmp/images" "$name" &&
        timed "$results.restore" "${call[@]}" restore --detach --bundle "$tmp/bundle" --image-path "$tmp/images" "$name" &&
        "${call[@]}" delete --force "$name" >/dev/null 2>&1
}

# The first cycle is not counted.
works=()
for runtime; do
    if cycle "$tmp/first" "$runtime"; then
        works+=("$runtime")
        echo "$runtime: $("$runtime" --version | sed -n 1p)" >&2
    else
        echo "$runtime: does not work here" >&2
        "$runtime" --root "$tmp/state" delete --force "$name" >/dev/null 2>&1 || true
    fi
done
for ((round = 0; round < rounds; round++)); do
    for ((index = 0; index < ${#works[@]}; index++)); do
        if ! cycle "$tmp/$index" "${works[index]}"; then
            echo "${works[index]}: round $round failed" >&2
            "${works[index]}" --root "$tmp/state" delete --force "$name" >/dev/null 2>&1 || true
        fi
    done
done

# The minimum and the median of a file with numbers.
summary() {
    sort -n "$1" | awk '{ all[NR] = $1 } END { printf "%d %d\n", all[1], all[int((NR + 1) / 2)] }'
}

printf '%-28s %22s %22s\n' '' 'checkpoint (ms)' 'restore (ms)'
for ((index = 0; index < ${#works[@]}; index++)); do
    line=$(printf '%-28s' "${works[index]##*/}")
    for what in dump restore; do
        read -r least median < <(summary "$tmp/$index.$what")
        read -r _ first < <(summary "$tmp/0.$what")
        line+=$(awk -v a="$least" -v b="$median" -v c="$first" \
            'BEGIN { printf " %7.1f / %-7.1f x%.2f", a / 1000, b / 1000, b / c }')
    done
    echo "$line"
done
echo 'minimum / median, and the ratio of the median to that of the first'
