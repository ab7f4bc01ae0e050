# NixOS test of module.nix: each engine runs a container with mote. nix build ./nix#checks.x86_64-linux.nixos
#
# There is no network in the machine. The image is empty: the programs in a container are those of the machine.
{
  name = "mote";

  nodes.machine =
    { pkgs, ... }:
    {
      imports = [ ./module.nix ];
      virtualisation = {
        mote.enable = true;
        mote.default = true;
        podman.enable = true;
        docker.enable = true;
        containerd.enable = true;
        cri-o.enable = true;
        memorySize = 2048;
        diskSize = 4096;
      };
      environment.systemPackages = [ pkgs.cri-tools ];
      users.users.alice = {
        isNormalUser = true;
        linger = true;
      };
    };

  testScript = ''
    programs = "-v /nix/store:/nix/store -v /run/current-system/sw/bin:/bin"


    def prints(what: str, command: str, expected: str = "it works") -> None:
        with subtest(what):
            output = machine.succeed(command)
            assert expected in output, output


    def as_alice(command: str) -> str:
        return f"su - alice -c '{command}'"


    machine.wait_for_unit("multi-user.target")
    prints("the program", "mote --version", "mote version")
    machine.succeed("man -w mote-run")

    prints("podman's default", "podman info -f '{{.Host.OCIRuntime.Path}}'", "/bin/mote")
    machine.succeed("tar c -T /dev/null | podman import - empty")
    prints("podman", f"podman run --rm {programs} empty /bin/echo it works")
    prints("podman without a cgroup", f"podman run --rm --cgroups=disabled {programs} empty /bin/echo it works")

    machine.wait_for_unit("user@1000")
    machine.succeed(as_alice("tar c -T /dev/null | podman import - empty"))
    prints("podman of a user", as_alice(f"podman run --rm {programs} empty /bin/echo it works"))

    machine.wait_for_unit("docker")
    prints("docker's default", "docker info -f '{{.DefaultRuntime}}'", "mote")
    machine.succeed("tar c -T /dev/null | docker import - empty")
    prints("docker", f"docker run --rm --runtime mote {programs} empty /bin/echo it works")

    machine.wait_for_unit("containerd")
    prints("containerd's runtimes", "crictl -r unix:///run/containerd/containerd.sock info", "/bin/mote")
    mounts = " ".join(
        f"--mount type=bind,src={source},dst={destination},options=rbind:ro"
        for source, destination in [("/nix/store", "/nix/store"), ("/run/current-system/sw/bin", "/bin")]
    )
    machine.succeed("mkdir /root/empty")
    prints(
        "containerd",
        f"ctr run --rm --runc-binary $(command -v mote) {mounts} --rootfs /root/empty hello /bin/echo it works",
    )

    machine.wait_for_unit("crio")
    prints("CRI-O's runtimes", "crio status config", "/bin/mote")
  '';
}
