//! How the program is linked. What the compiler must know of its target is in .cargo/config.toml.

use std::env;

fn main() {
    let layout = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/layout.ld");
    println!("cargo::rerun-if-changed={layout}");
    println!("cargo::rerun-if-changed=build.rs");
    let has = |name: &str, word: &str| env::var(name).is_ok_and(|value| value.contains(word));
    // Otherwise it is linked as the compiler has it: RUSTFLAGS stand in the place of .cargo/config.toml.
    if has("CARGO_CFG_TARGET_ENV", "musl") && has("CARGO_ENCODED_RUSTFLAGS", "relocation-model=static") {
        // The ELF header has no segment of its own, nor has what would be read-only after relocation, where nothing is
        // relocated. Each costs a mapping and a page fault at every start.
        println!("cargo::rustc-link-arg-bin=mote=-Wl,-z,noseparate-code,-z,norelro");
        // What runs together lies together. The linker would take minutes for the many functions of a debug build.
        if !has("OPT_LEVEL", "0") {
            println!("cargo::rustc-link-arg-bin=mote=-T{layout}");
            // For scripts/layout.
            let map = env::var("OUT_DIR").unwrap_or_default();
            println!("cargo::rustc-link-arg-bin=mote=-Wl,-Map={map}/mote.map");
        }
    }
}
