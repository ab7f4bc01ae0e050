# rustPlatform.buildRustPackage: the phases of nixpkgs that nix/package.nix relies on, in build-rust-package.sh.
{ lib, stdenv }:

let
  inherit (stdenv) buildPlatform hostPlatform;

  # The crates of Cargo.lock, each with the checksum in it, as rustPlatform.importCargoLock downloads them.
  crates =
    lockFile:
    builtins.concatMap (
      { name, version, checksum ? null, ... }:
      if checksum == null then
        [ ]
      else
        [
          (builtins.path {
            name = "${name}-${version}.crate";
            path = ./crates + "/${name}-${version}.crate";
            recursive = false;
            sha256 = checksum;
          })
        ]
    ) (lib.importTOML lockFile).package;
in
{
  buildRustPackage =
    {
      pname,
      version,
      src,
      cargoLock,
      meta,
      env ? { },
      ...
    }@args:
    let
      own = derivation (
        removeAttrs args [
          "auditable"
          "cargoLock"
          "env"
          "hardeningDisable"
          "meta"
        ]
        // env
        // {
          name = "${pname}-static-${hostPlatform.rust.rustcTarget}-${version}";
          inherit (buildPlatform) system;
          src = src.outPath;
          crates = crates cargoLock.lockFile;
          buildTarget = buildPlatform.rust.rustcTarget;
          hostTarget = hostPlatform.rust.rustcTarget;
          crtStatic = if hostPlatform.isStatic then "+crt-static" else "-crt-static";
          doInstallCheck = args.doInstallCheck or false && buildPlatform.canExecute hostPlatform;
          # Variables for cargo, or a program that was built before.
          profile = lib.optionalString (builtins.pathExists ./profile) (builtins.readFile ./profile);
          program = lib.optionalString (builtins.pathExists ./program) ./program;
          builder = "/bin/bash";
          args = [
            "-e"
            ./build-rust-package.sh
          ];
        }
      );
    in
    own // { inherit meta version; };
}
