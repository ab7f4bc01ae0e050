//! Lists of CPUs and memory nodes in the kernel's list format, `0-3,7` (cpuset(7), "List format").

use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, Result};

/// Numbers are below this, which no kernel configuration exceeds (`NR_CPUS`, `MAX_NUMNODES`).
const MOST: u32 = 8192;

/// Parses a list to a bit mask: number n is bit n % 64 of word n / 64.
pub fn parse(text: &str) -> Result<Vec<u64>> {
    let wrong = || Error::invalid(format_args!("\"{text}\" is not a list of numbers like 0-3,7"));
    let number = |word: &str| word.trim_ascii().parse::<u32>().ok().filter(|number| *number < MOST);
    let mut bits = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
        if first > last {
            return Err(wrong());
        }
        let words = last as usize / 64 + 1;
        if bits.len() < words {
            bits.append(&mut vec![0; words - bits.len()]);
        }
        for number in first..=last {
            if let Some(word) = bits.get_mut(number as usize / 64) {
                *word |= 1u64 << (number % 64);
            }
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists() {
        assert_eq!(parse("0").unwrap(), [1]);
        assert_eq!(parse("0-3,7").unwrap(), [0b1000_1111]);
        assert_eq!(parse("63-64, 2").unwrap(), [1 << 63 | 4, 1]);
        assert_eq!(parse("8191").unwrap().len(), 128);
        for bad in ["", ",", "0,", "3-1", "-1", "1-", "a", "0-x", "8192", "0x1", "1--2", "99999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
