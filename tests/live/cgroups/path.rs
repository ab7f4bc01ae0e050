//! Which cgroup the container is in.

use std::fs;
use std::path::PathBuf;

use super::{chief, is_v1, path_of, says, unified, unified_top};
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::rig::{Runtime, Rig};
use crate::tests_in_layouts;

tests_in_layouts![
    path_of_the_configuration,
    path_relative,
    path_not_given,
    path_below_an_existing_cgroup,
    path_of_an_empty_cpuset,
    path_below_empty_cpusets,
    path_that_climbs_is_rejected,
    path_is_the_root_in_a_cgroup_namespace,
    every_hierarchy_is_joined,
    every_process_is_in_it,
    disabled_manager_leaves_the_callers_cgroup,
];

fn path_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, chief(rig))?;
    same("the cgroup", path, format!("/{}", rig.cgroup))?;
    rig.delete()
}

/// Relative to what the runtime likes, but with these names at the end.
fn path_relative(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", rig.cgroup.as_str());
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, chief(rig))?;
    holds(&format!("{path} ends with {}", rig.cgroup), path.ends_with(&format!("/{}", rig.cgroup)))?;
    rig.delete()
}

/// Of its own, and told apart by the container's id.
fn path_not_given(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, chief(rig))?;
    contains("the cgroup", &path, &rig.id)?;
    rig.delete()
}

/// What was there before the container is there after it.
fn path_below_an_existing_cgroup(rig: &mut Rig) -> Outcome {
    let top = if unified(rig) { unified_top() } else { "/sys/fs/cgroup/pids".into() };
    let above = top.join(&rig.cgroup);
    fs::create_dir(&above)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
    let running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, chief(rig))?;
    same("the cgroup", path, format!("/{}/leaf", rig.cgroup))?;
    rig.delete()?;
    drop(running);
    holds("the cgroup is gone", !above.join("leaf").exists())?;
    holds("what was there before is there", above.exists())?;
    // With those above it in the other hierarchies, which were made by the runtime, and may be left.
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

/// Cpusets as the kernel makes them on v1: without CPUs and memory nodes, so that nobody may enter.
fn empty_cpusets(rig: &Rig, path: &str) -> Outcome<PathBuf> {
    if unified(rig) || !is_v1("cpuset") {
        return skip_allowed("this layout has no cpusets of v1");
    }
    let top = PathBuf::from("/sys/fs/cgroup/cpuset");
    fs::create_dir_all(top.join(path))?;
    same("cpuset.cpus", says(&top.join(path), "cpuset.cpus")?.as_str(), "")?;
    Ok(top)
}

fn path_of_an_empty_cpuset(rig: &mut Rig) -> Outcome {
    let top = empty_cpusets(rig, &rig.cgroup)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        same(file, says(&top.join(&rig.cgroup), file)?, says(&top, file)?)?;
    }
    rig.delete()
}

/// What somebody has set stays, and is what those below get.
fn path_below_empty_cpusets(rig: &mut Rig) -> Outcome {
    let above = format!("{}/narrow/empty", rig.cgroup);
    let top = empty_cpusets(rig, &above)?;
    let narrow = top.join(&rig.cgroup).join("narrow");
    for file in ["cpuset.cpus", "cpuset.mems"] {
        fs::write(top.join(&rig.cgroup).join(file), says(&top, file)?)?;
        fs::write(narrow.join(file), "0")?;
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{above}/leaf"));
    let _running = rig.waiting(&mut bundle)?;
    for directory in [top.join(&above), top.join(&above).join("leaf")] {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            same(file, says(&directory, file)?.as_str(), "0")?;
        }
    }
    same("cpuset.cpus above", says(&top.join(&rig.cgroup), "cpuset.cpus")?, says(&top, "cpuset.cpus")?)?;
    rig.delete()?;
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

fn path_that_climbs_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun clean the path instead");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.cgroupsPath", format!("/../../{}", rig.cgroup));
    rig.rejected(&bundle, &["linux.cgroupsPath"])
}

fn path_is_the_root_in_a_cgroup_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    let key = format!("cgroup:{}", chief(rig));
    rig.report(&mut bundle, &["cgroup"])?.is(&key, "/")
}

/// Of the v1 hierarchies that are mounted, none is left out.
fn every_hierarchy_is_joined(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    if unified(rig) {
        same("the cgroup", path_of(pid, "")?, format!("/{}", rig.cgroup))?;
        return rig.delete();
    }
    for entry in fs::read_dir("/sys/fs/cgroup")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_v1 = entry.file_type()?.is_dir() && is_v1(&name);
        if is_v1 && !["unified", "systemd"].contains(&name.as_str()) {
            let controller = name.split(',').next().unwrap_or("");
            same(&name, path_of(pid, controller)?, format!("/{}", rig.cgroup))?;
        }
    }
    rig.delete()
}

fn every_process_is_in_it(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fork", "2", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    let pids = crate::cleanup::processes("MOTE_LIVE", &rig.marker);
    same("processes", pids.len(), 3)?;
    for pid in pids {
        same("the cgroup", path_of(pid, chief(rig))?, format!("/{}", rig.cgroup))?;
    }
    rig.delete()
}

fn disabled_manager_leaves_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such option");
    }
    rig.globals.extend(["--cgroup-manager".to_string(), "disabled".to_string()]);
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 5i64);
    let _running = rig.waiting(&mut bundle)?;
    let own = path_of(std::process::id().cast_signed(), chief(rig))?;
    let path = path_of(rig.pid()?, chief(rig))?;
    same("the cgroup", path.as_str(), own.as_str())?;
    different("the cgroup", path, format!("/{}", rig.cgroup))?;
    rig.delete()
}
