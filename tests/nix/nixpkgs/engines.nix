# The options of NixOS that nix/module.nix and nix/test.nix set.
{ lib, ... }:

let
  option =
    type: default:
    lib.mkOption {
      inherit type default;
    };
  enable = option lib.types.bool false;
  settings = option (lib.types.attrsOf lib.types.anything) { };
in
{
  options = {
    environment.systemPackages = option (lib.types.listOf lib.types.package) [ ];
    users.users = settings;
    virtualisation = {
      memorySize = option lib.types.anything null;
      diskSize = option lib.types.anything null;
      containers.containersConf.settings = settings;
      podman.enable = enable;
      docker = {
        inherit enable;
        daemon.settings = settings;
        rootless = {
          inherit enable;
          daemon.settings = settings;
        };
      };
      containerd = {
        inherit enable settings;
      };
      cri-o = {
        inherit enable settings;
      };
    };
  };
}
