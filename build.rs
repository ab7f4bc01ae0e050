//! The commit that the program prints, how it is linked, and, with the feature `program`, the program that the library contains.
//! What the compiler must know of its target is in .cargo/config.toml.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> Result<(), Box<dyn Error>> {
    check_target()?;
    println!("cargo::rerun-if-env-changed=MOTE_COMMIT");
    let commit = env::var("MOTE_COMMIT").ok().or_else(checked_out).unwrap_or("unknown".into());
    println!("cargo::rustc-env=MOTE_COMMIT={commit}");
    #[cfg(feature = "program")]
    program::embed()?;
    link();
    Ok(())
}

/// The target of .cargo/config.toml on a machine with another CPU: a linker, which cross-compiling needs, shows that it is meant.
fn check_target() -> Result<(), String> {
    let (host, target) = (env::var("HOST").unwrap_or_default(), env::var("TARGET").unwrap_or_default());
    match host.split_once('-') {
        Some((cpu, _))
            if cpu != "x86_64"
                && target == "x86_64-unknown-linux-musl"
                && env::var_os("RUSTC_LINKER").is_none() =>
        {
            Err(format!(
                "cargo builds for {target} by default, and this machine is {host}: use scripts/build, or set \
                 CARGO_BUILD_TARGET={}; to cross-compile, set CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER",
                host.replace("-gnu", "-musl")
            ))
        }
        _ => Ok(()),
    }
}

/// The commit of this directory, if it is the top of a repository of git: one that contains it says nothing of it.
fn checked_out() -> Option<String> {
    if !Path::new(ROOT).join(".git").exists() {
        return None;
    }
    let git = Command::new("git")
        .args(["-C", ROOT, "rev-parse", "HEAD", "--git-path", "logs/HEAD"])
        .output()
        .ok()?;
    let output = String::from_utf8(git.stdout).ok().filter(|_| git.status.success())?;
    let (commit, log) = output.trim_end().split_once('\n')?;
    // Each commit and each checkout adds a line.
    println!("cargo::rerun-if-changed={}", Path::new(ROOT).join(log).display());
    Some(commit.into())
}

fn link() {
    let layout = format!("{ROOT}/scripts/layout.ld");
    println!("cargo::rerun-if-changed={layout}");
    println!("cargo::rerun-if-changed=build.rs");
    let has = |name: &str, word: &str| env::var(name).is_ok_and(|value| value.contains(word));
    // Options of ld(1), which a C compiler as the linker takes after `-Xlinker`; `-Wl` would split a path at a comma.
    let linker = env::var_os("RUSTC_LINKER").map(PathBuf::from);
    let is_lld = linker.is_some_and(|path| path.file_name().is_some_and(|name| name == "rust-lld"));
    let link = |option: &str| {
        if !is_lld {
            println!("cargo::rustc-link-arg-bin=mote=-Xlinker");
        }
        println!("cargo::rustc-link-arg-bin=mote={option}");
    };
    println!("cargo::rustc-check-cfg=cfg(c_start)");
    // RUSTFLAGS stand in the place of .cargo/config.toml: it is linked as the compiler has it, with `std` and the start-up code
    // of the C library, which relocates the program.
    if !has("CARGO_CFG_TARGET_ENV", "musl") || !has("CARGO_ENCODED_RUSTFLAGS", "relocation-model=static") {
        println!("cargo::rustc-cfg=c_start");
    } else {
        // The program has a start of its own (src/start.rs).
        if !is_lld {
            println!("cargo::rustc-link-arg-bin=mote=-nostartfiles");
        }
        link("--entry=mote_start");
        // With the precompiled `core`, memcpy and the like are those of musl; a `core` that is built with the program has them.
        if !has("CARGO_CFG_PANIC", "immediate-abort") {
            println!("cargo::rustc-link-arg-bin=mote=-lc");
        }
        // The ELF header has no segment of its own, nor has what would be read-only after relocation, where nothing is
        // relocated. Each costs a mapping and a page fault at every start.
        link("-znoseparate-code");
        link("-znorelro");
        // What runs together lies together. The linker would take minutes for the many functions of a debug build.
        if !has("OPT_LEVEL", "0") {
            link(&format!("-T{layout}"));
            // For scripts/layout.
            let map = env::var("OUT_DIR").unwrap_or_default();
            link(&format!("-Map={map}/mote.map"));
        }
    }
}

#[cfg(feature = "program")]
mod program {
    use super::*;
    use std::fs;

    type Result<T> = std::result::Result<T, Box<dyn Error>>;

    /// Writes the program, compressed, and its size to OUT_DIR.
    pub fn embed() -> Result<()> {
        println!("cargo::rerun-if-env-changed=MOTE_PROGRAM");
        let out = PathBuf::from(variable("OUT_DIR")?);
        let file = match env::var_os("MOTE_PROGRAM") {
            Some(file) => PathBuf::from(file),
            None => {
                ["src", "Cargo.toml", "Cargo.lock"]
                    .iter()
                    .for_each(|path| println!("cargo::rerun-if-changed={path}"));
                build(&out.join("program-build"))?
            }
        };
        println!("cargo::rerun-if-changed={}", file.display());
        let program = fs::read(&file).map_err(|error| format!("MOTE_PROGRAM {}: {error}", file.display()))?;
        fs::write(out.join("program"), miniz_oxide::deflate::compress_to_vec(&program, 10))?;
        let size = format!("const SIZE: usize = {};\n", program.len());
        Ok(fs::write(out.join("program_size.rs"), size)?)
    }

    fn variable(name: &str) -> Result<String> {
        env::var(name).map_err(|error| format!("{name}: {error}").into())
    }

    /// Builds the program for musl, as this package is: with the flags of its .cargo/config.toml, not with those of the
    /// program that the library becomes a part of.
    fn build(directory: &Path) -> Result<PathBuf> {
        let target = variable("TARGET")?.replace("-linux-gnu", "-linux-musl");
        let mut cargo = Command::new(variable("CARGO")?);
        cargo.current_dir(ROOT).arg("build").arg("--target-dir").arg(directory);
        cargo.args(["--release", "--locked", "--bin", "mote", "--target", &target]);
        for (name, _) in env::vars_os() {
            // What cargo has set for this script would change what is built.
            let is_ours = name.to_str().is_some_and(|name| {
                let prefixes = ["CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PROFILE_"];
                prefixes.iter().any(|prefix| name.starts_with(prefix))
                    || ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "TARGET", "RUSTC_WRAPPER"].contains(&name)
            });
            if is_ours {
                cargo.env_remove(name);
            }
        }
        match cargo.status()?.success() {
            true => Ok(directory.join(target).join("release/mote")),
            false => Err(format!(
                "the program that the library contains cannot be built for {target} (rustup target add {target}); \
                 a built one can be given by MOTE_PROGRAM"
            )
            .into()),
        }
    }
}
