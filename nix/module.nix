# virtualisation.mote: mote as a runtime of the container engines of a NixOS system.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.virtualisation.mote;
  engines = config.virtualisation;
  program = "${cfg.package}/bin/mote";
  engine =
    name:
    lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether to add mote to the runtimes of ${name}, if ${name} is enabled.";
    };
in

{
  options.virtualisation.mote = {
    enable = lib.mkEnableOption "mote, an OCI container runtime";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package of mote.";
    };

    default = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether mote is the default runtime of the engines.";
    };

    podman = engine "podman";
    docker = engine "docker";
    containerd = engine "containerd";
    cri-o = engine "CRI-O";
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    virtualisation.containers.containersConf.settings.engine = lib.mkIf (cfg.podman && engines.podman.enable) {
      runtimes.mote = [ program ];
      # The lists replace podman's own, and so name the others too.
      runtime_supports_json = [
        "crun"
        "krun"
        "kata"
        "runc"
        "runsc"
        "youki"
        "ocijail"
        "mote"
      ];
      # In containers.conf(5) the key has a final s, which podman does not read.
      runtime_supports_nocgroup = [
        "crun"
        "krun"
        "mote"
      ];
      runtime = lib.mkIf cfg.default "mote";
    };

    virtualisation.docker =
      let
        settings = {
          runtimes.mote.path = program;
          default-runtime = lib.mkIf cfg.default "mote";
        };
      in
      lib.mkIf cfg.docker {
        daemon.settings = lib.mkIf engines.docker.enable settings;
        rootless.daemon.settings = lib.mkIf engines.docker.rootless.enable settings;
      };

    # The plugin has a name for each version of the file, 2 and 3. Each ignores the other's.
    virtualisation.containerd.settings.plugins = lib.mkIf (cfg.containerd && engines.containerd.enable) (
      lib.genAttrs [ "io.containerd.grpc.v1.cri" "io.containerd.cri.v1.runtime" ] (_: {
        containerd = {
          runtimes.mote = {
            runtime_type = "io.containerd.runc.v2";
            options.BinaryName = program;
          };
          default_runtime_name = lib.mkIf cfg.default "mote";
        };
      })
    );

    virtualisation.cri-o.settings.crio.runtime = lib.mkIf (cfg.cri-o && engines.cri-o.enable) {
      runtimes.mote = {
        runtime_type = "oci";
        runtime_path = program;
        runtime_root = "/run/mote";
      };
      default_runtime = lib.mkIf cfg.default "mote";
    };
  };
}
