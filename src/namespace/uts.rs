//! Host and domain name (uts_namespaces(7), sethostname(2), setdomainname(2)).

use core::ffi::CStr;

use rustix::system::{setdomainname, sethostname};

use crate::error::{Error, On, Result, Show};

/// `__NEW_UTS_LEN` of include/uapi/linux/utsname.h.
const MAX: usize = 64;

/// The names to set.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    hostname: Option<&'a CStr>,
    domainname: Option<&'a CStr>,
}

impl<'a> Plan<'a> {
    /// Names need a UTS namespace that is not the runtime's own: `private`.
    pub fn new(hostname: Option<&'a CStr>, domainname: Option<&'a CStr>, private: bool) -> Result<Self> {
        Ok(Plan {
            hostname: check("hostname", hostname, private)?,
            domainname: check("domainname", domainname, private)?,
        })
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.hostname.is_none() && self.domainname.is_none()
    }

    /// Sets them in the current namespace.
    pub fn apply(&self) -> Result<()> {
        if let Some(name) = self.hostname {
            sethostname(name.to_bytes()).on(format_args!("hostname: sethostname {}", Show(name)))?;
        }
        if let Some(name) = self.domainname {
            setdomainname(name.to_bytes()).on(format_args!("domainname: setdomainname {}", Show(name)))?;
        }
        Ok(())
    }
}

fn check<'a>(field: &str, name: Option<&'a CStr>, private: bool) -> Result<Option<&'a CStr>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    if !private {
        return Err(Error::invalid(format_args!("{field}: needs a uts namespace in linux.namespaces")));
    }
    match name.count_bytes() > MAX {
        true => Err(Error::invalid(format_args!("{field}: longer than {MAX} bytes"))),
        false => Ok(Some(name)),
    }
}
