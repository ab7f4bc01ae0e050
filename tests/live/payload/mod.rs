//! The payload: the test executable inside a container. A verb is an operation with a fixed number of arguments;
//! `payload VERB arguments VERB arguments ...` executes each verb and prints its results as `key=value` lines, with
//! `!ERRNO` as the value of an error.

mod attack;
mod files;
mod hook;
mod kernel;
mod process;
mod survive;
pub mod terminal;

use std::io::Write;

type Verb = fn(&[&str]);

/// Each verb with the number of its arguments.
const VERBS: &[(&str, usize, Verb)] = &[
    ("adopt", 1, process::adopt),
    ("args", 0, process::args),
    ("syscall", 1, kernel::syscall),
    ("open_rw", 1, files::open_rw),
    ("call", 1, kernel::call),
    ("caps", 0, kernel::caps),
    ("cgroup", 0, kernel::cgroup),
    ("child", 0, process::child),
    ("bind", 2, files::bind),
    ("beneath", 0, attack::beneath),
    ("climb", 0, attack::climb),
    ("clock", 0, kernel::clock),
    ("cpus", 0, kernel::cpus),
    ("create", 1, files::create),
    ("cwd", 0, process::cwd),
    ("deep", 2, attack::deep),
    ("device", 4, files::device),
    ("read_kib", 1, terminal::read_kib),
    ("allocate", 1, process::allocate),
    ("env", 0, process::env),
    ("exchange", 2, attack::exchange),
    ("exit", 1, process::exit),
    ("fds", 0, files::fds),
    ("fill", 2, files::fill),
    ("flood", 0, terminal::flood),
    ("fork", 1, process::fork),
    ("id", 0, process::id),
    ("into", 1, process::into),
    ("keyring", 1, attack::keyring),
    ("kill", 1, process::kill),
    ("limits", 0, kernel::limits),
    ("schedule", 0, kernel::schedule),
    ("line", 0, process::line),
    ("link", 1, files::link),
    ("list", 1, files::list),
    ("signal_children", 1, process::signal_children),
    ("lo", 0, kernel::loopback),
    ("raise_lo", 0, kernel::raise_loopback),
    ("survive", 1, survive::survive),
    ("echo", 1, survive::echo),
    ("connection", 0, survive::connection),
    ("lock", 1, survive::lock),
    ("tty_lines", 0, survive::tty_lines),
    ("datagrams", 1, survive::datagrams),
    ("mkdir", 1, files::mkdir),
    ("mknod", 1, files::mknod),
    ("mount", 1, files::mount),
    ("mounts", 0, kernel::mounts),
    ("nnp", 0, kernel::no_new_privileges),
    ("nodes", 0, kernel::nodes),
    ("ns", 0, kernel::namespaces),
    ("oom", 0, kernel::oom),
    ("open", 1, files::open),
    ("orphan", 0, process::orphan),
    ("access_processes", 0, attack::access_processes),
    ("put", 2, files::put),
    ("push_input", 1, terminal::push_input),
    ("hook_state", 0, hook::state),
    ("create_in_process", 1, hook::create_in_process),
    ("print_kib", 1, terminal::print_kib),
    ("raw", 0, terminal::raw),
    ("read", 1, files::read),
    ("reveal", 1, attack::reveal),
    ("say", 1, process::print_word),
    ("session", 0, attack::session),
    ("shallow", 1, attack::shallow),
    ("signals", 0, process::signals),
    ("stdin_length", 0, hook::stdin_length),
    ("size", 0, terminal::size),
    ("stat", 1, files::stat),
    ("stdin", 0, process::stdin),
    ("notify", 1, process::notify),
    ("tty", 0, terminal::tty),
    ("umask", 0, process::umask),
    ("unshare", 1, process::unshare),
    ("uts", 0, kernel::names),
    ("wait", 1, process::wait),
    ("warn", 1, process::warn),
    ("write", 1, files::write),
];

/// Executes all verbs; the exit code is 0 unless a verb ends the process.
pub fn main(arguments: &[String]) -> i32 {
    process::remember(arguments);
    let mut words = arguments.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        let Some((_, count, verb)) = VERBS.iter().find(|(name, ..)| *name == word) else {
            print("unknown", word);
            return 99;
        };
        let given: Vec<&str> = words.by_ref().take(*count).collect();
        if given.len() < *count {
            print("arguments", word);
            return 99;
        }
        verb(&given);
    }
    0
}

/// Prints one line with one write(2), so that lines of several processes do not mix.
fn print(key: &str, value: impl std::fmt::Display) {
    let value = value.to_string().replace('\\', "\\\\").replace('\n', "\\n");
    let line = format!("{key}={value}\n");
    // A closed standard output cannot be reported.
    let _ = std::io::stdout().write_all(line.as_bytes());
}

fn print_result(key: &str, result: std::io::Result<impl std::fmt::Display>) {
    match result {
        Ok(value) => print(key, value),
        Err(error) => print(key, format_args!("!{}", errno(&error))),
    }
}

fn number(word: &str) -> i32 {
    word.parse().unwrap_or(0)
}

/// The symbol of an error number, for those that occur in the tests.
fn errno(error: &std::io::Error) -> String {
    let number = error.raw_os_error().unwrap_or(0);
    let name = match number {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EXDEV => "EXDEV",
        libc::ENODEV => "ENODEV",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ENXIO => "ENXIO",
        libc::EROFS => "EROFS",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ELOOP => "ELOOP",
        libc::ENOSYS => "ENOSYS",
        libc::EIO => "EIO",
        _ => return format!("E{number}"),
    };
    name.to_string()
}
