//! `kill`: a signal to a container's process, or to all of them.

use core::ffi::CStr;

use rustix::io::Errno;
use rustix::process::Signal;

use super::lock::locked;
use super::state::{self, Known};
use super::status::State;
use super::store::Store;
use crate::cgroup::Cgroup;
use crate::error::{Error, On, Result};
use crate::host::Cgroups;
use crate::sys::signal::send;

/// Sends signal number `signal`; with `all` to every process in the container's cgroup, and then it is no
/// error that its first one has ended. For the first one alone nobody is waited for: what hangs can be killed.
pub fn kill(store: &Store, id: &CStr, signal: i32, all: bool) -> Result<()> {
    let directory = store.open(id)?;
    let known = state::of(&directory)?;
    let Known { status, state } = &known;
    // Until it is set up, its first process is all that there is of it.
    if all
        && *state != State::Creating
        && let Some(path) = &status.cgroup
    {
        // The freezer is used, as by `pause`.
        let _locked = locked(store, id)?;
        return Cgroup::open(path, &Cgroups::read()?)?.signal_all(signal);
    }
    let gone = || known.not_running(&directory);
    match status.process.open()? {
        Some(process) if *state != State::Stopped => {
            match send(&process, signal) {
                Err(Errno::SRCH) => return Err(gone()),
                sent => sent.on(format_args!("pidfd_send_signal {signal}"))?,
            }
            // On its way to the gate, too, somebody may have frozen it.
            let may_be_frozen = matches!(state, State::Paused | State::Creating);
            match status.cgroup.as_deref().filter(|_| may_be_frozen && signal == Signal::KILL.as_raw()) {
                Some(path) => Cgroup::open(path, &Cgroups::read()?)?.thaw_to_kill(),
                None => Ok(()),
            }
        }
        _ if all => Ok(()),
        _ => Err(gone()),
    }
}

/// Signals by name, without SIG; the index is the number (signal(7), x86, arm and riscv).
pub static NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names.
static ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// The first and the last real-time signal, as programs count them: the C library keeps 32 and 33.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of a signal by name (with or without SIG, in any case, `RTMIN+3`) or number; 0 asks only whether it
/// could be sent (kill(2)).
pub fn signal_number(text: &str) -> Result<i32> {
    let unknown = || Error::invalid(format_args!("unknown signal \"{text}\""));
    if let Ok(number) = text.parse() {
        return if (0..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let short = text
        .get(..3)
        .filter(|start| start.eq_ignore_ascii_case("SIG"))
        .map_or(text, |_| text.get(3..).unwrap_or(""));
    let same = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(short);
    if let Some(number) = NAMES.iter().position(|name| same(name)) {
        return Ok(number as i32);
    }
    if let Some((_, number)) = ALIASES.iter().find(|(name, _)| same(name)) {
        return Ok(*number);
    }
    let (start, offset) = short.split_at_checked(5).ok_or_else(unknown)?;
    let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| unknown())? };
    let number = match start {
        _ if start.eq_ignore_ascii_case("RTMIN") && offset >= 0 => RTMIN.checked_add(offset),
        _ if start.eq_ignore_ascii_case("RTMAX") && offset <= 0 => RTMAX.checked_add(offset),
        _ => None,
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn signals() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("term", 15),
            ("9", 9),
            ("0", 0),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("64", 64),
            ("CLD", 17),
            ("STKFLT", 16),
        ] {
            assert_eq!(signal_number(text).unwrap(), number, "{text}");
        }
        for bad in ["", "SIG", "65", "-1", "NOPE", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN+x", "TERM2", "é"]
        {
            assert!(signal_number(bad).is_err(), "{bad}");
        }
    }
}
