# The machines that mote is built for, and their names in pkgsCross.
{
  x86_64 = "musl64";
  aarch64 = "aarch64-multiplatform-musl";
  riscv64 = "riscv64";
  armv7 = "armv7l-hf-multiplatform";
}
