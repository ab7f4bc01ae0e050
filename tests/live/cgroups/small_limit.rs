//! Memory limits so small that only the program itself fits: the set-up by the runtime must not be charged.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::controller_dir;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![memory_limit_of_1_mib_runs_a_tiny_program, memory_minimum_of_features_runs_a_tiny_program];

/// `exit(7)` in the instructions of this processor.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[0xe0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4];
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(target_arch = "riscv64")]
const CODE: &[u8] = &[0x13, 0x05, 0x70, 0, 0x93, 0x08, 0xd0, 0x05, 0x73, 0, 0, 0];
#[cfg(target_arch = "riscv64")]
const MACHINE: u16 = 243;

/// The smallest ELF file that the kernel executes: the headers, one segment, and a few instructions.
pub fn tiny_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + CODE.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2u16, MACHINE].map(u16::to_le_bytes).concat());
    elf.extend(1u32.to_le_bytes());
    elf.extend([BASE + HEADERS, 64, 0].map(u64::to_le_bytes).concat());
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    // One segment that can be loaded, readable and executable: the whole file.
    elf.extend([1u32, 5].map(u32::to_le_bytes).concat());
    elf.extend([0, BASE, BASE, size, size, 0x1000].map(u64::to_le_bytes).concat());
    elf.extend(CODE);
    elf
}

fn runs_within(rig: &Rig, bytes: i64) -> Outcome {
    controller_dir(rig, "memory", "memory")?;
    let mut bundle = rig.bundle()?;
    let program = bundle.host_path("tiny");
    fs::write(&program, tiny_program())?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    bundle.set("process.args", json!(["/tiny"]));
    bundle.set("linux.resources.memory.limit", bytes);
    // The kernel charges 64 pages at once and keeps the unused ones for the same CPU. If the limit is reached, it takes
    // them back from other CPUs, but an OOM kill may come before a busy CPU has answered.
    bundle.set("linux.resources.cpu", json!({"cpus": "0", "mems": "0"}));
    // Five times, as one run may succeed by chance.
    for _ in 0..5 {
        let output = rig.run(&bundle, &[])?;
        same("the standard error", output.stderr.as_str(), "")?;
        same("exit code", output.code(), 7)?;
    }
    Ok(())
}

fn memory_limit_of_1_mib_runs_a_tiny_program(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc itself needs more");
    }
    runs_within(rig, 1 << 20)
}

fn memory_minimum_of_features_runs_a_tiny_program(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun themselves need more");
    }
    let features = Json::parse(&rig.mote(&["features"])?.success()?.stdout)?;
    let smallest = features.at("annotations").at("io.github.mote.memory.limit.minimum").text().parse()?;
    holds("the minimum is at most 256 KiB", smallest <= 256 << 10)?;
    runs_within(rig, smallest)
}
