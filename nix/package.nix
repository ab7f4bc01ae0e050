# mote for nixpkgs: `mote = callPackage ./package.nix { }`, for each machine of pkgsCross too. The program is static
# with musl, whatever the C library of the package set is, and its closure is one store path.
{
  lib,
  pkgsStatic,
  buildPackages,
  # Printed by `mote --version`.
  commit ? "unknown",
}:

let
  inherit (pkgsStatic) stdenv rustPlatform;
  inherit (stdenv) buildPlatform hostPlatform;
  # Runs a program of the other machine.
  emulator = lib.optionalString (!buildPlatform.canExecute hostPlatform) (hostPlatform.emulator buildPackages);
in

rustPlatform.buildRustPackage {
  pname = "mote";
  inherit ((lib.importTOML ../Cargo.toml).package) version;

  # What cargo and scripts/install read, and nothing else: other changes do not rebuild the package. The other members
  # of the workspace only have to exist.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../.cargo
      ../Cargo.lock
      ../Cargo.toml
      ../bindings/c/Cargo.toml
      ../bindings/c/src/lib.rs
      ../build.rs
      ../scripts/install
      ../scripts/layout.ld
      ../scripts/man
      ../src
      ../tests/library/Cargo.toml
      ../tests/library/src/main.rs
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--bin"
    "mote"
  ];
  env.MOTE_COMMIT = commit;
  # The program is that of `cargo build`, without a list of its dependencies.
  auditable = false;
  # No C is compiled, and build.rs and .cargo/config.toml tell the linker how the program is laid out: it is neither
  # position-independent, nor is anything in it read-only after relocation.
  hardeningDisable = [ "all" ];
  stripAllList = [ "bin" ];

  # The tests run containers as root (CONTRIBUTING.md).
  doCheck = false;

  postPatch = ''
    patchShebangs scripts/install scripts/man
  '';

  # The program prints its manual pages and completions.
  postInstall = ''
    mv "$out/bin/mote" program
    cat >run <<END
    #!$SHELL
    exec ${emulator} "$PWD/program" "\$@"
    END
    chmod +x run
    MOTE=$PWD/run scripts/install --prefix "$out"
    mv program "$out/bin/mote"
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    "$out/bin/mote" --version | grep -F "$MOTE_COMMIT"
    runHook postInstallCheck
  '';

  # The build fails if the closure is more than the package itself.
  allowedReferences = [ ];

  meta = {
    description = "OCI container runtime: small, strict, static";
    license = lib.licenses.asl20;
    mainProgram = "mote";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
      "riscv64-linux"
      "armv7l-linux"
    ];
  };
}
