//! `linux.resources.rdma` (admin-guide/cgroup-v1/rdma.rst; cgroup-v2.rst, "RDMA"): one file in both layouts.

use alloc::format;
use core::ffi::CStr;

use super::write::{Field, IfMissing, Limit, Writes};
use crate::config::resources::Rdma;
use crate::error::Show;

/// The value that the kernel treats as no limit: its counters are `int`.
const NONE: u32 = i32::MAX as u32;

impl Writes<'_> {
    /// Adds the limits of RDMA devices, one write for each.
    pub fn rdma(&mut self, devices: &[(&CStr, Rdma)]) {
        for (name, limits) in devices {
            let mut value = format!("{}", Show(name));
            for (key, limit) in [("handle", limits.hca_handles), ("object", limits.hca_objects)] {
                if let Some(limit) = limit {
                    let limit = Limit(if limit < NONE { i64::from(limit) } else { -1 });
                    value += &format!(" hca_{key}={limit}");
                }
            }
            self.push("rdma.max".into(), &value, Field("rdma", None), IfMissing::Error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::controllers::write::table::check;
    use crate::config::resources::Resources;
    use alloc::vec;

    #[test]
    fn limits() {
        let rdma = |hca_handles, hca_objects| Rdma { hca_handles, hca_objects };
        let devices = vec![
            (c"mlx5_1", rdma(Some(3), Some(10000))),
            (c"mlx4_0", rdma(None, Some(0))),
            (c"rxe3", rdma(Some(NONE - 1), Some(NONE))),
            (c"rxe4", rdma(Some(u32::MAX), None)),
        ];
        let lines = [
            "rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
            "rdma.max=mlx4_0 hca_object=0",
            "rdma.max=rxe3 hca_handle=2147483646 hca_object=max",
            "rdma.max=rxe4 hca_handle=max",
        ];
        check(&Resources { rdma: devices, ..Resources::default() }, &lines, &lines);
    }
}
