//! The NUMA memory policy (set_mempolicy(2); config-linux.md, "Memory policy").

use alloc::vec::Vec;

use super::numbers;
use crate::config::linux::MemoryPolicy;
use crate::error::{At, On, Result};
use crate::sys::sched::set_mempolicy;

/// The policy to set; `None` keeps the current one.
#[derive(Debug, Default)]
pub struct Plan(Option<Policy>);

#[derive(Debug)]
struct Policy {
    /// `MPOL_*` and `MPOL_F_*`.
    mode: u32,
    /// A bit mask.
    nodes: Vec<u64>,
}

impl Plan {
    /// The plan for `linux.memoryPolicy`. Combinations of mode, nodes and flags are checked by the kernel.
    pub fn new(given: Option<&MemoryPolicy<'_>>) -> Result<Self> {
        let Some(given) = given else { return Ok(Plan(None)) };
        let nodes = match given.nodes.filter(|nodes| !nodes.is_empty()) {
            Some(nodes) => numbers::parse(nodes).at(format_args!("linux.memoryPolicy.nodes"))?,
            None => Vec::new(),
        };
        Ok(Plan(Some(Policy { mode: given.mode | given.flags, nodes })))
    }

    /// Sets the policy of this process, which its children inherit.
    pub fn apply(&self) -> Result<()> {
        let Some(Policy { mode, nodes }) = &self.0 else { return Ok(()) };
        set_mempolicy(*mode, nodes).on(format_args!("linux.memoryPolicy: set_mempolicy {mode:#x}"))
    }
}
