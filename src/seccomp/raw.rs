//! Decodes a compiled filter from the annotation `run.oci.seccomp_bpf_data`: `struct sock_filter`s in native byte
//! order, in base64 (RFC 4648).

use alloc::vec::Vec;

use super::filter::{Context, Filter};
use super::{bpf, load};
use crate::error::{Error, Result};

impl Filter<'static> {
    /// Decodes a filter. Only its length is checked; the kernel checks the instructions.
    #[cold]
    #[inline(never)]
    pub fn from_base64(text: &str, flags: &[&str], context: Context) -> Result<Self> {
        let bytes = decode(text.as_bytes()).ok_or_else(|| Error::invalid(format_args!("not base64")))?;
        let (instructions, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || !(1..=bpf::MOST).contains(&instructions.len()) {
            let length = bytes.len();
            let most = bpf::MOST;
            return Err(Error::invalid(format_args!(
                "{length} bytes, not 1 to {most} instructions of 8 bytes"
            )));
        }
        let instructions = instructions.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
        let flags = load::flags(flags, context.has_receiver)?;
        Ok(Filter { instructions, flags, unknown: Vec::new(), ordinary: context.ordinary })
    }
}

/// Decodes base64; `None` unless the text consists of groups of four characters, of which the last may be padded with
/// `=`.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, []) = text.as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (index, group) in groups.iter().enumerate() {
        let filled = match group {
            [.., b'=', b'='] => 2,
            [.., b'='] => 1,
            _ => 0,
        };
        if filled > 0 && index + 1 != groups.len() {
            return None;
        }
        let mut bits = 0;
        for letter in group.iter().take(4 - filled) {
            bits = bits << 6 | u32::from(value(*letter)?);
        }
        let [_, three @ ..] = (bits << (6 * filled)).to_be_bytes();
        // Unused bits after the last byte must be zero.
        let (kept, behind) = three.split_at(3 - filled);
        if behind.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

/// The six bits that a character stands for.
fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
