//! The limits of each controller as writes to its files, for cgroup v1 and v2.

pub mod block;
pub mod cpu;
pub mod hugetlb;
pub mod memory;
pub mod network;
pub mod rdma;
pub mod unified;
pub mod write;
