//! Runs the tests: two at a time, those that need the machine for themselves at the end.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::check::{Outcome, Stop};
use crate::rig::{Refused, Rig, Suite};

pub struct Test {
    pub name: &'static str,
    pub body: fn(&mut Rig) -> Outcome,
    /// Measures time or shares something with the whole machine.
    pub alone: bool,
}

/// A test in certain surroundings.
pub struct Case {
    pub name: String,
    pub test: &'static Test,
    pub refused: Refused,
}

/// Tests of one file, named after it and after their functions.
#[macro_export]
macro_rules! tests {
    ($room:literal, alone: $alone:literal, $($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::runner::Test] = &[$($crate::runner::Test {
            name: concat!($room, "::", stringify!($name)),
            body: $name,
            alone: $alone,
        }),*];
    };
    ($room:literal, $($name:ident),* $(,)?) => {
        $crate::tests!($room, alone: false, $($name),*);
    };
}

#[derive(Default)]
pub struct Count {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// Runs all tests whose names contain one of the words, or, after a `^`, begin with it.
pub fn run(suite: &Suite, cases: &[Case], words: &[String]) -> Count {
    let wanted = |case: &&Case| words.is_empty() || words.iter().any(|word| is_meant(&case.name, word));
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        cases.iter().filter(wanted).partition(|case| case.test.alone);
    let count = Mutex::new(Count::default());
    let number = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let work = |list: &[&Case], next: &AtomicUsize| {
        while let Some(case) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one(suite, case, number.fetch_add(1, Ordering::Relaxed));
            report(case, result, &count);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| work(&together, &next));
        }
    });
    work(&alone, &AtomicUsize::new(0));
    count.into_inner().unwrap_or_default()
}

/// For a machine on which none can run.
pub fn skip_all(cases: &[Case], why: &str) -> Count {
    let count = Mutex::new(Count::default());
    for case in cases {
        report(case, crate::check::skip(why), &count);
    }
    count.into_inner().unwrap_or_default()
}

fn workers() -> usize {
    let jobs = std::env::var("JOBS").ok();
    jobs.and_then(|jobs| jobs.parse().ok()).unwrap_or(2)
}

/// One test, with its clean-up checked and then made sure of.
fn one(suite: &Suite, case: &Case, number: usize) -> Outcome {
    let mut rig = Rig::new(suite, number)?;
    rig.refused = case.refused;
    let body = std::panic::catch_unwind(AssertUnwindSafe(|| (case.test.body)(&mut rig)));
    let mut result = body.unwrap_or_else(|_| Err(Stop::Fail("it panicked".to_string())));
    if result.is_ok() {
        result = rig.nothing_left();
    }
    crate::clean::sweep(&rig);
    result
}

fn report(case: &Case, result: Outcome, count: &Mutex<Count>) {
    let must = std::env::var("MUST").is_ok_and(|must| must == "1");
    let Ok(mut count) = count.lock() else { return };
    match result {
        Ok(()) => {
            println!("ok {}", case.name);
            count.passed += 1;
        }
        Err(Stop::Skip(why)) if must => {
            println!("FAIL {}: must not be skipped: {why}", case.name);
            count.failed += 1;
        }
        Err(Stop::Skip(why) | Stop::SkipAllowed(why)) => {
            println!("skip {}: {why}", case.name);
            count.skipped += 1;
        }
        Err(Stop::Fail(why)) => {
            println!("FAIL {}: {}", case.name, why.trim_end().replace('\n', " / "));
            count.failed += 1;
        }
    }
}

fn is_meant(name: &str, word: &str) -> bool {
    match word.strip_prefix('^') {
        Some(start) => name.starts_with(start),
        None => name.contains(word),
    }
}
