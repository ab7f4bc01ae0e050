//! Launching of processes: the container init, exec processes, and processes in a container's mount namespace.
//!
//! ```text
//!     mote (parent)                                 child = the container init
//!     ----------------                              ----------------------------
//!     make the plan, allocate all buffers
//!     create the cgroup, write limits
//!     open mount trees, namespaces, cgroup files
//!     clone3(namespaces | INTO_CGROUP | PIDFD) ---> join the namespaces given by path
//!     write the PID to the status file
//!     ID maps, network devices                 GO-> (awaited with a new user namespace or network devices)
//!     PID file                                      cgroup, clocks, mounts, devices, masks, pivot_root
//!                                         <-READY   credentials, capabilities, program lookup
//!     record the root
//!     GO                                       ---> with `create`: wait at the start socket
//!     (`create` exits)                              until `mote start` sends GO
//!     end of file: the program runs                 execve
//!     print the error                     <-ERROR   or the one error that occurred
//! ```
//!
//! This directory does not use the configuration, only the [`Plan`](crate::plan::Plan). The child allocates no memory,
//! and opens no path of the host after it has entered the container.

mod created;
pub mod exec;
pub mod finish;
mod in_child;
pub mod in_mount_namespace;
pub mod init;
mod intermediate;
pub mod listener;
pub mod message;
pub mod parent;
mod pinned;
pub mod restore;
pub mod start_socket;
