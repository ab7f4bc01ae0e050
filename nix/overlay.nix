# Adds `mote` to nixpkgs, and to each package set of pkgsCross.
final: _: {
  mote = final.callPackage ./package.nix { };
}
