//! `linux.cgroupsPath`: the cgroup of the container (config-linux.md, "Cgroups Path").

use std::fs;
use std::path::PathBuf;

use super::{content, is_v1, main_controller, path_of, unified, unified_top};
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![
    path_of_the_configuration,
    path_relative,
    path_of_the_container_id_by_default,
    path_below_an_existing_cgroup,
    path_of_an_empty_cpuset,
    path_below_empty_cpusets,
    path_with_dots_is_rejected,
    path_is_the_root_in_a_cgroup_namespace,
    every_hierarchy_is_joined,
    every_process_is_in_the_cgroup,
    disabled_manager_stays_in_the_callers_cgroup,
];

fn path_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, main_controller(rig))?;
    same("the cgroup", path, format!("/{}", rig.cgroup))?;
    rig.delete()
}

/// A relative path is below a cgroup that the runtime chooses, and ends with these names.
fn path_relative(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", rig.cgroup.as_str());
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, main_controller(rig))?;
    holds(&format!("{path} ends with {}", rig.cgroup), path.ends_with(&format!("/{}", rig.cgroup)))?;
    rig.delete()
}

/// Without a path, the cgroup is named after the container's id.
fn path_of_the_container_id_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    let _running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, main_controller(rig))?;
    contains("the cgroup", &path, &rig.id)?;
    rig.delete()
}

/// A cgroup that existed before the container exists after it.
fn path_below_an_existing_cgroup(rig: &mut Rig) -> Outcome {
    let top = if unified(rig) { unified_top() } else { "/sys/fs/cgroup/pids".into() };
    let above = top.join(&rig.cgroup);
    fs::create_dir(&above)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
    let running = rig.waiting(&mut bundle)?;
    let path = path_of(rig.pid()?, main_controller(rig))?;
    same("the cgroup", path, format!("/{}/leaf", rig.cgroup))?;
    rig.delete()?;
    drop(running);
    holds("the cgroup is removed", !above.join("leaf").exists())?;
    holds("the existing cgroup is left", above.exists())?;
    // Those above it in other hierarchies were created by the runtime, and may be left.
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

/// Creates cpusets as the kernel does on v1: without CPUs and memory nodes, so that no process may join.
fn empty_cpusets(rig: &Rig, path: &str) -> Outcome<PathBuf> {
    if unified(rig) || !is_v1("cpuset") {
        return skip_allowed("this layout has no v1 cpusets");
    }
    let top = PathBuf::from("/sys/fs/cgroup/cpuset");
    fs::create_dir_all(top.join(path))?;
    same("cpuset.cpus", content(&top.join(path), "cpuset.cpus")?.as_str(), "")?;
    Ok(top)
}

fn path_of_an_empty_cpuset(rig: &mut Rig) -> Outcome {
    let top = empty_cpusets(rig, &rig.cgroup)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        same(file, content(&top.join(&rig.cgroup), file)?, content(&top, file)?)?;
    }
    rig.delete()
}

/// A value that was set by another program stays, and is copied to the cpusets below.
fn path_below_empty_cpusets(rig: &mut Rig) -> Outcome {
    let above = format!("{}/narrow/empty", rig.cgroup);
    let top = empty_cpusets(rig, &above)?;
    let narrow = top.join(&rig.cgroup).join("narrow");
    for file in ["cpuset.cpus", "cpuset.mems"] {
        fs::write(top.join(&rig.cgroup).join(file), content(&top, file)?)?;
        fs::write(narrow.join(file), "0")?;
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{above}/leaf"));
    let _running = rig.waiting(&mut bundle)?;
    for directory in [top.join(&above), top.join(&above).join("leaf")] {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            same(file, content(&directory, file)?.as_str(), "0")?;
        }
    }
    same(
        "cpuset.cpus above",
        content(&top.join(&rig.cgroup), "cpuset.cpus")?,
        content(&top, "cpuset.cpus")?,
    )?;
    rig.delete()?;
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

fn path_with_dots_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun remove the dots instead");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.cgroupsPath", format!("/../../{}", rig.cgroup));
    rig.rejected(&bundle, &["linux.cgroupsPath"])
}

fn path_is_the_root_in_a_cgroup_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    let key = format!("cgroup:{}", main_controller(rig));
    rig.report(&mut bundle, &["cgroup"])?.is(&key, "/")
}

/// The process is in the cgroup in every v1 hierarchy that is mounted.
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

fn every_process_is_in_the_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fork", "2", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    let pids = crate::cleanup::processes("MOTE_LIVE", &rig.marker);
    same("processes", pids.len(), 3)?;
    for pid in pids {
        same("the cgroup", path_of(pid, main_controller(rig))?, format!("/{}", rig.cgroup))?;
    }
    rig.delete()
}

fn disabled_manager_stays_in_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such option");
    }
    rig.globals.extend(["--cgroup-manager".to_string(), "disabled".to_string()]);
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 5i64);
    let _running = rig.waiting(&mut bundle)?;
    let own = path_of(std::process::id().cast_signed(), main_controller(rig))?;
    let path = path_of(rig.pid()?, main_controller(rig))?;
    same("the cgroup", path.as_str(), own.as_str())?;
    different("the cgroup", path, format!("/{}", rig.cgroup))?;
    rig.delete()
}
