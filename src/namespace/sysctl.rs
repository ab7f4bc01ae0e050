//! Namespaced kernel parameters, `linux.sysctl` (sysctl(8), proc_sys(5); config-linux.md, "Sysctl").

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::write;

use super::{Plan as Namespaces, uts};
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{Error, On, Result, Show};

/// The plan of kernel parameters: (path below /proc, value), in the order in which they are written.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    writes: Vec<(CString, &'a CStr)>,
}

/// The parameters of an IPC namespace, besides those that begin with `fs.mqueue.`.
static IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

impl<'a> Plan<'a> {
    /// Plans the parameters. Errors: the name is invalid, or the parameter does not belong to a namespace of the
    /// container's own, so that the host would be changed.
    pub fn new(
        sysctl: &[(&'a CStr, &'a CStr)],
        namespaces: &mut Namespaces<'_>,
        uts: &uts::Plan<'_>,
    ) -> Result<Self> {
        let mut writes = Vec::with_capacity(sysctl.len());
        for (key, value) in sysctl {
            // The reason is set before the key, because error texts have a limited length and a key may be long.
            let fail = |why: fmt::Arguments<'_>| {
                Error::invalid(why).within(format_args!("linux.sysctl {}", Show(key)))
            };
            let dotted =
                dotted(key).ok_or_else(|| fail(format_args!("not the name of a kernel parameter")))?;
            let name = dotted.as_str();
            let kind = match name {
                "kernel.domainname" if uts.domainname.is_some_and(|set| set != *value) => {
                    return Err(fail(format_args!("differs from the field domainname")));
                }
                "kernel.hostname" => return Err(fail(format_args!("use the field hostname instead"))),
                "kernel.domainname" => Kind::Uts,
                _ if name.starts_with("net.") => Kind::Network,
                _ if name.starts_with("fs.mqueue.") || IPC.contains(&name) => Kind::Ipc,
                _ => return Err(fail(format_args!("does not belong to a namespace"))),
            };
            if !namespaces.has(kind) {
                return Err(fail(format_args!("needs a {} namespace in linux.namespaces", kind.name())));
            }
            namespaces.will_change(kind);
            // A '/' in a name (net.ipv4.conf.eth0/1) is a '.' in the name of the file.
            let mut path: Vec<u8> = b"sys/".to_vec();
            path.extend(name.bytes().map(|byte| match byte {
                b'.' => b'/',
                b'/' => b'.',
                byte => byte,
            }));
            writes.push((CString::new(path).map_err(|_| fail(format_args!("contains a NUL byte")))?, *value));
        }
        Ok(Plan { writes })
    }

    /// Whether there are no parameters to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes the parameters. /proc/sys refers to the namespaces of the calling process, in any procfs.
    pub fn apply(&self, proc: &OwnedFd) -> Result<()> {
        for (path, value) in &self.writes {
            let file = openat(proc, path.as_c_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .on(format_args!("linux.sysctl: openat /proc/{}", Show(path)))?;
            write(&file, value.to_bytes()).on(format_args!(
                "linux.sysctl: write \"{}\" to /proc/{}",
                Show(value),
                Show(path)
            ))?;
        }
        Ok(())
    }
}

/// A parameter's name with dots as separators; `None` if it is invalid. sysctl(8) accepts both `a.b` and `a/b`: the
/// first of the two characters is the separator, and the other is then part of a name.
fn dotted(key: &CStr) -> Option<alloc::string::String> {
    let text = key.to_str().ok()?;
    let swap = text.find(['.', '/']).is_some_and(|at| text.get(at..=at) == Some("/"));
    let name: alloc::string::String = match swap {
        true => text
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        false => text.into(),
    };
    // A part must not be empty, or consist of slashes: in the path that is `.` or `..`, which leads out of /proc/sys.
    let safe = name.split('.').all(|part| !part.is_empty() && !part.bytes().all(|b| b == b'/'));
    (safe && name.contains('.')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::dotted;

    #[test]
    fn names() {
        assert_eq!(dotted(c"net.ipv4.ip_forward").as_deref(), Some("net.ipv4.ip_forward"));
        assert_eq!(dotted(c"net/ipv4/ip_forward").as_deref(), Some("net.ipv4.ip_forward"));
        assert_eq!(
            dotted(c"net.ipv4.conf.eth0/1.forwarding").as_deref(),
            Some("net.ipv4.conf.eth0/1.forwarding")
        );
        assert_eq!(
            dotted(c"net/ipv4/conf/eth0.1/forwarding").as_deref(),
            Some("net.ipv4.conf.eth0/1.forwarding")
        );
        for bad in [c"", c"net", c"net..x", c".net.x", c"net.//.//.kernel.x", c"net/../kernel/x"] {
            assert_eq!(dotted(bad), None, "{bad:?}");
        }
    }
}
