# Machines, as nixpkgs describes them: what package.nix reads, and rust.nix.
let
  platform = system: cpu: libc: {
    inherit system cpu libc;
    isStatic = false;
    rust.rustcTarget = "${cpu}-unknown-linux-${libc}";
    # A machine runs its own programs, whichever C library they have.
    canExecute = other: other.cpu == cpu;
    emulator = _: "/usr/bin/qemu-${builtins.head (builtins.split "-" system)}-static";
  };
  musl = {
    gnu = "musl";
    gnueabihf = "musleabihf";
  };
in
rec {
  native = {
    x86_64-linux = platform "x86_64-linux" "x86_64" "gnu";
    aarch64-linux = platform "aarch64-linux" "aarch64" "gnu";
  };
  cross = {
    musl64 = platform "x86_64-linux" "x86_64" "musl";
    aarch64-multiplatform = native.aarch64-linux;
    aarch64-multiplatform-musl = platform "aarch64-linux" "aarch64" "musl";
    riscv64 = platform "riscv64-linux" "riscv64gc" "gnu";
    armv7l-hf-multiplatform = platform "armv7l-linux" "armv7" "gnueabihf";
  };
  static = host: platform host.system host.cpu (musl.${host.libc} or host.libc) // { isStatic = true; };
}
