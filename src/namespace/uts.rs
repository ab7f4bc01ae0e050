//! Host name and NIS domain name (uts_namespaces(7), sethostname(2), setdomainname(2)).

use core::ffi::CStr;

use rustix::system::{setdomainname, sethostname};

use super::Plan as Namespaces;
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{Error, On, Result, Show};

/// `__NEW_UTS_LEN` of include/uapi/linux/utsname.h.
const MAX: usize = 64;

/// The names to set in the UTS namespace.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    pub(super) hostname: Option<&'a CStr>,
    pub(super) domainname: Option<&'a CStr>,
}

impl<'a> Plan<'a> {
    /// Plans the names. Errors: too long, or no UTS namespace of the container's own.
    pub fn new(
        hostname: Option<&'a CStr>,
        domainname: Option<&'a CStr>,
        namespaces: &mut Namespaces<'_>,
    ) -> Result<Self> {
        let private = namespaces.has(Kind::Uts);
        let plan = Plan {
            hostname: check("hostname", hostname, private)?,
            domainname: check("domainname", domainname, private)?,
        };
        if plan.hostname.is_some() || plan.domainname.is_some() {
            namespaces.will_change(Kind::Uts);
        }
        Ok(plan)
    }

    /// Sets the names in the current UTS namespace.
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
