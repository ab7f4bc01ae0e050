# nix build -f nix/                  mote for this machine
# nix build -f nix/ cross.aarch64    for another one: x86_64, aarch64, riscv64, armv7
{
  pkgs ? import <nixpkgs> { },
  # Printed by `mote --version`.
  commit ? "unknown",
}:

let
  build = packages: packages.callPackage ./package.nix { inherit commit; };
in

build pkgs
// {
  cross = builtins.mapAttrs (_: name: build pkgs.pkgsCross.${name}) (import ./machines.nix);
}
