//! Random profiles: few names with many rules each, and values below and above 32 bits.

use crate::profile::{Condition, Line, Profile};

/// A pseudorandom number generator (xorshift64), with the same sequence in every run.
pub struct Random(pub u64);

const ACTIONS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const VALUES: [u64; 16] = [
    0,
    1,
    5,
    6,
    16,
    0x7e02_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0x2_0000_0005,
    0x5_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0005,
    u64::MAX,
];

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A value that is likely to be close to others.
    pub fn value(&mut self) -> u64 {
        let value = *self.one(&VALUES);
        match self.below(8) {
            0 => value.wrapping_add(1),
            1 => value.wrapping_sub(1),
            2 => value ^ 1 << self.below(64),
            _ => value,
        }
    }

    pub fn args(&mut self, values: &[u64]) -> [u64; 6] {
        [(); 6].map(|()| if self.below(4) == 0 { self.value() } else { *self.one(values) })
    }

    fn conditions(&mut self, most: usize) -> Vec<Condition> {
        (0..self.below(most + 1))
            .map(|_| (self.below(3) as u8, 1 + self.below(7) as u8, self.value(), self.value()))
            .collect()
    }

    /// With one action for all rules, or with several that may disagree.
    pub fn profile(&mut self, archs: Vec<&'static str>, names: &[&str], agreeing: bool) -> Profile {
        let pool: Vec<&str> = (0..1 + self.below(6)).map(|_| *self.one(names)).collect();
        let action = self.line_action();
        let mut lines: Vec<Line> = (0..self.below(12))
            .map(|_| {
                let (action, errno) = if agreeing { action } else { self.line_action() };
                let names = (0..1 + self.below(2)).map(|_| self.one::<&str>(&pool).to_string()).collect();
                Line { action, errno, names, conditions: self.conditions(4) }
            })
            .collect();
        let many = (0..self.below(60)).map(|_| self.one::<&str>(names).to_string()).collect::<Vec<_>>();
        if !many.is_empty() {
            let at = self.below(lines.len() + 1);
            lines.insert(at, Line { action: action.0, errno: action.1, names: many, conditions: Vec::new() });
        }
        let (default, errno) = self.line_action();
        Profile { archs, default, errno, lines }
    }

    fn line_action(&mut self) -> (&'static str, Option<u32>) {
        let errno = [None, None, Some(1), Some(38), Some(4095)][self.below(5)];
        let action = if self.below(2) == 0 { ACTIONS[self.below(2)] } else { *self.one(&ACTIONS) };
        (action, errno.filter(|_| matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE")))
    }
}
