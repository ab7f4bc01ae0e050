//! How the program is linked, and, with the feature `program`, the program that the library contains. What the compiler must
//! know of its target is in .cargo/config.toml.

use std::env;

fn main() {
    #[cfg(feature = "program")]
    program::embed();
    link();
}

fn link() {
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

#[cfg(feature = "program")]
mod program {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Writes the program, compressed, and its size to OUT_DIR.
    pub fn embed() {
        println!("cargo::rerun-if-env-changed=MOTE_PROGRAM");
        println!("cargo::rerun-if-changed=src");
        println!("cargo::rerun-if-changed=Cargo.toml");
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR is set"));
        let file = match env::var_os("MOTE_PROGRAM") {
            Some(file) => PathBuf::from(file),
            None => build(&out.join("program-build")),
        };
        println!("cargo::rerun-if-changed={}", file.display());
        let program =
            fs::read(&file).unwrap_or_else(|error| panic!("MOTE_PROGRAM {}: {error}", file.display()));
        let compressed = miniz_oxide::deflate::compress_to_vec(&program, 10);
        fs::write(out.join("program"), compressed).expect("OUT_DIR is writable");
        let size = format!("const SIZE: usize = {};\n", program.len());
        fs::write(out.join("program_size.rs"), size).expect("OUT_DIR is writable");
    }

    /// Builds the program for musl, as this package is: with the flags of its .cargo/config.toml, not with those of the program
    /// that the library becomes a part of.
    fn build(directory: &Path) -> PathBuf {
        let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("CARGO_CFG_TARGET_ARCH is set");
        let abi = if arch == "arm" { "musleabihf" } else { "musl" };
        let arch = match arch.as_str() {
            "arm" => "armv7",
            "riscv64" => "riscv64gc",
            other => other,
        };
        let target = format!("{arch}-unknown-linux-{abi}");
        let mut cargo = Command::new(env::var_os("CARGO").expect("CARGO is set"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--release", "--locked", "--bin", "mote", "--target", &target, "--target-dir"]);
        cargo.arg(directory);
        for (name, _) in env::vars_os() {
            // What cargo has set for this script would change what is built.
            let is_ours = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_FEATURE_")
                    || name.starts_with("CARGO_CFG_")
                    || name.starts_with("CARGO_PROFILE_")
                    || ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "TARGET", "RUSTC_WRAPPER"].contains(&name)
            });
            if is_ours {
                cargo.env_remove(name);
            }
        }
        let status = cargo.status().expect("cargo can be executed");
        assert!(
            status.success(),
            "the program that the library contains cannot be built for {target} (rustup target add {target}); a built one can be \
             given by MOTE_PROGRAM"
        );
        directory.join(target).join("release/mote")
    }
}
