{
  description = "mote, an OCI container runtime";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = use: nixpkgs.lib.genAttrs systems (system: use nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (
        pkgs:
        let
          mote = import ./default.nix { inherit pkgs; };
        in
        {
          default = mote;
        }
        // nixpkgs.lib.mapAttrs' (name: value: {
          name = "mote-${name}";
          inherit value;
        }) mote.cross
      );

      overlays.default = import ./overlay.nix;

      nixosModules.default = {
        imports = [ ./module.nix ];
      };

      devShells = each (pkgs: {
        default = import ./shell.nix { inherit pkgs; };
      });

      checks = each (pkgs: {
        package = pkgs.callPackage ./package.nix { };
        nixos = pkgs.testers.runNixOSTest ./test.nix;
      });
    };
}
