# A stand-in for nixpkgs: the functions that nix/ uses, with the toolchain of the machine. None of it is from nixpkgs.
#
# tests/nix/run copies it to a directory in which it adds:
#   crates/     the files NAME-VERSION.crate of Cargo.lock
#   lib         that of nixpkgs, if NIXPKGS_LIB names it, in the place of lib.nix
# In the sandbox, /toolchain is the toolchain of Rust.
{
  system ? builtins.currentSystem,
  overlays ? [ ],
}:

let
  lib = import (if builtins.pathExists ./lib then ./lib else ./lib.nix);
  platforms = import ./platforms.nix;
  build = platforms.native.${system};

  # The packages that run on a machine.
  packages =
    host:
    let
      callPackage = lib.callPackageWith pkgs;
      base = {
        inherit lib callPackage;
        inherit (build) system;
        stdenv = {
          buildPlatform = build;
          hostPlatform = host;
        };
        rustPlatform = import ./rust.nix {
          inherit lib;
          inherit (pkgs) stdenv;
        };
        buildPackages = packages build;
        pkgsStatic = packages (platforms.static host);
        pkgsCross = builtins.mapAttrs (_: packages) platforms.cross;
        testers.runNixOSTest = import ./nixos-test.nix pkgs;
        nixos =
          module:
          lib.evalModules {
            modules = [
              module
              ./engines.nix
            ];
            specialArgs = { inherit lib pkgs; };
          };
        mkShell = args: tool "shell" // args;
        linkFarm = name: _: tool name;
      }
      // lib.genAttrs tools tool;
      pkgs = builtins.foldl' (previous: overlay: previous // overlay pkgs previous) base overlays;
    in
    pkgs;

  # Programs that are only named.
  tools = [
    "busybox"
    "catatonit"
    "cri-tools"
    "criu"
    "fish"
    "iproute2"
    "iptables"
    "libseccomp"
    "mandoc"
    "pkg-config"
    "podman"
    "python3"
    "rustup"
    "shadow"
    "zsh"
  ];
  tool =
    name:
    derivation {
      inherit name;
      inherit (build) system;
      outputs = [ "out" ];
      builder = "/bin/bash";
      args = [
        "-c"
        "echo >$out"
      ];
    };
in
packages build
