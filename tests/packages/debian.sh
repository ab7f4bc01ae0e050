# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here, cache
# The Debian packages: lintian, contents, and their life in a clean root, with podman.

test_debian_lintian_is_silent() {
    local output
    for file in "$release"/*.deb; do
        output=$(lintian --allow-root --display-info --color never "$file" 2>&1) || true
        equal "the output of lintian for ${file##*/}" "$output" ""
    done
}

# The binaries of other architectures are emulated.
test_debian_packages_have_the_binary_of_their_architecture() {
    local arch machine run
    while read -r arch machine run; do
        dpkg-deb -x "$release/mote_$version-1_$arch.deb" "$dir/$arch"
        equal "Architecture" "$(dpkg-deb -f "$release/mote_$version-1_$arch.deb" Architecture)" "$arch"
        contains "the ELF header of $arch" "$(readelf -h "$dir/$arch/usr/bin/mote")" "$machine"
        contains "the version of $arch" "$("qemu-$run-static" "$dir/$arch/usr/bin/mote" --version)" "commit: $(git rev-parse HEAD)"
    done <<<"amd64 X86-64 x86_64
arm64 AArch64 aarch64
armhf ARM arm
riscv64 RISC-V riscv64"
}

# All files are root's, with the modes that dpkg would install them with, and no later than the release.
test_debian_contents_are_as_installed() {
    local package=$release/mote_$version-1_amd64.deb list
    list=$(dpkg-deb -c "$package")
    equal "files of others than root" "$(grep -v ' root/root ' <<<"$list" || true)" ""
    equal "unusual modes" "$(grep -vE '^(-rw-r--r--|drwxr-xr-x) |^-rwxr-xr-x .* \./usr/bin/mote$' <<<"$list" || true)" ""
    equal "conffiles" "$(dpkg-deb -I "$package" conffiles)" "/etc/containers/containers.conf.d/mote.conf"
    dpkg-deb -x "$package" "$dir/root"
    dpkg-deb -e "$package" "$dir/control"
    (cd "$dir/root" && md5sum --quiet -c "$dir/control/md5sums")
    equal "files without md5sum" "$(cd "$dir/root" && find usr -type f | sort)" "$(cut -c 35- "$dir/control/md5sums" | sort)"
    [ -e "$dir/root/usr/share/man/man1/mote.1.gz" ] || fail "mote.1.gz is missing"
    for page in "$dir/root"/usr/share/man/man1/*.gz; do
        gzip -dc "$page" | mandoc -T lint -W error
    done
}

# A shell with the files of the package finds the completions where it looks for them.
test_debian_completions_are_found() {
    local root=$dir/root
    dpkg-deb -x "$release/mote_$version-1_amd64.deb" "$root"
    contains "fpath of zsh" "$(zsh -fc 'print -l $fpath')" "/usr/share/zsh/vendor-completions"
    contains "completion of zsh" "$(head -n 1 "$root/usr/share/zsh/vendor-completions/_mote")" "#compdef mote"
    contains "the completion path of fish" "$(HOME=$dir fish -c 'printf "%s\n" $fish_complete_path')" vendor_completions.d
    bash -n "$root/usr/share/bash-completion/completions/mote"
    fish -n "$root/usr/share/fish/vendor_completions.d/mote.fish"
    zsh -n "$root/usr/share/zsh/vendor-completions/_mote"
}

# Extracts a Debian system with podman, which is built once, to $dir/root.
clean_root() {
    local suite mirror
    [ "$(id -u)" = 0 ] || skip "a clean root needs root"
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    CLEAN_ROOT=${CLEAN_ROOT-$cache/clean-root-$suite.tar}
    if [ ! -e "$CLEAN_ROOT" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
        mkdir -p "$cache"
        mmdebstrap --variant=minbase --include=podman,runc,busybox-static --dpkgopt=force-unsafe-io \
            --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Check-Valid-Until "false"' \
            "$suite" "$CLEAN_ROOT.new.tar" "$mirror" >"$dir/log" 2>&1 || fail "mmdebstrap failed: $(tail -n 5 "$dir/log")"
        mv "$CLEAN_ROOT.new.tar" "$CLEAN_ROOT"
    fi
    mkdir "$dir/root"
    tar -C "$dir/root" -xf "$CLEAN_ROOT"
}

# Runs a script in the clean root, with namespaces of its own for mounts and processes: nothing of it is left.
in_root() { # SCRIPT ARGUMENT...
    cp "$1" "$dir/root/root/script"
    shift
    # shellcheck disable=SC2016 # the inner shell expands this
    unshare --mount --propagation private --pid --fork --kill-child sh -c '
        set -eu
        root=$1 && shift
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/run"
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive sh -eux /root/script "$@"' sh "$dir/root" "$@"
}

# Packages of later versions, whose conffile has another line: VERSION.
later_deb() {
    dpkg-deb -x "$release/mote_$version-1_amd64.deb" "$dir/files"
    rm -rf "$dir/stage"
    # Back to what scripts/packages/stage makes.
    (
        cd "$dir/files/usr/share" || exit
        gzip -d man/man1/*.gz doc/mote/changelog.gz
        rm doc/mote/changelog.Debian.gz
        mv doc/mote/changelog doc/mote/CHANGELOG.md
        mkdir zsh/site-functions
        mv zsh/vendor-completions/_mote zsh/site-functions/_mote
    )
    mv "$dir/files" "$dir/stage"
    echo "# Version $1" >>"$dir/stage/etc/containers/containers.conf.d/mote.conf"
    SOURCE_DATE_EPOCH=1800000000 "$here/scripts/packages/deb" "$dir/stage" "$1-1" amd64 "$dir/root/root"
}

test_debian_install_upgrade_remove_and_purge() {
    clean_root
    cp "$release/mote_$version-1_amd64.deb" "$dir/root/root/first.deb"
    later_deb 90.0.0
    later_deb 91.0.0
    later_deb 92.0.0
    in_root "$tests/clean-root/install"
}

# The cgroups are below one that only this test has, which is removed.
test_debian_podman_in_a_clean_root() {
    local cgroup=mote-packages-$$
    clean_root
    cp "$release/mote_$version-1_amd64.deb" "$dir/root/root/mote.deb"
    # shellcheck disable=SC2064 # the name is expanded now
    trap "find /sys/fs/cgroup -depth -type d -path '*/$cgroup*' -exec rmdir {} + 2>/dev/null || true" EXIT
    in_root "$tests/clean-root/podman" "/$cgroup"
}
