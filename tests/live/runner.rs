//! Runs the tests: `JOBS` at a time (default: two), then those that must run alone.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::check::{Outcome, Stop};
use crate::rig::{DeniedCalls, Rig, Suite};

pub struct Test {
    pub name: &'static str,
    pub body: fn(&mut Rig) -> Outcome,
    /// It measures time or uses something that the whole machine shares.
    pub alone: bool,
}

/// A test, and the system calls that are denied to the runtime while it runs.
pub struct Case {
    pub name: String,
    pub test: &'static Test,
    pub denied: DeniedCalls,
}

/// Declares the tests of one file: `GROUP::FUNCTION`.
#[macro_export]
macro_rules! tests {
    ($group:literal, alone: $alone:literal, $($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::runner::Test] = &[$($crate::runner::Test {
            name: concat!($group, "::", stringify!($name)),
            body: $name,
            alone: $alone,
        }),*];
    };
    ($group:literal, $($name:ident),* $(,)?) => {
        $crate::tests!($group, alone: false, $($name),*);
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
    let wanted = |case: &&Case| words.is_empty() || words.iter().any(|word| is_selected(&case.name, word));
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        cases.iter().filter(wanted).partition(|case| case.test.alone);
    let count = Mutex::new(Count::default());
    let number = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    let work = |list: &[&Case], next: &AtomicUsize| {
        while let Some(case) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = run_one(suite, case, number.fetch_add(1, Ordering::Relaxed));
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

/// Reports all tests as skipped.
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

/// Runs one test, fails it if it leaves anything behind, and then removes what it left.
fn run_one(suite: &Suite, case: &Case, number: usize) -> Outcome {
    let mut rig = Rig::new(suite, number)?;
    rig.denied = case.denied;
    let body = std::panic::catch_unwind(AssertUnwindSafe(|| (case.test.body)(&mut rig)));
    let mut result = body.unwrap_or_else(|_| Err(Stop::Fail("it panicked".to_string())));
    if result.is_ok() {
        result = rig.nothing_left();
    }
    crate::cleanup::clean_up(&rig);
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

fn is_selected(name: &str, word: &str) -> bool {
    match word.strip_prefix('^') {
        Some(start) => name.starts_with(start),
        None => name.contains(word),
    }
}
