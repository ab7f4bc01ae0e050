//! The cgroup filesystem: directories, files and processes of a cgroup in every hierarchy.

pub mod current;
pub mod delegation;
pub mod events;
pub mod fds;
pub mod freezer;
pub mod hierarchies;
pub mod join;
pub mod path;
pub mod subtree_control;
pub mod tasks;
pub mod tree;
pub mod undelegated;
