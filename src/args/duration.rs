//! Durations on the command line: in the syntax of Go (`1m30s`, `1.5s`, `500ms`), or a number of seconds.

use core::time::Duration;

/// Units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration; `None` if it is invalid or not greater than 0.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = match text.parse() {
        Ok(seconds) => {
            rest = "";
            u64::checked_mul(seconds, 1_000_000_000)?
        }
        Err(_) => 0,
    };
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (count, tail) = rest.split_at(rest.find(|c| !is_digit(c))?);
        let (unit, next) = tail.split_at(tail.find(is_digit).unwrap_or(tail.len()));
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(length(count, *unit)?)?;
        rest = next;
    }
    Some(Duration::from_nanos(sum)).filter(|time| !time.is_zero())
}

/// Nanoseconds of `1`, `1.5`, `1.` or `.5` units.
fn length(count: &str, unit: u64) -> Option<u64> {
    let (whole, part) = count.split_once('.').unwrap_or((count, ""));
    let whole = match whole {
        "" if part.is_empty() => return None,
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let (mut sum, mut place) = (unit.checked_mul(whole)?, unit);
    for digit in part.chars() {
        place /= 10;
        sum = sum.checked_add(place * u64::from(digit.to_digit(10)?))?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let table = [
            ("5s", 5_000_000_000),
            ("5", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("2\u{b5}s", 2_000),
            ("2\u{3bc}s", 2_000),
            ("0.0000000019s", 1),
            ("0s1ns", 1),
            ("18446744073.709551615s", u64::MAX),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Some(Duration::from_nanos(expected)), "{text:?}");
        }
        let words = "0 0s 0.0ms -1s -5 + s . .s 1..5s 1.5 5x s5 5s5 1e3s ++5s ++5 5S \u{e4}s 18446744074s \
                     99999999999999999999s 99999999999999999999";
        let bad = words.split(' ').chain(["", " ", "5 s", " 5s", "5s "]);
        for text in bad {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
