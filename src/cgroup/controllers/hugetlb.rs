//! `linux.resources.hugepageLimits` (admin-guide/cgroup-v1/hugetlb.rst; cgroup-v2.rst, "HugeTLB").

use alloc::format;

use super::write::{Field, IfMissing, Writes};
use crate::config::resources::HugepageLimit;

impl Writes<'_> {
    /// Adds two limits for each page size: of used pages and of reserved ones. The specification requires the second
    /// if the kernel has it (linux 5.7); pages can be used without a reservation, so the first is written as well.
    pub fn hugetlb(&mut self, limits: &[HugepageLimit<'_>]) {
        let file = if self.is_v2("hugetlb") { "max" } else { "limit_in_bytes" };
        for (index, HugepageLimit { page_size, limit }) in limits.iter().enumerate() {
            for (what, absent) in [("", IfMissing::Error), ("rsvd.", IfMissing::Ignore)] {
                let name = format!("hugetlb.{page_size}.{what}{file}");
                self.push(name.into(), limit, Field("hugepageLimits", Some((index, ""))), absent);
            }
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
        let limit = |page_size, limit| HugepageLimit { page_size, limit };
        let limits = vec![limit("2MB", 0), limit("1GB", 1 << 30), limit("64KB", u64::MAX)];
        check(
            &Resources { hugepage_limits: limits, ..Resources::default() },
            &[
                "hugetlb.2MB.limit_in_bytes=0",
                "hugetlb.2MB.rsvd.limit_in_bytes=0?",
                "hugetlb.1GB.limit_in_bytes=1073741824",
                "hugetlb.1GB.rsvd.limit_in_bytes=1073741824?",
                "hugetlb.64KB.limit_in_bytes=18446744073709551615",
                "hugetlb.64KB.rsvd.limit_in_bytes=18446744073709551615?",
            ],
            &[
                "hugetlb.2MB.max=0",
                "hugetlb.2MB.rsvd.max=0?",
                "hugetlb.1GB.max=1073741824",
                "hugetlb.1GB.rsvd.max=1073741824?",
                "hugetlb.64KB.max=18446744073709551615",
                "hugetlb.64KB.rsvd.max=18446744073709551615?",
            ],
        );
    }
}
