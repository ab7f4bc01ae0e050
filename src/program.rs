//! The program that carries out operations, which the library contains (feature `program`).

use alloc::vec;
use alloc::vec::Vec;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use rustix::fd::OwnedFd;
use rustix::fs::{SealFlags, fcntl_add_seals};
use rustix::io::{Errno, write};

use crate::error::{Error, On, Result};
use crate::sys::self_exe::memory;
use crate::sys::signal::{SIGXFSZ, Set, block, block_also, discard};

/// The program, compressed in the format of RFC 1951.
static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/program"));

// SIZE: its size in bytes.
include!(concat!(env!("OUT_DIR"), "/program_size.rs"));

/// Writes to the memfd. At RLIMIT_FSIZE the error is EFBIG, without the signal that would kill the calling program.
fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    let before = block_also(Set::OF_WRITES)?;
    let mut done = Ok(());
    while done.is_ok() && !bytes.is_empty() {
        done = write(file, bytes).map(|count| bytes = bytes.get(count..).unwrap_or_default());
    }
    if done == Err(Errno::FBIG) && !before.has(SIGXFSZ) {
        discard(SIGXFSZ);
    }
    block(before)?;
    done
}

/// Writes the program to a sealed memfd.
///
/// Errors: EACCES of memfd_create(2) if the sysctl `vm.memfd_noexec` is 2.
pub(crate) fn open() -> Result<OwnedFd> {
    let mut bytes: Vec<u8> = vec![0; SIZE];
    let size = decompress_slice_iter_to_slice(&mut bytes, core::iter::once(COMPRESSED), false, true);
    if size != Ok(SIZE) {
        return Err(Error::invalid(format_args!("the program in the library is damaged")));
    }
    let file = memory().on(format_args!("memfd_create"))?;
    write_all(&file, &bytes).on(format_args!("write memfd"))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals).on(format_args!("fcntl F_ADD_SEALS"))?;
    Ok(file)
}
