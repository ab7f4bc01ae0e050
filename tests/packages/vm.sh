# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here, tests
# The Debian package with the engines of a later Debian, in the virtual machine: podman, docker, containerd.

test_vm_engines_use_the_package() {
    local status=0
    [ "$(uname -m)" = x86_64 ] || skip "scripts/vm needs x86-64"
    "$here/scripts/vm" build >"$dir/log" 2>&1 || skip "the virtual machine cannot be built: $(tail -n 1 "$dir/log")"
    mkdir "$dir/share"
    cp "$release/mote_$version-1_amd64.deb" "$tests/clean-root/engines" "$dir/share/"
    "$here/scripts/vm" run --share "$dir/share" 'sh -eux /share/engines'
}
