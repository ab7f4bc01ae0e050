//! The live tests: real containers, with their effect reported from inside by a static payload, which is this
//! same binary. `cargo test --test live -- [WORD...]` runs the tests whose names contain one of the words, on the
//! debug build; `MOTE` names another runtime to test, `MUST=1` makes skips failures, `JOBS` says how many run at a
//! time, `LAYOUT=v1` or `v2` shows the runtime nothing but that kind of cgroups. They need root; the payload must be
//! static, so the target is musl.

// The C library calls `main` itself: Rust's own start-up ignores SIGPIPE, and the payload reports signals.
#![no_main]
// Nothing is reached from outside, and printing is how a test binary speaks.
#![allow(unreachable_pub, missing_docs, clippy::print_stdout, clippy::print_stderr)]

mod attack;
mod bundle;
mod cgroups;
mod check;
mod clean;
mod clients;
mod command;
mod commands;
mod crash;
mod exec;
mod facts;
mod filter;
mod hooks;
mod json;
mod killed;
mod links;
mod missing;
mod namespaces;
mod nested;
mod payload;
mod process;
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

const ROOMS: &[&[Test]] = &[
    namespaces::new::TESTS,
    namespaces::join::TESTS,
    namespaces::setting::TESTS,
    namespaces::device::TESTS,
    rootfs::bind::TESTS,
    rootfs::mount::TESTS,
    rootfs::many::TESTS,
    rootfs::refused::TESTS,
    rootfs::long::TESTS,
    rootfs::over::TESTS,
    rootfs::order::TESTS,
    rootfs::own::TESTS,
    rootfs::cgroup::TESTS,
    rootfs::propagation::TESTS,
    rootfs::device::TESTS,
    rootfs::idmap::TESTS,
    rootfs::mask::TESTS,
    rootfs::root::TESTS,
    rootfs::symlink::TESTS,
    rootfs::attack::TESTS,
    attack::cwd::TESTS,
    attack::host::TESTS,
    attack::passwd::TESTS,
    attack::pod::TESTS,
    attack::proc::TESTS,
    attack::race::TESTS,
    attack::stop::TESTS,
    process::caller::TESTS,
    process::identity::TESTS,
    process::capability::TESTS,
    process::label::TESTS,
    process::selinux::TESTS,
    process::limit::TESTS,
    process::program::TESTS,
    process::interpreter::TESTS,
    process::end::TESTS,
    process::schedule::TESTS,
    process::signal::TESTS,
    process::descriptor::TESTS,
    filter::action::TESTS,
    filter::argument::TESTS,
    filter::death::TESTS,
    filter::handover::TESTS,
    filter::listener::TESTS,
    filter::own::TESTS,
    cgroups::path::TESTS,
    cgroups::limit::TESTS,
    cgroups::named::TESTS,
    cgroups::own::TESTS,
    cgroups::block::TESTS,
    cgroups::unified::TESTS,
    cgroups::update::TESTS,
    cgroups::rules::TESTS,
    cgroups::devices::TESTS,
    cgroups::small::TESTS,
    cgroups::kill::TESTS,
    cgroups::frozen::TESTS,
    cgroups::gone::TESTS,
    cgroups::threaded::TESTS,
    cgroups::stranger::TESTS,
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
    commands::record::TESTS,
    commands::events::TESTS,
    commands::kill::TESTS,
    commands::id::TESTS,
    commands::spec::TESTS,
    commands::text::TESTS,
    commands::update::TESTS,
    exec::what::TESTS,
    exec::file::TESTS,
    exec::end::TESTS,
    exec::place::TESTS,
    exec::moment::TESTS,
    hooks::before::TESTS,
    hooks::order::TESTS,
    hooks::given::TESTS,
    hooks::hanging::TESTS,
    hooks::failure::TESTS,
    terminal::foreground::TESTS,
    terminal::flow::TESTS,
    terminal::socket::TESTS,
    terminal::attack::TESTS,
    rootless::TESTS,
    nested::TESTS,
    missing::TESTS,
    crash::TESTS,
    killed::TESTS,
    links::TESTS,
    clients::TESTS,
];

#[allow(unsafe_code)]
// SAFETY: no other symbol of this name exists, as `no_main` keeps Rust from making one.
#[unsafe(no_mangle)]
pub extern "C" fn main(argc: i32, argv: *const *const libc::c_char) -> i32 {
    let arguments = sys::arguments(argc, argv);
    let own = arguments.first().map(Path::new).and_then(Path::file_name);
    if own.is_some_and(|name| name == "payload") {
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

/// Everything happens in a mount namespace of the suite's own, so that no mount can stay behind.
fn suite(words: &[String]) -> Result<Count, String> {
    let told = |error: std::io::Error| error.to_string();
    if !cfg!(target_feature = "crt-static") {
        return Err("the payload must be static: test with --target of a *-linux-musl".to_string());
    }
    let plain = |test: &'static Test| Case { name: test.name.to_string(), test, refused: &[] };
    let tests = ROOMS.iter().copied().flatten();
    let cases: Vec<Case> = tests.map(plain).chain(missing::again()).collect();
    let ([_, user, _], _) = sys::identity();
    if user != 0 {
        return Ok(runner::skip_all(&cases, "needs root"));
    }
    sys::ignore_broken_pipes();
    sys::unshare(libc::CLONE_NEWNS).map_err(told)?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    sys::mount("none", Path::new("/"), "", private, "").map_err(told)?;
    let suite = Suite::new().map_err(|stop| match stop {
        check::Stop::Fail(why) | check::Stop::Skip(why) | check::Stop::SkipAllowed(why) => why,
    })?;
    let count = runner::run(&suite, &cases, words);
    std::fs::remove_dir_all(&suite.dir).map_err(told)?;
    Ok(count)
}
