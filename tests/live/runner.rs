//! Runs the tests: two at a time, those that need the machine for themselves at the end.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::check::{Outcome, Stop};
use crate::rig::{Rig, Suite};

pub struct Test {
    pub name: &'static str,
    pub body: fn(&mut Rig) -> Outcome,
    /// Measures time or shares something with the whole machine.
    pub alone: bool,
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

/// Runs all tests whose names contain one of the words.
pub fn run(suite: &Suite, tests: &[&'static Test], words: &[String]) -> Count {
    let wanted =
        |test: &&&Test| words.is_empty() || words.iter().any(|word| test.name.contains(word.as_str()));
    let (alone, together): (Vec<&Test>, Vec<&Test>) =
        tests.iter().filter(wanted).partition(|test| test.alone);
    let count = Mutex::new(Count::default());
    let number = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let work = |list: &[&Test], next: &AtomicUsize| {
        while let Some(test) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one(suite, test, number.fetch_add(1, Ordering::Relaxed));
            report(test, result, &count);
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
pub fn skip_all(tests: &[&'static Test], why: &str) -> Count {
    let count = Mutex::new(Count::default());
    for test in tests {
        report(test, crate::check::skip(why), &count);
    }
    count.into_inner().unwrap_or_default()
}

fn workers() -> usize {
    let jobs = std::env::var("JOBS").ok();
    jobs.and_then(|jobs| jobs.parse().ok()).unwrap_or(2)
}

/// One test, with its clean-up checked and then made sure of.
fn one(suite: &Suite, test: &Test, number: usize) -> Outcome {
    let mut rig = Rig::new(suite, number)?;
    let body = std::panic::catch_unwind(AssertUnwindSafe(|| (test.body)(&mut rig)));
    let mut result = body.unwrap_or_else(|_| Err(Stop::Fail("it panicked".to_string())));
    if result.is_ok() {
        result = rig.nothing_left();
    }
    crate::clean::sweep(&rig);
    result
}

fn report(test: &Test, result: Outcome, count: &Mutex<Count>) {
    let must = std::env::var("MUST").is_ok_and(|must| must == "1");
    let Ok(mut count) = count.lock() else { return };
    match result {
        Ok(()) => {
            println!("ok {}", test.name);
            count.passed += 1;
        }
        Err(Stop::Skip(why)) if must => {
            println!("FAIL {}: must not be skipped: {why}", test.name);
            count.failed += 1;
        }
        Err(Stop::Skip(why) | Stop::SkipAllowed(why)) => {
            println!("skip {}: {why}", test.name);
            count.skipped += 1;
        }
        Err(Stop::Fail(why)) => {
            println!("FAIL {}: {}", test.name, why.trim_end().replace('\n', " / "));
            count.failed += 1;
        }
    }
}
