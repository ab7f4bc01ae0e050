# Tests of nix/module.nix: `true`, or an error with what differs.
{
  # The directory with the Nix files of docs/nix.md, and the rows of its table.
  page,
  table,
}:

let
  pkgs = import <nixpkgs> { };
  program = "${pkgs.callPackage ../../nix/package.nix { }}/bin/mote";

  # What virtualisation is after these settings of it.
  after =
    settings:
    (pkgs.nixos {
      imports = [
        ../../nix/module.nix
        { virtualisation = settings; }
      ];
    }).config.virtualisation;
  engines = {
    podman.enable = true;
    docker.enable = true;
    docker.rootless.enable = true;
    containerd.enable = true;
    cri-o.enable = true;
  };
  of = result: {
    podman = result.containers.containersConf.settings.engine or { };
    docker = result.docker.daemon.settings;
    rootless = result.docker.rootless.daemon.settings;
    containerd = result.containerd.settings.plugins or { };
    cri-o = result.cri-o.settings.crio.runtime or { };
  };
  # The plugin in both versions of the file.
  plugins = containerd: {
    "io.containerd.grpc.v1.cri" = { inherit containerd; };
    "io.containerd.cri.v1.runtime" = { inherit containerd; };
  };
  nothing = builtins.mapAttrs (_: _: { }) expected;

  expected = {
    podman = {
      runtimes.mote = [ program ];
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
      runtime_supports_nocgroup = [
        "crun"
        "krun"
        "mote"
      ];
    };
    docker.runtimes.mote.path = program;
    rootless.runtimes.mote.path = program;
    containerd = plugins {
      runtimes.mote = {
        runtime_type = "io.containerd.runc.v2";
        options.BinaryName = program;
      };
    };
    cri-o.runtimes.mote = {
      runtime_type = "oci";
      runtime_path = program;
      runtime_root = "/run/mote";
    };
  };
  asDefault = {
    podman.runtime = "mote";
    docker.default-runtime = "mote";
    rootless.default-runtime = "mote";
    containerd = plugins {
      runtimes = expected.containerd."io.containerd.cri.v1.runtime".containerd.runtimes;
      default_runtime_name = "mote";
    };
    cri-o.default_runtime = "mote";
  };

  same =
    what: actual: wanted:
    actual == wanted || throw "${what}: ${builtins.toJSON actual}, not ${builtins.toJSON wanted}";

  options = (after { }).mote;
  row = name: value: "${name} ${if name == "package" then "package.nix" else builtins.toJSON value}\n";
in

same "not enabled" (of (after engines)) nothing
&& same "without engines" (of (after { mote.enable = true; })) nothing
&& same "enabled" (of (after (engines // { mote.enable = true; }))) expected
&&
  same "the default"
    (of (
      after (
        engines
        // {
          mote.enable = true;
          mote.default = true;
        }
      )
    ))
    (builtins.mapAttrs (name: settings: settings // asDefault.${name}) expected)
&&
  # Each engine can be excluded; docker is one with rootless docker.
  builtins.all
    (
      engine:
      same "without ${engine}" (of (
        after (
          engines
          // {
            mote = {
              enable = true;
              ${engine} = false;
            };
          }
        )
      )) (expected // { ${engine} = { }; } // (if engine == "docker" then { rootless = { }; } else { }))
    )
    [
      "podman"
      "docker"
      "containerd"
      "cri-o"
    ]
&&
  same "configuration.nix of the page" (of (pkgs.nixos (page + "/configuration.nix")).config.virtualisation).podman
    expected.podman
&& same "the table of the page" table (
  builtins.concatStringsSep "" (map (name: row name options.${name}) (builtins.attrNames options))
)
