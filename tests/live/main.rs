//! The live tests: each runs a container with the runtime under test; a static payload, which is this same
//! executable, reports from inside what it sees. `cargo test --test live -- [WORD...]` runs the tests whose names
//! contain one of the words, with the debug build. Environment variables: `MOTE` is the runtime to test; with `MUST=1`
//! a skipped test is a failure; `JOBS` is the number of tests that run at a time; `LAYOUT=v1` or `v2` hides the other
//! cgroup version from the runtime. The tests need root. The payload must be static, so the target is musl.

// The C library calls `main` itself: Rust's own start-up ignores SIGPIPE, and the payload reports signals.
#![no_main]
// No other crate uses these items, and the results are printed.
#![allow(unreachable_pub, missing_docs, clippy::print_stdout, clippy::print_stderr)]

mod attack;
mod bundle;
mod by_hand;
mod cgroups;
mod check;
mod checkpoint;
mod checkpoint_page;
mod cleanup;
mod clients;
mod command;
mod commands;
mod crash;
mod cve;
mod denied;
mod elf;
mod exec;
mod filter;
mod hooks;
mod id_helper;
mod inside;
mod json;
mod killed;
mod library;
mod links;
mod missing;
mod namespaces;
mod nested;
mod payload;
mod privileges;
mod process;
mod report;
mod rig;
mod rootfs;
mod rootless;
mod runner;
mod socket;
mod sys;
mod terminal;

use std::path::Path;

use rig::Suite;
use runner::{Case, Count, Test};

const GROUPS: &[&[Test]] = &[
    namespaces::new::TESTS,
    namespaces::join::TESTS,
    namespaces::mapping::TESTS,
    namespaces::owner::TESTS,
    namespaces::setting::TESTS,
    namespaces::device::TESTS,
    rootfs::bind::TESTS,
    rootfs::mount::TESTS,
    rootfs::many_mounts::TESTS,
    rootfs::mount_error::TESTS,
    rootfs::long_options::TESTS,
    rootfs::over_root::TESTS,
    rootfs::host_mounts::TESTS,
    rootfs::order::TESTS,
    rootfs::default_files::TESTS,
    rootfs::cgroup::TESTS,
    rootfs::propagation::TESTS,
    rootfs::device::TESTS,
    rootfs::idmap::TESTS,
    rootfs::mask::TESTS,
    rootfs::root::TESTS,
    rootfs::shared::TESTS,
    rootfs::symlink::TESTS,
    rootfs::attack::TESTS,
    checkpoint::survive::TESTS,
    checkpoint::mounts::TESTS,
    checkpoint::placement::TESTS,
    checkpoint::connection::TESTS,
    checkpoint::options::TESTS,
    checkpoint::terminal::TESTS,
    checkpoint::failure::TESTS,
    checkpoint::killed::TESTS,
    attack::host::TESTS,
    attack::passwd::TESTS,
    attack::pod::TESTS,
    attack::stop::TESTS,
    cve::cgroup::TESTS,
    cve::descriptor::TESTS,
    cve::device::TESTS,
    cve::hook::TESTS,
    cve::identity::TESTS,
    cve::mask::TESTS,
    cve::mount::TESTS,
    cve::other_process::TESTS,
    cve::own_file::TESTS,
    cve::procfs::TESTS,
    cve::race::TESTS,
    cve::terminal::TESTS,
    cve::value::TESTS,
    process::caller::TESTS,
    process::identity::TESTS,
    process::capability::TESTS,
    process::apparmor::TESTS,
    process::selinux::TESTS,
    process::limit::TESTS,
    process::program::TESTS,
    process::interpreter::TESTS,
    process::exit::TESTS,
    process::schedule::TESTS,
    process::signal::TESTS,
    process::descriptor::TESTS,
    filter::action::TESTS,
    filter::argument::TESTS,
    filter::early_kill::TESTS,
    filter::foreign::TESTS,
    filter::listener_error::TESTS,
    filter::listener::TESTS,
    filter::mote_calls::TESTS,
    filter::user_namespace::TESTS,
    cgroups::path::TESTS,
    cgroups::limit::TESTS,
    cgroups::named::TESTS,
    cgroups::unprivileged::TESTS,
    cgroups::undelegated::TESTS,
    cgroups::user_manager::TESTS,
    cgroups::block::TESTS,
    cgroups::unified::TESTS,
    cgroups::update::TESTS,
    cgroups::device_rules::TESTS,
    cgroups::devices::TESTS,
    cgroups::small_limit::TESTS,
    cgroups::kill::TESTS,
    cgroups::frozen::TESTS,
    cgroups::removed::TESTS,
    cgroups::threaded::TESTS,
    cgroups::occupied::TESTS,
    cgroups::deep::TESTS,
    cgroups::delegate::TESTS,
    cgroups::systemd::TESTS,
    cgroups::scope::TESTS,
    cgroups::bus::TESTS,
    commands::lifecycle::TESTS,
    commands::state::TESTS,
    commands::list::TESTS,
    commands::memory::TESTS,
    commands::mounts::TESTS,
    commands::notify::TESTS,
    commands::pause::TESTS,
    commands::status_file::TESTS,
    commands::events::TESTS,
    commands::kill::TESTS,
    commands::id::TESTS,
    commands::spec::TESTS,
    commands::cli::TESTS,
    commands::update::TESTS,
    exec::process::TESTS,
    exec::file::TESTS,
    exec::exit::TESTS,
    exec::placement::TESTS,
    exec::state::TESTS,
    hooks::before_root::TESTS,
    hooks::order::TESTS,
    hooks::input::TESTS,
    hooks::blocking::TESTS,
    hooks::failure::TESTS,
    terminal::foreground::TESTS,
    terminal::flow::TESTS,
    terminal::socket::TESTS,
    terminal::attack::TESTS,
    rootless::TESTS,
    id_helper::TESTS,
    by_hand::TESTS,
    inside::chroot::TESTS,
    inside::engine::TESTS,
    inside::image::TESTS,
    inside::limit::TESTS,
    inside::procfs::TESTS,
    inside::surroundings::TESTS,
    nested::TESTS,
    privileges::TESTS,
    missing::TESTS,
    denied::TESTS,
    crash::TESTS,
    killed::TESTS,
    links::TESTS,
    library::rust::TESTS,
    library::c::TESTS,
    library::python::TESTS,
    checkpoint_page::TESTS,
    clients::TESTS,
    clients::checkpoint::TESTS,
    clients::rootless::TESTS,
    clients::user_manager::TESTS,
];

#[allow(unsafe_code)]
// SAFETY: no other symbol of this name exists, as `no_main` keeps Rust from making one.
#[unsafe(no_mangle)]
pub extern "C" fn main(argc: i32, argv: *const *const libc::c_char) -> i32 {
    let arguments = sys::arguments(argc, argv);
    let program = arguments.first().map(Path::new).and_then(Path::file_name);
    if program.is_some_and(|name| name == "payload") {
        return payload::main(&arguments);
    }
    let words: Vec<String> = arguments.into_iter().skip(1).filter(|word| !word.starts_with('-')).collect();
    match suite(&words) {
        Ok(count) => {
            println!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
            i32::from(count.failed > 0)
        }
        Err(why) => {
            eprintln!("live: {why}");
            1
        }
    }
}

/// Runs in a new mount namespace, so that no mount is left on the host.
fn suite(words: &[String]) -> Result<Count, String> {
    let text = |error: std::io::Error| error.to_string();
    if !cfg!(target_feature = "crt-static") {
        return Err("the payload must be static: test with --target of a *-linux-musl".to_string());
    }
    let plain = |test: &'static Test| Case { name: test.name.to_string(), test, denied: &[] };
    let tests = GROUPS.iter().copied().flatten();
    let cases: Vec<Case> = tests.map(plain).chain(missing::repeated()).collect();
    let ([_, user, _], _) = sys::identity();
    if user != 0 {
        return Ok(runner::skip_all(&cases, "needs root"));
    }
    sys::ignore_broken_pipes();
    sys::unshare(libc::CLONE_NEWNS).map_err(text)?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    sys::mount("none", Path::new("/"), "", private, "").map_err(text)?;
    let suite = Suite::new().map_err(|stop| match stop {
        check::Stop::Fail(why) | check::Stop::Skip(why) | check::Stop::SkipAllowed(why) => why,
    })?;
    let count = runner::run(&suite, &cases, words);
    std::fs::remove_dir_all(&suite.dir).map_err(text)?;
    Ok(count)
}
