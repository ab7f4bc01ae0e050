//! The environment, and HOME out of the container's /etc/passwd (environ(7), passwd(5)).

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, read};

use super::exec::strings;
use crate::error::Result;
use crate::sys::exec::Strings;

/// The variables, as execve(2) takes them.
#[derive(Debug)]
pub struct Plan<'a> {
    pub variables: Strings<'a>,
    /// No HOME among them: the user's is looked up.
    pub needs_home: bool,
}

impl<'a> Plan<'a> {
    /// Every string is given on as it is.
    pub fn new(env: &[&'a CStr]) -> Result<Self> {
        let needs_home =
            !env.iter().any(|v| v.to_bytes().strip_prefix(b"HOME=").is_some_and(|home| !home.is_empty()));
        Ok(Plan { variables: strings("env", env)?, needs_home })
    }
}

/// `HOME=...` for a user of the container, in `space`: the home directory of the first line of
/// /etc/passwd with this uid, or `/`. The file is the image's, so anything may stand in it: lines that are
/// not understood, or too long, are passed over.
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

/// How much of the file is read: it may be as long as its maker wished (a link to /dev/zero, a sparse file).
const MOST: usize = 1 << 20;

fn regular(file: &OwnedFd) -> rustix::io::Result<()> {
    match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// The sixth field of a line whose third is `uid`.
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

    #[test]
    fn an_empty_home_is_none() {
        assert!(Plan::new(&[c"A=1", c"HOME="]).unwrap().needs_home);
        assert!(!Plan::new(&[c"HOME=/x"]).unwrap().needs_home);
    }
}
