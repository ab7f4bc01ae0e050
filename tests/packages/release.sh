# shellcheck shell=bash disable=SC2154 # tests/packages/run sets release, version, dir, here
# The release as a whole: versions that disagree, the same bytes from another directory, checksums, SBOM, documentation.

# A clone in $dir/clone with a changelog and a tag of the version.
tagged_clone() {
    git clone -q "$here" "$dir/clone"
    cd "$dir/clone" || exit
    git config user.name test
    git config user.email test@mote.invalid
    sed -i "0,/^## .*/s//## $version - 2026-01-31/" CHANGELOG.md
    git commit -q --allow-empty -am 'a release'
    git tag "v$version"
}

# Changes the clone, and expects that the release stops with a message that contains TEXT and nothing else.
stops() { # TEXT COMMAND...
    local text=$1 output
    shift
    "$@"
    git commit -q --allow-empty -am 'a change'
    git tag -f "v$version" >/dev/null
    ! output=$(scripts/release --check "$version" 2>&1) || fail "the release does not stop for \"$text\""
    contains "the message" "$output" "$text"
    equal "the number of lines of \"$output\"" "$(wc -l <<<"$output")" 2
    [ ! -e target ] || fail "something was made"
    git reset -q --hard HEAD^
    git tag -f "v$version" >/dev/null
}

test_release_stops_if_versions_disagree() {
    local output
    tagged_clone
    scripts/release --check "$version"
    ! output=$(scripts/release --check 9.8.7 2>&1) || fail "another version is accepted"
    contains "the message" "$output" "Cargo.toml has version $version"
    contains "the message" "$output" "HEAD does not have the tag v9.8.7"
    ! output=$(scripts/release --check 1.0 2>&1) || fail "1.0 is accepted"
    contains "the message" "$output" "not of the form"
    stops "Cargo.toml has version 7.7.7" sed -i '0,/^version = .*/s//version = "7.7.7"/' Cargo.toml
    stops "bindings/c/Cargo.toml has version 7.7.7" sed -i '0,/^version = .*/s//version = "7.7.7"/' bindings/c/Cargo.toml
    stops "bindings/python/pyproject.toml has version 7.7.7" sed -i 's/^version = .*/version = "7.7.7"/' \
        bindings/python/pyproject.toml
    stops 'bindings/c/libmote.3 has version 7.7.7' sed -i 's/^\.Os .*/.Os "mote 7.7.7"/' bindings/c/libmote.3
    stops "Cargo.lock has version 7.7.7" sed -i '/^name = "mote"/{n;s/.*/version = "7.7.7"/}' Cargo.lock
    stops 'first section of CHANGELOG.md is "Unreleased"' sed -i "0,/^## .*/s//## Unreleased\n\n&/" CHANGELOG.md
    stops 'first section of CHANGELOG.md is "7.7.7 - 2026-01-31"' sed -i "0,/^## .*/s//## 7.7.7 - 2026-01-31/" CHANGELOG.md
    stops "first section of CHANGELOG.md is \"$version\"" sed -i "0,/^## .*/s//## $version/" CHANGELOG.md
}

test_release_stops_without_tag_or_with_changes() {
    local output
    tagged_clone
    git tag -d "v$version" >/dev/null
    ! output=$(scripts/release --check "$version" 2>&1) || fail "a missing tag is accepted"
    contains "the message" "$output" "HEAD does not have the tag v$version"
    git tag "v$version" HEAD^
    ! output=$(scripts/release --check "$version" 2>&1) || fail "a tag of another commit is accepted"
    contains "the message" "$output" "HEAD does not have the tag v$version"
    git tag -f "v$version" >/dev/null
    touch new-file
    ! output=$(scripts/release --snapshot "$version" 2>&1) || fail "a changed worktree is accepted"
    contains "the message" "$output" "the worktree has changes"
    [ ! -e target ] || fail "something was made"
}

test_release_has_the_same_bytes_from_another_directory() {
    local binaries=${BINARIES-$here/target}
    [ -z "${RELEASE-}" ] || skip "RELEASE is given"
    git clone -q "$here" "$dir/another directory"
    cd "$dir/another directory" || exit
    (
        umask 077
        BINARIES=$(cd "$here" && realpath "$binaries") TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 HOSTNAME=other \
            scripts/release --snapshot "$version" >/dev/null
    )
    equal "the checksums" "$(cat "target/release-$version/SHA256SUMS")" "$(cat "$release/SHA256SUMS")"
    equal "the notes" "$(cat "target/release-$version/RELEASE-NOTES.md")" "$(cat "$release/RELEASE-NOTES.md")"
}

test_release_checksums_and_notes_have_all_files() {
    local file sum row
    cd "$release" || exit
    sha256sum --quiet --strict -c SHA256SUMS
    equal "the list of files" "$(find . -type f -printf '%P\n' | grep -vxE 'SHA256SUMS|RELEASE-NOTES.md' | LC_ALL=C sort)" \
        "$(cut -c 67- SHA256SUMS | LC_ALL=C sort)"
    while read -r sum file; do
        row="| $file | $(stat -c %s "$file") | \`$sum\` |"
        grep -qxF -- "$row" RELEASE-NOTES.md || fail "RELEASE-NOTES.md does not have the row $row"
    done <SHA256SUMS
    equal "the heading" "$(head -n 1 RELEASE-NOTES.md)" "$(sed -n '/^## /p' "$here/CHANGELOG.md" | sed -n 1p)"
}

# The SBOM is compared with the dependencies that cargo reports, and their checksums in Cargo.lock.
test_release_sbom_has_every_crate_of_the_program() {
    cargo metadata --manifest-path "$here/Cargo.toml" --locked --format-version 1 \
        --filter-platform x86_64-unknown-linux-musl >"$dir/metadata"
    cargo tree --manifest-path "$here/Cargo.toml" --locked -p mote -e normal --prefix none --format '{p}' \
        --target x86_64-unknown-linux-musl >"$dir/tree"
    python3 - "$release/mote-$version.cdx.json" "$dir/tree" "$here/Cargo.lock" "$version" <<'PYTHON'
import json, re, sys
bom = json.load(open(sys.argv[1]))
assert bom["bomFormat"] == "CycloneDX" and bom["specVersion"] == "1.5", bom["specVersion"]
assert bom["metadata"]["component"]["version"] == sys.argv[4]
assert "serialNumber" not in bom
lock = dict()
for block in open(sys.argv[3]).read().split("[[package]]"):
    found = re.search(r'name = "(.*)"\nversion = "(.*)"(?:\n.*)*?\nchecksum = "(.*)"', block)
    if found:
        lock[found[1], found[2]] = found[3]
wanted = {tuple(re.match(r"(\S+) v(\S+)", line).groups()) for line in open(sys.argv[2]) if line.strip()}
wanted = {one for one in wanted if one[0] != "mote"}
assert len(wanted) > 5, wanted
has = {(one["name"], one["version"]): one for one in bom["components"]}
assert set(has) == wanted, set(has) ^ wanted
for key, one in has.items():
    assert {"alg": "SHA-256", "content": lock[key]} in one["hashes"], one
    assert one["licenses"], one
PYTHON
}

# What is static in the program is also in the table of licenses.
test_release_copyright_names_every_crate_of_the_program() {
    local crate crates
    crates=$(cargo tree --manifest-path "$here/Cargo.toml" --locked -p mote -e normal,no-proc-macro --prefix none \
        --format '{p}' --target x86_64-unknown-linux-musl | cut -d ' ' -f 1 | grep -vx mote)
    equal "what scripts/packages/copyright names" \
        "$(sed -n 's/^Files: //p' "$here/scripts/packages/copyright" | tr ' ' '\n' | grep -vxF '*' | sort)" \
        "$(printf '%s\n' "$crates" alloc compiler_builtins core std musl | sort -u)"
}

# The first column of the table in docs/packages.md has the files of the release, the list has paths in packages.
test_release_page_names_files_that_exist() {
    local name path list
    local page=$here/docs/packages.md
    while read -r name; do
        [ -e "$release/${name//VERSION/$version}" ] || fail "docs/packages.md names $name, which is not in the release"
    done < <(sed -n 's/^| `\([^`]*VERSION[^`]*\|[A-Z]*BUILD\|mote\.spec\|openwrt\.mk\|[A-Z0-9-]*\(SUMS\|NOTES\.md\)\)` .*/\1/p' "$page")
    while read -r name; do
        name=${name//$version/VERSION}
        grep -qF "| \`$name\` |" "$page" || fail "docs/packages.md does not name $name, which is in the release"
    done < <(ls "$release")
    list=$(dpkg-deb -c "$release/mote_$version-1_amd64.deb" | sed -n 's/.* \.//p')
    while read -r path; do
        grep -qxF -- "$path" <<<"$list" || fail "docs/packages.md names $path, which is not in the .deb"
    done < <(sed -n 's,^- `\(/[^`]*\)`.*,\1,p' "$page")
}

test_release_scripts_are_clean() {
    cd "$here" || exit
    shellcheck -e SC1091,SC2015,SC2016,SC2034,SC2094 scripts/release scripts/packages/{stage,deb} tests/packages/run tests/packages/*.sh
}
