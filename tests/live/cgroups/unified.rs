//! `linux.resources.unified`: files of cgroup v2, by name (config-linux.md, "Unified").

use super::{content, controller_dir, unified, unified_top};
use crate::check::{Outcome, same, skip_allowed};
use crate::rig::{Layout, Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![
    unified_file,
    unified_file_line_by_line,
    unified_file_enables_its_controller,
    unified_file_overrides_other_limits,
    unified_file_on_v1_is_rejected,
    unified_file_of_a_v1_controller_is_rejected,
    unified_file_with_a_slash_is_rejected,
    unified_file_that_is_missing_is_rejected,
    unified_file_of_an_unknown_controller_is_rejected,
    unified_file_that_is_no_limit_is_rejected,
];

/// A bundle with these files.
fn with(rig: &Rig, files: &[(&str, &str)]) -> Outcome<crate::bundle::Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    for (file, value) in files {
        bundle.set(&format!("linux.resources.unified.\"{file}\""), *value);
    }
    Ok(bundle)
}

/// Skips the test if the runtime cannot write files of v2.
fn needs_v2(rig: &Rig) -> Outcome {
    match rig.layout {
        Layout::V1 => skip_allowed("this layout has no v2"),
        _ if rig.is(Runtime::Crun) && !unified(rig) => skip_allowed("crun treats the layout as v1"),
        _ if rig.is(Runtime::Runc) && !unified(rig) => skip_allowed("runc treats the layout as v1"),
        _ => Ok(()),
    }
}

fn unified_file(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    let mut bundle = with(rig, &[("cgroup.max.depth", "5"), ("cgroup.max.descendants", "7")])?;
    let _running = rig.waiting(&mut bundle)?;
    let directory = unified_top().join(&rig.cgroup);
    same("cgroup.max.depth", content(&directory, "cgroup.max.depth")?, "5")?;
    same("cgroup.max.descendants", content(&directory, "cgroup.max.descendants")?, "7")?;
    rig.delete()
}

/// A value of several lines, which the file accepts only one by one.
fn unified_file_line_by_line(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    let mut bundle = with(rig, &[("cgroup.max.depth", "4\n\n6\n")])?;
    let _running = rig.waiting(&mut bundle)?;
    let directory = unified_top().join(&rig.cgroup);
    same("cgroup.max.depth", content(&directory, "cgroup.max.depth")?, "6")?;
    rig.delete()
}

/// A controller that few containers use, and that is not enabled in the cgroup above.
fn unified_file_enables_its_controller(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    let (directory, v2) = controller_dir(rig, "hugetlb", "hugetlb")?;
    if !v2 || !std::path::Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
        return skip_allowed("no huge pages on v2");
    }
    let mut bundle = with(rig, &[("hugetlb.2MB.max", "4194304")])?;
    bundle.set("linux.cgroupsPath", format!("/{}/below", rig.cgroup));
    let _running = rig.waiting(&mut bundle)?;
    same("hugetlb.2MB.max", content(&directory.join("below"), "hugetlb.2MB.max")?, "4194304")?;
    rig.delete()?;
    // The cgroup above was created by the runtime, in every hierarchy.
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

fn unified_file_overrides_other_limits(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    let (directory, v2) = controller_dir(rig, "pids", "pids")?;
    if !v2 {
        return skip_allowed("no pids on v2");
    }
    let mut bundle = with(rig, &[("pids.max", "7")])?;
    bundle.set("linux.resources.pids.limit", 5i64);
    let _running = rig.waiting(&mut bundle)?;
    same("pids.max", content(&directory, "pids.max")?, "7")?;
    rig.delete()
}

fn unified_file_on_v1_is_rejected(rig: &mut Rig) -> Outcome {
    if rig.layout != Layout::V1 {
        return skip_allowed("this layout has v2");
    }
    rig.rejected(&with(rig, &[("cgroup.max.depth", "5")])?, &["linux.resources.unified.cgroup.max.depth: "])
}

fn unified_file_of_a_v1_controller_is_rejected(rig: &mut Rig) -> Outcome {
    if unified(rig) || !rig.is(Runtime::Mote) {
        return skip_allowed("all controllers are on v2");
    }
    rig.rejected(&with(rig, &[("pids.max", "5")])?, &["linux.resources.unified.pids.max: "])
}

fn unified_file_with_a_slash_is_rejected(rig: &mut Rig) -> Outcome {
    rig.rejected(&with(rig, &[("../cgroup.max.depth", "max")])?, &["linux.resources.unified"])
}

fn unified_file_that_is_missing_is_rejected(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    rig.rejected(&with(rig, &[("cgroup.nothing", "1")])?, &["linux.resources.unified.cgroup.nothing: "])
}

fn unified_file_of_an_unknown_controller_is_rejected(rig: &mut Rig) -> Outcome {
    needs_v2(rig)?;
    rig.rejected(
        &with(rig, &[("foo.max", "1")])?,
        &["linux.resources.unified.foo.max: controller \"foo\" is missing in ", ": missing in the kernel"],
    )
}

/// Files that move or kill processes, or that freeze the container before it exists.
fn unified_file_that_is_no_limit_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun write them");
    }
    for file in ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"] {
        let field = format!(
            "linux.resources.unified.{file}: must be a limit: this file moves, kills or freezes processes"
        );
        rig.rejected(&with(rig, &[(file, "1")])?, &[&field])?;
    }
    Ok(())
}
