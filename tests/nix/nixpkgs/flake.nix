{
  description = "A stand-in for nixpkgs";

  outputs = _: {
    lib = (import ./. { system = "x86_64-linux"; }).lib // {
      nixosSystem = { system, modules }: (import ./. { inherit system; }).nixos { imports = modules; };
    };
    legacyPackages = builtins.mapAttrs (system: _: import ./. { inherit system; }) (import ./platforms.nix).native;
  };
}
