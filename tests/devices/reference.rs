//! A direct evaluation of device rules, without regard to speed, and random rules.

use std::sync::LazyLock;

use mote::internal::config::device::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, DeviceRule};

use crate::interpreter::Request;

pub const ALL: u8 = ACCESS_READ | ACCESS_WRITE | ACCESS_MKNOD;

/// The default devices, which every container may use.
const ALWAYS: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:200 rwm",
];

/// A rule as text: `allow c 1:3 rwm`.
pub fn rule(text: &str) -> DeviceRule {
    let words: Vec<&str> = text.split([' ', ':']).collect();
    let [verdict, kind, major, minor, access] = words[..] else { panic!("{text}") };
    let number = |word: &str| word.parse().ok();
    let bit = |letter| match letter {
        'r' => ACCESS_READ,
        'w' => ACCESS_WRITE,
        _ => ACCESS_MKNOD,
    };
    DeviceRule {
        allow: verdict == "allow",
        kind: kind.as_bytes()[0],
        major: number(major),
        minor: number(minor),
        access: access.chars().map(bit).fold(0, |bits, bit| bits | bit),
    }
}

/// Whether a request is allowed: each access is decided by the last rule that covers it, and denied without one.
pub fn allows(rules: &[DeviceRule], request: &Request) -> bool {
    static RULES: LazyLock<[DeviceRule; 11]> =
        LazyLock::new(|| ALWAYS.map(|text| rule(&format!("allow {text}"))));
    let about = |rule: &&DeviceRule, bit: u8| {
        let kind = if request.kind == 1 { b'b' } else { b'c' };
        (rule.kind == b'a' || rule.kind == kind)
            && rule.major.is_none_or(|major| major == request.major)
            && rule.minor.is_none_or(|minor| minor == request.minor)
            && rule.access & bit != 0
    };
    let accesses = [(1, ACCESS_MKNOD), (2, ACCESS_READ), (4, ACCESS_WRITE)];
    accesses.iter().filter(|(kernels, _)| request.access & kernels != 0).all(|(_, bit)| {
        rules.iter().chain(&*RULES).rfind(|rule| about(rule, *bit)).is_some_and(|rule| rule.allow)
    })
}

const MAJORS: [u32; 7] = [0, 1, 5, 8, 10, 136, 4095];
const MINORS: [u32; 6] = [0, 1, 3, 5, 200, 1_048_575];

/// Every request for some devices.
pub fn requests() -> impl Iterator<Item = Request> {
    let pairs = MAJORS.iter().flat_map(|major| MINORS.iter().map(move |minor| (*major, *minor)));
    pairs.flat_map(|(major, minor)| {
        (0..16).map(move |n| Request { kind: 1 + n / 8, access: n % 8, major, minor })
    })
}

/// A pseudorandom number generator (xorshift64), with the same sequence in every run.
pub struct Random(pub u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % most
    }

    fn number(&mut self, all: &[u32]) -> Option<u32> {
        all.get(self.below(all.len() * 3 / 2)).copied()
    }

    /// Random rules: few or many, for all devices or for a single one.
    pub fn rules(&mut self) -> Vec<DeviceRule> {
        let count = [0, 1, 2, 3, 5, 8, 20, 60][self.below(8)];
        let narrow = self.below(3);
        let rule = |_| DeviceRule {
            allow: self.below(2) == 0,
            kind: b"abcbc"[self.below(5)],
            major: if narrow > 0 { self.number(&MAJORS[..=narrow]) } else { self.number(&MAJORS) },
            minor: if narrow > 1 { self.number(&MINORS[..3]) } else { self.number(&MINORS) },
            access: [1 + self.below(7) as u8, ALL][self.below(2)],
        };
        (0..count).map(rule).collect()
    }
}
