# shellcheck shell=bash disable=SC2154
# The phases of a package of Rust in the sandbox. What nixpkgs does and would change the result, this does too: crates
# as directories, the flags in a .cargo/config.toml of the parent directory, strip(1) instead of cargo's.
set -euo pipefail
export PATH=/toolchain/bin:/usr/bin:/bin HOME=$NIX_BUILD_TOP SHELL=/bin/bash SOURCE_DATE_EPOCH=315532800

if [ -e /root ] || [ -e /home ] || [ "$(grep -c : /proc/net/dev)" != 1 ]; then
    echo "the build is not in a sandbox without a network" >&2
    exit 1
fi

runHook() { eval "${!1-}"; }
patchShebangs() { sed -i "1s|^#!/bin/sh|#!$SHELL|" "$@"; }

cp -r "$src" source
chmod -R u+w source
mkdir vendor .cargo
for crate in $crates; do
    file=$(basename "$crate" .crate)
    directory=vendor/${file#*-}
    mkdir "$directory"
    tar xzf "$crate" -C "$directory" --strip-components=1
    echo "{\"files\":{},\"package\":\"$(sha256sum "$crate" | cut -d ' ' -f 1)\"}" >"$directory/.cargo-checksum.json"
done
cat >.cargo/config.toml <<END
[source.crates-io]
replace-with = "vendored-sources"
[source.vendored-sources]
directory = "$NIX_BUILD_TOP/vendor"
[target."$buildTarget"]
linker = "cc"
[target."$hostTarget"]
linker = "cc"
rustflags = ["-C", "target-feature=$crtStatic"]
END

cd source
eval "${postPatch-}"

runHook preBuild
if [ -n "$program" ]; then
    install -D "$program" "target/$hostTarget/release/mote"
else
    # shellcheck disable=SC2086
    env CARGO_PROFILE_RELEASE_STRIP=false CARGO_BUILD_TARGET="$buildTarget" $profile \
        cargo build -j "$NIX_BUILD_CORES" --target "$hostTarget" --offline --profile release $cargoBuildFlags
fi
runHook postBuild

mkdir -p "$out/bin"
find "target/$hostTarget/release" -maxdepth 1 -type f -executable -exec cp -t "$out/bin" {} +
runHook postInstall

for directory in ${stripAllList-}; do strip -s "$out/$directory"/*; done
if [ -n "${doInstallCheck-}" ]; then eval "$installCheckPhase"; fi
