# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here
# The archives and the image: static archives are unpacked and run, the image is read by skopeo and podman.

test_archive_works_in_usr_local() {
    local root=$dir/root file
    mkdir -p "$root/usr/local"
    tar -C "$root/usr/local" --strip-components 1 -xf "$release/mote-$version-$(uname -m)-linux.tar.xz"
    contains "the version" "$(chroot "$root" /usr/local/bin/mote --version)" "commit: $(git rev-parse HEAD)"
    for file in mote.conf daemon.json containerd.toml; do
        grep -q '"/usr/local/bin/mote"' "$root/usr/local/share/doc/mote/examples/$file" || fail "$file has another path"
    done
    equal "the list of files" "$(cd "$root/usr/local" && find . -type f | sed 's,^\.,/usr,' | grep -v '/LICENSE$\|/CHANGELOG.md$' |
        grep -v /examples/mote.conf | sort)" \
        "$(dpkg-deb -c "$release/mote_$version-1_amd64.deb" | sed -n '/^-.*\/usr/s/.* \.//p' | grep -v '/lintian/\|/changelog' |
            sed 's,/vendor-completions/,/site-functions/,; s,\(/man1/.*\)\.gz,\1,' | sort)"
}

test_archives_have_the_binary_of_their_architecture() {
    local name machine
    while read -r name machine; do
        tar -C "$dir" -xf "$release/mote-$version-$name-linux.tar.xz"
        contains "the ELF header of $name" "$(readelf -h "$dir/mote-$version-$name/bin/mote")" "$machine"
    done <<<"x86_64 X86-64
aarch64 AArch64
armv7 ARM
riscv64 RISC-V"
}

# skopeo checks the digests of all manifests and layers that it copies.
test_image_has_all_platforms() {
    local arch variant config source=oci-archive:$release/mote-$version-oci.tar
    while read -r arch variant; do
        config=$(skopeo --override-os linux --override-arch "$arch" --override-variant "$variant" inspect --config "$source")
        equal "the platform" "$(python3 -c 'import json, sys; value = json.load(sys.stdin)
print(value["os"], value["architecture"], value.get("variant", ""))' <<<"$config")" "linux $arch $variant"
    done <<<"amd64
arm64
riscv64
arm v7"
    skopeo --insecure-policy copy --quiet --all "$source" "oci:$dir/layout:all"
    skopeo --insecure-policy copy --quiet "$source" "dir:$dir/one"
    equal "the number of layers" "$(grep -o 'application/vnd.oci.image.layer' "$dir/one/manifest.json" | wc -l)" 1
    contains "the labels" "$(skopeo inspect "$source")" "\"org.opencontainers.image.revision\": \"$(git rev-parse HEAD)\""
}

# Podman pulls the image of this machine, and runs it with the binary that it contains as the runtime.
test_image_runs_with_podman() {
    local podman mote options
    [ "$(id -u)" = 0 ] || skip "podman needs root here"
    podman="podman --root $dir/root --runroot $dir/run --storage-driver vfs --cgroup-manager cgroupfs"
    # Limits that are lower than podman's defaults, which the machine may not allow.
    options='--rm --network none --cgroups disabled --ulimit nofile=1024:2048 --ulimit nproc=1000:2000'
    $podman pull -q "oci-archive:$release/mote-$version-oci.tar" >"$dir/id"
    $podman create --name files "$(cat "$dir/id")" >/dev/null
    $podman cp files:/usr/bin/mote "$dir/mote"
    $podman rm files >/dev/null
    mote=$dir/mote
    printf '[engine]\nruntime_supports_nocgroup = ["mote"]\n[engine.runtimes]\nmote = ["%s"]\n' "$mote" >"$dir/containers.conf"
    # shellcheck disable=SC2086
    contains "the output" "$(CONTAINERS_CONF=$dir/containers.conf $podman --runtime mote run $options "$(cat "$dir/id")" --version)" \
        "mote version $version"
    # shellcheck disable=SC2086
    contains "the output" "$(CONTAINERS_CONF=$dir/containers.conf $podman --runtime mote run $options "$(cat "$dir/id")")" "Usage:"
    $podman rmi -f "$(cat "$dir/id")" >/dev/null
}
