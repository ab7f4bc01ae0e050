# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here
# The RPM packages: rpmlint, contents, installation in an empty root, and a build from the source package.

rpm_file() { echo "$release/mote-$version-1.$1.rpm"; }

test_rpm_lint_has_no_findings() {
    local output
    output=$(rpmlint -c "$here/scripts/packages/rpmlint.toml" "$release"/*.rpm "$release/mote.spec" 2>&1) || fail "$output"
    contains "the output of rpmlint" "$output" "5 packages and 1 specfiles checked; 0 errors, 0 warnings"
}

test_rpm_packages_have_the_binary_of_their_architecture() {
    local arch machine
    while read -r arch machine; do
        mkdir "$dir/$arch"
        (cd "$dir/$arch" && rpm2cpio "$(rpm_file "$arch")" | cpio -id --quiet)
        equal "the architecture" "$(rpm -qp --qf '%{ARCH}' "$(rpm_file "$arch")")" "$arch"
        contains "the ELF header of $arch" "$(readelf -h "$dir/$arch/usr/bin/mote")" "$machine"
    done <<<"x86_64 X86-64
aarch64 AArch64
armv7hl ARM
riscv64 RISC-V"
}

# Nothing of the machine that built it is in the header, and all files are those of the .deb.
test_rpm_contents_are_those_of_the_deb() {
    local file list
    file=$(rpm_file x86_64)
    equal "the build host and time" "$(rpm -qp --qf '%{BUILDHOST} %{BUILDTIME}' "$file")" "reproducible $(git log -1 --format=%ct)"
    equal "the configuration files" "$(rpm -qpc "$file")" "/etc/containers/containers.conf.d/mote.conf"
    equal "owners" "$(rpm -qp --qf '[%{FILEUSERNAME} %{FILEGROUPNAME}\n]' "$file" | sort -u)" "root root"
    list=$(dpkg-deb -c "$release/mote_$version-1_amd64.deb" | sed -n '/^-/s/.* \.//p' | grep -v '/lintian/\|/changelog' |
        sed 's,/vendor-completions/,/site-functions/,' | sort)
    equal "the list of files" "$(rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$file" | sed -n 's/^-[^ ]* //p' |
        grep -v '/LICENSE$\|/CHANGELOG.md$' | sort)" "$list"
}

test_rpm_install_upgrade_and_erase_in_an_empty_root() {
    local rpm conf=$dir/root/etc/containers/containers.conf.d/mote.conf
    mkdir "$dir/root"
    rpm --root "$dir/root" --initdb
    # Debian's rpm warns that dpkg should be used.
    rpm="rpm --root $dir/root --force-debian"
    $rpm -i "$(rpm_file x86_64)"
    contains "the version" "$(chroot "$dir/root" /usr/bin/mote --version)" "mote version $version"
    $rpm -V mote
    echo '# Mine' >>"$conf"
    sed 's/^Release: .*/Release: 2/; s/^%install/&\necho "# Later" >>%{stage}\/etc\/containers\/containers.conf.d\/mote.conf/' \
        "$release/mote.spec" >"$dir/mote.spec"
    dpkg-deb -x "$release/mote_$version-1_amd64.deb" "$dir/stage"
    gzip -d "$dir"/stage/usr/share/man/man1/*.gz
    mv "$dir/stage/usr/share/zsh/vendor-completions" "$dir/stage/usr/share/zsh/site-functions"
    rm -r "$dir/stage/usr/share/lintian"
    cp "$here/LICENSE" "$dir/LICENSE"
    rpmbuild --quiet -bb --define "_topdir $dir/rpm" --define "stage $dir/stage" "$dir/mote.spec"
    $rpm -U "$dir"/rpm/RPMS/*/mote-"$version"-2.*.rpm
    grep -qx '# Mine' "$conf" || fail "the changed configuration is lost"
    grep -qx '# Later' "$conf.rpmnew" || fail "there is no $conf.rpmnew"
    $rpm -e mote
    equal "what remains" "$(find "$dir/root" -name '*mote*' | sed "s,$dir/root,," | sort)" \
        "$(printf '%s\n' /etc/containers/containers.conf.d/mote.conf.{rpmnew,rpmsave})"
}

# Debian's rpm does not have Rust as a package, so build dependencies are not checked.
test_source_build_of_the_rpm_without_network() {
    unshare --net rpmbuild --quiet --rebuild --nodeps --define "_topdir $dir/rpm" --define "_rpmdir $dir" \
        --define "_rpmfilename built.rpm" "$release/mote-$version-1.src.rpm" >"$dir/log" 2>&1 || fail "$(tail -n 20 "$dir/log")"
    equal "the list of files" "$(rpm -qlp "$dir/built.rpm")" "$(rpm -qlp "$(rpm_file x86_64)")"
    (cd "$dir" && rpm2cpio built.rpm | cpio -id --quiet)
    contains "the version" "$("$dir/usr/bin/mote" --version)" "commit: $(git rev-parse HEAD)"
}
