//! The environment, and HOME from the container's /etc/passwd (environ(7), passwd(5)).

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, read};

use super::exec::check_lengths;
use crate::error::Result;
use crate::sys::exec::Strings;

/// The environment of the process.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The variables, as execve(2) takes them.
    pub variables: Strings<'a>,
    /// Whether HOME is not among them, so that the user's home directory is looked up.
    pub needs_home: bool,
}

impl<'a> Plan<'a> {
    /// The variables of `process.env`. A string without `=` is passed unchanged.
    pub fn new(env: &[&'a CStr]) -> Result<Self> {
        check_lengths("env", env)?;
        let variables = last_of_each(env);
        let needs_home = !variables.iter().any(|variable| name(variable) == b"HOME=");
        Ok(Plan { variables: Strings::new(&variables), needs_home })
    }
}

/// An empty HOME is treated as missing: that of the user is set instead.
const EMPTY_HOME: &CStr = c"HOME=";

/// The name of a variable with its `=`; the whole string if it has none.
fn name(variable: &CStr) -> &[u8] {
    variable.to_bytes().split_inclusive(|byte| *byte == b'=').next().unwrap_or_default()
}

/// The last variable of each name, in the given order: engines append theirs to the image's, and getenv(3) would find
/// the first.
fn last_of_each<'a>(env: &[&'a CStr]) -> Vec<&'a CStr> {
    let mut names: Vec<_> = env.iter().enumerate().map(|(place, variable)| (name(variable), place)).collect();
    names.sort_unstable();
    let mut counts = vec![true; env.len()];
    for two in names.windows(2) {
        if let [(one, place), (next, _)] = two
            && one == next
            && let Some(counts) = counts.get_mut(*place)
        {
            *counts = false;
        }
    }
    let counted =
        env.iter().copied().zip(counts).filter(|(variable, counts)| *counts && *variable != EMPTY_HOME);
    counted.map(|(variable, _)| variable).collect()
}

/// `HOME=...` for a user of the container, in `space`: the home directory in the first line of /etc/passwd with this
/// UID, or `/`. The file is part of the image, so its content is untrusted: lines that are invalid or too long are
/// skipped.
pub fn home(uid: u32, space: &mut [u8; 512]) -> &CStr {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(CWD, c"/etc/passwd", flags, Mode::empty());
    if let Ok(passwd) = opened.and_then(|file| regular(&file).map(|()| file)) {
        let (mut chunk, mut line, mut length) = ([0u8; 1024], [0u8; 512], 0usize);
        let mut left = MOST;
        while let Ok(count @ 1..) = read(&passwd, &mut chunk) {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
            for byte in chunk.iter().take(count) {
                if *byte != b'\n' {
                    if let Some(place) = line.get_mut(length) {
                        *place = *byte;
                    }
                    length += 1;
                    continue;
                }
                if let Some(home) = line.get(..length).and_then(|line| home_of(line, uid)) {
                    return assemble(home, space);
                }
                length = 0;
            }
        }
        if let Some(home) = line.get(..length).and_then(|line| home_of(line, uid)) {
            return assemble(home, space);
        }
    }
    assemble(b"/", space)
}

/// The maximum number of bytes that are read: the image determines the length of the file (a sparse file).
const MOST: usize = 1 << 20;

fn regular(file: &OwnedFd) -> rustix::io::Result<()> {
    match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// The home directory, which is the sixth field, of a line whose third field is `uid`.
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = core::str::from_utf8(fields.nth(2)?).ok()?;
    let home = fields.nth(2)?;
    (number.parse() == Ok(uid) && home.first() == Some(&b'/')).then_some(home)
}

fn assemble<'a>(home: &[u8], space: &'a mut [u8; 512]) -> &'a CStr {
    let text = b"HOME=".iter().chain(home).chain(b"\0");
    for (place, byte) in space.iter_mut().zip(text) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(space).unwrap_or(c"HOME=/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        assert_eq!(home_of(b"root:x:0:0:root:/root:/bin/sh", 0), Some(&b"/root"[..]));
        assert_eq!(home_of(b"root:x:0:0:root:/root:/bin/sh", 1), None);
        for bad in [&b"0:0:0"[..], b"", b"a:x:-0:0::/x:", b"a:x:0:0:c:relative:/bin/sh", b"::::::"] {
            assert_eq!(home_of(bad, 0), None);
        }
    }

    #[track_caller]
    fn check(env: &[&CStr], variables: &[&CStr], needs_home: bool) {
        let plan = Plan::new(env).unwrap();
        assert_eq!(alloc::format!("{:?}", plan.variables), alloc::format!("{variables:?}"));
        assert_eq!(plan.needs_home, needs_home);
    }

    #[test]
    fn the_last_of_a_name_is_kept_in_order() {
        check(&[c"A=1", c"B=1", c"A=2", c"C=1"], &[c"B=1", c"A=2", c"C=1"], true);
        check(&[c"PATH=/a", c"A=1", c"PATH=/b"], &[c"A=1", c"PATH=/b"], true);
        // These names are all different.
        let different = [c"A=1", c"AB=1", c"A!=1", c"a=1", c"A", c"=1", c""];
        check(&different, &different, true);
        check(&[c"A", c"A", c"=1", c"=2"], &[c"A", c"=2"], true);
    }

    #[test]
    fn an_empty_home_is_none() {
        check(&[c"A=1", c"HOME="], &[c"A=1"], true);
        check(&[c"HOME=/x", c"HOME="], &[], true);
        check(&[c"HOME=", c"HOME=/x"], &[c"HOME=/x"], false);
        check(&[c"HOME=/x"], &[c"HOME=/x"], false);
        check(&[c"HOMES=", c"XHOME="], &[c"HOMES=", c"XHOME="], true);
    }
}
