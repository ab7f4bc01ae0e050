//! The results of mote's program, of libseccomp's with runc's additions, and of the direct evaluation, for the same
//! calls.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};

use mote::internal::seccomp::{ARCHS, Arch};

use crate::interpreter::{Call, Instruction, check, native, run};
use crate::library::Library;
use crate::profile::{Line, Profile};
use crate::random::Random;
use crate::reference::{self, Reference};

/// The reason for which libseccomp's result differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is the result of no matching rule, or the default although a rule matches. If rules compare the same
    /// argument, libseccomp splits 64-bit values into words and merges common prefixes; what is added below one branch
    /// is then below another one, too.
    LostInTheTree,
    /// Two rules with different actions match, and each result is that of one of them. mote has the order of
    /// libseccomp, but libseccomp has not always: if `!=` or values above 32 bits meet in one word it may keep the
    /// older rule.
    BothMatch,
    /// runc determines the newest call by names that libseccomp resolves differently on architectures with
    /// socketcall(2) and ipc(2), and therefore considers allowed calls newer than the profile.
    OlderThanItLooks,
    /// If the profile names no other calls there, runc finds no newest call, and nothing is newer.
    NothingIsNewer,
    /// Numbers from 0x8000_0000 on, without the bit of x32: libseccomp treats them as x32, runc checks the bit. No such
    /// calls exist.
    NoNumber,
    /// libseccomp, at least 2.5, may omit loading the number after a jump from another architecture, and then compares
    /// what is in the accumulator, which is the architecture.
    NumberNotLoaded,
}

impl Why {
    /// Whether the difference does not concern rules.
    pub fn is_nonsense(self) -> bool {
        self == Why::NoNumber
    }
}

const NO_SUCH_CALL: u32 = 0x0005_0026;

/// A program of mote and one of libseccomp.
pub struct Pair<'a> {
    profile: &'a Profile,
    reference: Reference<'a>,
    pub ours: Vec<Instruction>,
    pub theirs: Option<Vec<Instruction>>,
    pub differences: BTreeMap<Why, usize>,
    pub calls: usize,
}

impl<'a> Pair<'a> {
    pub fn new(profile: &'a Profile, theirs: Option<Vec<Instruction>>) -> Self {
        let program = profile.compile().unwrap_or_else(|error| panic!("{error}: {profile:?}"));
        let ours = native(&program.instructions);
        check(&ours);
        Pair {
            profile,
            reference: Reference::new(profile),
            ours,
            theirs,
            differences: BTreeMap::new(),
            calls: 0,
        }
    }

    pub fn call(&mut self, call: &Call) {
        self.calls += 1;
        let ours = run(&self.ours, call).verdict;
        let allowed = self.reference.read(call);
        let details = || format!("{:#x} {call:x?} {allowed:x?} {:#?}", ours, self.profile);
        assert!(allowed.has(ours), "differs from the direct evaluation: {}", details());
        let Some(theirs) = &self.theirs else { return };
        // runc's additions come first, and check the bit of x32.
        let odd = call.audit == 0xc000_003e && call.number >= 0x8000_0000 && call.number != u32::MAX;
        let looks_newer = self.reference.looks_newer(call) && !odd;
        let ran = run(theirs, call);
        let theirs = if looks_newer { NO_SUCH_CALL } else { ran.verdict };
        if ours == theirs {
            return;
        }
        let why = if odd {
            Why::NoNumber
        } else if looks_newer {
            Why::OlderThanItLooks
        } else if ours == NO_SUCH_CALL && self.reference.names_only_parts(call) {
            Why::NothingIsNewer
        } else if !ran.saw_number && self.is_listed(call) {
            Why::NumberNotLoaded
        } else if allowed.has(theirs) {
            Why::BothMatch
        } else {
            let compared: usize = self.profile.lines.iter().map(|line| line.conditions.len()).sum();
            assert!(compared > 1, "{theirs:#x}: {}", details());
            Why::LostInTheTree
        };
        *self.differences.entry(why).or_default() += 1;
    }

    fn is_listed(&self, call: &Call) -> bool {
        self.profile.archs.iter().any(|arch| Arch::find(arch).unwrap().audit == call.audit)
    }

    /// Calls every number in the table and its neighbours, and the extremes; for calls with conditions, with several
    /// arguments.
    pub fn every_call(&mut self, random: &mut Random, combinations: usize) {
        let conditions = self.profile.lines.iter().flat_map(|line| &line.conditions);
        let mut values: Vec<u64> = conditions.flat_map(|c| [c.2, c.3, c.2 & c.3, c.2 ^ 1 << 32]).collect();
        values.extend(0..25);
        let near: Vec<&Arch> = ARCHS.iter().filter(|arch| self.is_near(arch)).collect();
        for arch in near {
            let named: Vec<u32> = self.named(arch);
            for number in numbers(arch, &named) {
                self.call(&Call::new(arch, number, random.args(&values)));
                for _ in 0..if named.contains(&number) { combinations } else { 0 } {
                    self.call(&Call::new(arch, number, random.args(&values)));
                }
            }
        }
    }

    /// The architectures of the profile, and some others.
    fn is_near(&self, arch: &Arch) -> bool {
        self.profile.archs.contains(&arch.name) || matches!(arch.name, "X32" | "AARCH64" | "S390")
    }

    fn named(&self, arch: &Arch) -> Vec<u32> {
        let lines = self.profile.lines.iter().filter(|line| !line.conditions.is_empty());
        let names = lines.flat_map(Line::words).chain(["socketcall", "ipc"]);
        names.filter_map(|name| reference::number(arch.name, name)).collect()
    }
}

fn numbers(arch: &Arch, named: &[u32]) -> Vec<u32> {
    let base = reference::number(arch.name, "restart_syscall").map_or(0, |number| number / 1000 * 1000);
    let mut numbers: Vec<u32> = (0..600).map(|number| base + number).collect();
    numbers.extend([0, 1, 0x000f_0000, 0x000f_0003, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_0223]);
    numbers.extend([0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX]);
    numbers.extend(named);
    numbers
}

/// The architectures that the installed libseccomp supports, and whether it has the same numbers as the table: an older
/// one has fewer.
pub struct Known {
    pub archs: Vec<&'static str>,
    names: HashMap<String, bool>,
}

impl Known {
    pub fn new(library: &mut Library) -> Self {
        let archs = ARCHS.iter().map(|arch| arch.name);
        Known {
            archs: archs.filter(|arch| library.resolve(arch, "read").is_some()).collect(),
            names: HashMap::new(),
        }
    }

    pub fn agrees(&mut self, library: &mut Library, name: &str) -> bool {
        match self.names.entry(name.to_owned()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => *place.insert(self.archs.iter().all(|arch| {
                let own = reference::number(arch, name).filter(|_| reference::carrier(arch, name).is_none());
                library.resolve(arch, name) == own
            })),
        }
    }
}

/// Architectures that one kernel can have, the native one first.
fn archs(random: &mut Random, known: &[&'static str]) -> Vec<&'static str> {
    let natives: Vec<&&str> = known.iter().filter(|arch| **arch != "X32").collect();
    let native = if random.below(2) == 0 { "X86_64" } else { random.one(&natives) };
    let little = |arch: &str| Arch::find(arch).unwrap().is_little();
    let mut archs = vec![native];
    for _ in 0..random.below(4) {
        let other = if native == "X86_64" { random.one(&["X86", "X32", "ARM"]) } else { random.one(known) };
        if little(other) == little(native)
            && !archs.contains(other)
            && (*other != "X32" || native == "X86_64")
        {
            archs.push(other);
        }
    }
    archs
}

/// Enough for every run; `PROFILES=20000` tries as many, in an optimized build.
const PROFILES: usize = 600;

#[test]
fn random_profiles() {
    let Some(mut library) = Library::start("random_profiles") else { return };
    let mut known = Known::new(&mut library);
    let rows = crate::rows::rows();
    let names = rows.iter().map(|row| row.0).filter(|name| known.agrees(&mut library, name));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 400, "{}", names.len());
    let mut random = Random(0x5eed);
    let profiles = std::env::var("PROFILES").ok().and_then(|count| count.parse().ok()).unwrap_or(PROFILES);
    let (mut rejected, mut calls, mut differences) = (0, 0, BTreeMap::<Why, usize>::new());
    for index in 0..profiles {
        let archs = archs(&mut random, &known.archs);
        let profile = random.profile(archs, &names, index % 2 == 0);
        // Without the binary tree, with which some versions of it crash on such profiles.
        let theirs = library.compile(&profile, 1);
        rejected += usize::from(theirs.is_err());
        let mut pair = Pair::new(&profile, theirs.ok());
        pair.every_call(&mut random, 12);
        calls += pair.calls;
        pair.differences.iter().for_each(|(why, count)| *differences.entry(*why).or_default() += count);
    }
    println!(
        "{profiles} profiles, {calls} calls, {rejected} profiles rejected by libseccomp: {differences:?}"
    );
    assert!(rejected < profiles / 3, "libseccomp rejects {rejected} of {profiles}");
    // Rare, even for profiles that are made to provoke it.
    let share = |why| differences.get(&why).map_or(0.0, |count| *count as f64 / calls as f64);
    assert!(share(Why::BothMatch) < 0.000_05 && share(Why::LostInTheTree) < 0.000_5, "{differences:?}");
    assert!(share(Why::NumberNotLoaded) < 0.000_5, "{differences:?}");
}
