# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here, cache
# The recipes that build from source: Arch, Alpine, OpenWrt, Yocto. Those of Arch and Alpine build the program.

# Files that mote has in every package.
installed_files() {
    dpkg-deb -c "$release/mote_$version-1_amd64.deb" | sed -n '/^-/s/.* \.\///p' | grep -v '/lintian/\|/changelog' |
        sed 's,/vendor-completions/,/site-functions/,'
    echo usr/share/doc/mote/CHANGELOG.md
    echo usr/share/licenses/mote/LICENSE
}

# The Debian package of makepkg, which refuses to run as root: in a user namespace without a map nobody is root.
test_source_build_for_arch_without_network() {
    cp "$release/PKGBUILD" "$release"/mote-"$version"{,-vendor}.tar.xz "$dir/"
    cd "$dir" || exit
    contains "the metadata" "$(unshare -U makepkg --printsrcinfo)" "pkgver = $version"
    SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct) PKGEXT=.pkg.tar.xz \
        unshare -U --net makepkg --nodeps >log 2>&1 || fail "$(tail -n 20 log)"
    equal "the list of files" "$(tar -tf mote-*.pkg.tar.xz | grep -v '/$\|^\.' | sort)" "$(installed_files | sort)"
    contains "the metadata" "$(tar -xOf mote-*.pkg.tar.xz .PKGINFO)" "backup = etc/containers/containers.conf.d/mote.conf"
    mkdir -p root/var/lib/pacman
    pacman --root "$dir/root" --noconfirm --noscriptlet -Udd mote-*.pkg.tar.xz
    contains "the version" "$(chroot root /usr/bin/mote --version)" "commit: $(git -C "$here" rev-parse HEAD)"
    echo '# Mine' >>root/etc/containers/containers.conf.d/mote.conf
    pacman --root "$dir/root" --noconfirm -R mote
    equal "what remains" "$(find root -name '*mote*')" root/etc/containers/containers.conf.d/mote.conf.pacsave
}

# Debian has no abuild. What it does before and after the functions of the recipe is done here: checksums and archives.
test_source_build_for_alpine_without_network() {
    cp "$release/APKBUILD" "$release"/mote-"$version"{,-vendor}.tar.xz "$dir/"
    cd "$dir" || exit
    # The variables are used by abuild and set by it.
    shellcheck -s dash -e SC2034,SC2154 APKBUILD
    cat >abuild <<'SCRIPT'
set -eu
. ./APKBUILD
for value in "$pkgname" "$pkgver" "$pkgrel" "$pkgdesc" "$url" "$arch" "$license" "$source"; do test -n "$value"; done
test "${#pkgdesc}" -lt 128
echo "$sha512sums" | sed '/^$/d' >sums
sha512sum -c sums
mkdir src pkg
for file in $source; do tar -C src -xf "$file"; done
export CTARGET="$(uname -m)-unknown-linux-musl" srcdir="$PWD/src" pkgdir="$PWD/pkg" builddir="$PWD/src/$pkgname-$pkgver"
for step in build check package; do
    cd "$builddir"
    $step
done
SCRIPT
    SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct) unshare --net dash ./abuild >log 2>&1 || fail "$(tail -n 20 log)"
    equal "the number of checksums" "$(wc -l <sums)" 2
    equal "the list of files" "$(find pkg -type f -printf '%P\n' | sort)" \
        "$(installed_files | sed 's,\(/man1/.*\)\.gz,\1,' | sort)"
    contains "the version" "$(pkg/usr/bin/mote --version)" "commit: $(git -C "$here" rev-parse HEAD)"
}

# make reads the recipe with definitions in place of those of OpenWrt, and runs its installation.
test_recipe_for_openwrt_is_read_by_make() {
    local package=$dir/feed/utils/mote
    mkdir -p "$package" "$dir/feed/lang/rust" "$dir/include" "$dir/binary/bin"
    cp "$release/openwrt.mk" "$package/Makefile"
    tar -C "$dir" -xf "$release/mote-$version.tar.xz"
    tar -C "$dir" -xf "$release/mote-$version-$(uname -m)-linux.tar.xz"
    cp "$dir/mote-$version-$(uname -m)/bin/mote" "$dir/binary/bin/mote"
    cat >"$dir/rules.mk" <<MAKE
INCLUDE_DIR:=$dir/include
PKG_BUILD_DIR:=$dir/mote-$version
PKG_INSTALL_DIR:=$dir/binary
INSTALL_DIR:=install -d -m 0755
INSTALL_BIN:=install -m 0755
INSTALL_CONF:=install -m 0600
MAKE
    touch "$dir/include/package.mk"
    cat >"$dir/feed/lang/rust/rust-package.mk" <<'MAKE'
define RustBinPackage
rust: ; test $(1) = mote
endef
define BuildPackage
TITLE:=
$(eval $(Package/$(1)))
values:
	@echo "$(TITLE)|$(SECTION)|$(CATEGORY)|$(PKG_VERSION)|$(PKG_HASH)|$(strip $(Package/$(1)/conffiles))|$$$$MOTE_COMMIT"
install:
	$(call Package/$(1)/install,$(DESTDIR))
endef
MAKE
    equal "the values" "$(make -s --warn-undefined-variables -C "$package" TOPDIR="$dir" DESTDIR= values 2>&1)" \
        "OCI container runtime in a small binary|utils|Utilities|$version|$(sha256sum "$release/mote-$version.tar.xz" |
            cut -d ' ' -f 1)|/etc/containers/containers.conf.d/mote.conf|$(git -C "$here" rev-parse HEAD)"
    make -s -C "$package" TOPDIR="$dir" DESTDIR="$dir/root" install
    equal "the list of files" "$(find "$dir/root" -type f -printf '%P\n' | sort)" \
        "$(printf '%s\n' etc/containers/containers.conf.d/mote.conf usr/bin/mote)"
    contains "the version" "$("$dir/root/usr/bin/mote" --version)" "mote version $version"
}

# oelint-adv, with a fixed version, in a directory of its own. The addresses are placeholders.
test_recipe_for_yocto_has_no_findings() {
    local lint=$cache/oelint-9.11.2 output
    if [ ! -x "$lint/bin/oelint-adv" ]; then
        python3 -m venv "$lint" && "$lint/bin/pip" -q install oelint-adv==9.11.2 >&2 || skip "oelint-adv cannot be installed"
    fi
    output=$("$lint/bin/oelint-adv" --quiet --suppress oelint.vars.homepageping "$release/mote_$version.bb" 2>&1) ||
        fail "$output"
    equal "the output" "$(grep -v '^Loaded rules\|^\s\|^Parsing' <<<"$output" || true)" ""
    contains "the checksum" "$(grep LIC_FILES_CHKSUM "$release/mote_$version.bb")" "$(md5sum <"$here/LICENSE" | cut -d ' ' -f 1)"
}
