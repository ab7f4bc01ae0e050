//! Programs loaded into the kernel, which needs root and a cgroup on v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mote::internal::cgroup::devices::program::assemble;
use mote::internal::sys::bpf;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::reference::{Random, rule};

/// A cgroup for one test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let top = tops.into_iter().find(|top| top.join("cgroup.controllers").exists());
        let path = top.map(|top| top.join(format!("mote-{name}-{}", std::process::id())));
        match path.filter(|path| rustix::process::geteuid().is_root() && fs::create_dir(path).is_ok()) {
            Some(path) => Some(Cgroup(path)),
            None => {
                assert!(std::env::var("MUST").is_err(), "needs root, and cgroup v2");
                println!("skipped: needs root, and cgroup v2");
                None
            }
        }
    }

    fn open(&self) -> OwnedFd {
        open(self.0.to_str().unwrap(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The verifier accepts the programs.
#[test]
fn programs_are_accepted() {
    if Cgroup::new("load").is_none() {
        return;
    }
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..300 {
        let rules = random.rules();
        let program = assemble(&rules).unwrap();
        if bpf::load(&program, &mut []).is_err() {
            let mut log = vec![0; 1 << 16];
            let error = bpf::load(&program, &mut log);
            panic!("{error:?} for {rules:#?}: {}", String::from_utf8_lossy(&log));
        }
    }
    let one = |n: u32| rule(&format!("{} b {}:{} r", ["allow", "deny"][n as usize % 2], n % 40, n));
    bpf::load(&assemble(&(0..900).map(one).collect::<Vec<_>>()).unwrap(), &mut []).unwrap();
}

#[test]
fn programs_are_attached_replaced_and_detached() {
    let Some(cgroup) = Cgroup::new("attach") else { return };
    let directory = cgroup.open();
    let ids = || {
        let mut ids = [0; 8];
        let count = bpf::attached(directory.as_fd(), &mut ids).unwrap();
        ids[..count].to_vec()
    };
    let program = || bpf::load(&assemble(&[]).unwrap(), &mut []).unwrap();
    assert_eq!(ids(), []);
    let (one, two, three) = (program(), program(), program());
    bpf::attach(directory.as_fd(), one.as_fd(), None).unwrap();
    let first = ids();
    bpf::attach(directory.as_fd(), two.as_fd(), Some(one.as_fd())).unwrap();
    assert_eq!(ids().len(), 1);
    assert_ne!(ids(), first);
    // As a later mote finds it.
    let found = bpf::by_id(ids()[0]).unwrap();
    bpf::attach(directory.as_fd(), three.as_fd(), Some(found.as_fd())).unwrap();
    assert_eq!(ids().len(), 1);
    bpf::attach(directory.as_fd(), one.as_fd(), None).unwrap();
    assert_eq!(ids().len(), 2);
    bpf::detach(directory.as_fd(), three.as_fd()).unwrap();
    assert_eq!(ids(), first);
    assert_eq!(bpf::by_id(u32::MAX - 1).unwrap_err(), Errno::NOENT);
}

#[test]
fn invalid_program_is_rejected() {
    if Cgroup::new("wrong").is_none() {
        return;
    }
    // A program that returns without a result.
    let program = [u64::from_ne_bytes([0x95, 0, 0, 0, 0, 0, 0, 0])];
    assert_eq!(bpf::load(&program, &mut []).unwrap_err(), Errno::ACCESS);
    let mut log = vec![0; 1 << 16];
    assert_eq!(bpf::load(&program, &mut log).unwrap_err(), Errno::ACCESS);
    assert!(String::from_utf8_lossy(&log).contains("R0 !read_ok"));
}

/// Prints how long loading takes (`--nocapture`).
#[test]
fn duration_of_loading() {
    let Some(cgroup) = Cgroup::new("cost") else { return };
    let directory = cgroup.open();
    let docker = ["deny a *:* rwm", "allow c 1:5 rwm", "allow c 5:1 rwm", "deny c 10:229 rwm"];
    for rules in [&[][..], &docker, &["allow a *:* rwm"]] {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..100 {
            let begin = Instant::now();
            let program = assemble(&rules).unwrap();
            let assembled = Instant::now();
            let program = bpf::load(&program, &mut []).unwrap();
            let loaded = Instant::now();
            bpf::attach(directory.as_fd(), program.as_fd(), None).unwrap();
            let attached = Instant::now();
            bpf::detach(directory.as_fd(), program.as_fd()).unwrap();
            times[0].push(assembled - begin);
            times[1].push(loaded - assembled);
            times[2].push(attached - loaded);
        }
        let [assemble, load, attach] = times.map(|mut times| {
            times.sort_unstable();
            times[50].as_nanos() as f64 / 1000.0
        });
        let count = rules.len();
        println!(
            "{count} rules: assemble {assemble:.1} µs, load {load:.1} µs, attach {attach:.1} µs (medians)"
        );
    }
}
