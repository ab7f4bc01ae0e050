//! The program that carries out operations, and the settings that it gets with each.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rustix::fd::{AsFd, OwnedFd};

use super::exchange::Exchange;
use super::pending::Pending;
use crate::error::{Error, Result};
use crate::operations::{GetVersion, Operation, Settings, VERSION};

/// The program, which can be executed any number of times, and settings.
#[derive(Clone, Debug)]
pub(super) struct Link {
    program: Arc<OwnedFd>,
    pub settings: Settings,
    /// Whether the kernel keeps the exit status of a process that has been waited for.
    pub keeps_status: bool,
}

impl Link {
    /// Checks that the program in a file can be executed, and is of the same version.
    pub fn new(program: OwnedFd, settings: Settings) -> Result<Self> {
        let mut link = Link { program: Arc::new(program), settings, keeps_status: true };
        let mut exchange = link.begin_exchange(&GetVersion {})?;
        let version: String = exchange.result(&mut Vec::new())?;
        if version != VERSION {
            let why = format_args!("the program is mote {version}, the library {VERSION}");
            return Err(Error::unsupported(why));
        }
        link.keeps_status = exchange.keeps_status();
        Ok(link)
    }

    /// Begins an operation, whose result `finish` receives.
    pub fn begin<O: Operation, T>(
        &self,
        operation: &O,
        finish: impl FnOnce(Exchange) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Pending<T>> {
        Ok(Pending::new(self.begin_exchange(operation)?, finish))
    }

    /// Begins an operation.
    pub fn begin_exchange<O: Operation>(&self, operation: &O) -> Result<Exchange> {
        Exchange::begin((*self.program).as_fd(), &self.settings, operation)
    }
}
