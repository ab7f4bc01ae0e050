//! Launching a container's process.
//!
//! ```text
//!     mote (parent)                                 child = the container init
//!     ----------------                              ----------------------------
//!     Plan: every decision made, every buffer built
//!     cgroup made, limits written
//!     trees, namespaces, cgroup files opened
//!     clone3(namespaces | INTO_CGROUP | PIDFD) ---> joins the namespaces given by path
//!     id maps, network devices                 GO-> (in a new user namespace, or with devices, it waits)
//!     status file, pid file                         cgroup, clocks, mounts, devices, masks, pivot
//!                                         <-READY   identity, capabilities, program found
//!     GO: its pid is written down              ---> with create it waits at the start socket
//!     (create ends here)                            until `mote start` sends GO
//!     end of file: it runs                          execve
//!     the error, printed                  <-ERROR   or the one thing that went wrong
//! ```
//!
//! Nothing here has seen the configuration: it is all in the [`Plan`](crate::plan::Plan). The child
//! allocates nothing, and opens nothing by a path of the host once it is inside.

pub mod exec;
pub mod finish;
pub mod in_mount_namespace;
pub mod init;
pub mod listener;
pub mod message;
pub mod parent;
pub mod start_socket;
