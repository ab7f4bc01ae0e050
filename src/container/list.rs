//! `list`: the states of all containers.

use alloc::vec::Vec;

use super::state::{Report, report};
use super::store::directory::Store;
use crate::error::{Kind, Result};

/// The state of each container, sorted by ID. Containers that are deleted meanwhile, or not created yet, are left out.
pub fn list(store: &Store) -> Result<Vec<Report>> {
    let mut list = Vec::new();
    for id in store.list()? {
        match report(store, &id) {
            Err(error) if error.kind() == Kind::NotFound => {}
            report => list.push(report?),
        }
    }
    Ok(list)
}
