# nix develop ./nix, or nix-shell nix/shell.nix
#
# What scripts/build and scripts/test need. Rust comes from rustup, which rebuilds the standard library for
# scripts/build --tiny and adds targets; it downloads the toolchain when it is called for the first time.
{
  pkgs ? import <nixpkgs> { },
}:

pkgs.mkShell {
  packages = with pkgs; [
    catatonit
    criu
    fish
    iproute2
    iptables
    libseccomp
    mandoc
    podman
    pkg-config
    python3
    rustup
    shadow
    zsh
    # Its other names would stand before those of coreutils.
    (linkFarm "busybox" { "bin/busybox" = "${pkgsStatic.busybox}/bin/busybox"; })
  ];
}
