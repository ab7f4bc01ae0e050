//! Signal names and numbers, for `kill`.

use crate::error::{Error, Result};
use crate::sys::signal::NAMES;

/// Alternative names of signals.
static ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// The first and the last real-time signal for programs: the C library reserves 32 and 33 (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Parses a signal: a name (with or without SIG, in any case, also `RTMIN+3`) or a number. 0 sends no signal, and only
/// checks permission (kill(2)).
pub fn parse(text: &str) -> Result<i32> {
    let unknown = || Error::invalid(format_args!("unknown signal \"{text}\""));
    if let Ok(number) = text.parse() {
        return if (0..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let short = text
        .get(..3)
        .filter(|start| start.eq_ignore_ascii_case("SIG"))
        .map_or(text, |_| text.get(3..).unwrap_or(""));
    let same = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(short);
    if let Some(number) = NAMES.iter().position(|name| same(name)) {
        return Ok(number as i32);
    }
    if let Some((_, number)) = ALIASES.iter().find(|(name, _)| same(name)) {
        return Ok(*number);
    }
    let (start, offset) = short.split_at_checked(5).ok_or_else(unknown)?;
    let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| unknown())? };
    let number = match start {
        _ if start.eq_ignore_ascii_case("RTMIN") && offset >= 0 => RTMIN.checked_add(offset),
        _ if start.eq_ignore_ascii_case("RTMAX") && offset <= 0 => RTMAX.checked_add(offset),
        _ => None,
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn signals() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("term", 15),
            ("9", 9),
            ("0", 0),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("64", 64),
            ("CLD", 17),
            ("STKFLT", 16),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in ["", "SIG", "65", "-1", "NOPE", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN+x", "TERM2", "é"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
