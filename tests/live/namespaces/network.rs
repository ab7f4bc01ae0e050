//! Network interfaces for the tests: a network namespace of the test is the host's, in which ip(8) creates and shows
//! them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use super::holder;
use crate::check::{Outcome, fail, skip, skip_allowed};
use crate::command::{self, Output};
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::sys;

/// Addresses of all kinds: those of other scopes than host and link, and without a lifetime, are kept.
pub const ADDRESSES: [&str; 9] = [
    "10.1.0.1/24 brd + label eth0:web",
    "10.1.0.2/24",
    "10.2.0.1 peer 10.2.0.9",
    "10.3.0.1/24 metric 77 noprefixroute",
    "10.4.0.1/24 scope link",
    "10.5.0.1/24 valid_lft 1000 preferred_lft 1000",
    "2001:db8::1/64 nodad",
    "fd00::1/64 preferred_lft 0 nodad",
    "2001:db8:1::1/64 valid_lft 1000 preferred_lft 1000 nodad",
];
pub const KEPT: usize = 6;

/// Makes the rig call the runtime in a new network namespace with a pair of interfaces: `eth0`, with these addresses,
/// and `other`.
pub fn host(rig: &mut Rig, addresses: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the tested versions of runc and crun have no netDevices");
    }
    // busybox has a smaller one.
    if !program().arg("-Version").output().is_ok_and(|output| output.status.success()) {
        return skip("there is no ip(8) of iproute2");
    }
    let network = network(rig)?;
    let made = ip(&network, &["link add eth0 type veth peer name other"])?;
    if made.stderr.contains("Unknown device type") || made.stderr.contains("not supported") {
        return skip("this kernel has no veth");
    }
    made.success()?;
    let lines: Vec<String> =
        addresses.iter().map(|address| format!("address add {address} dev eth0")).collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.extend(["link set eth0 mtu 1400 address 02:00:00:00:00:07 up", "link set other up"]);
    ip(&network, &lines)?.success()?;
    rig.network = Some(network);
    Ok(())
}

/// A new network namespace, which exists as long as the file is open.
pub fn network(rig: &Rig) -> Outcome<File> {
    let (holder, report) = holder(rig, &["unshare", "net"])?;
    report.is("unshare", "ok")?;
    Ok(File::open(format!("/proc/{}/ns/net", holder.pid()))?)
}

/// The path by which other processes find it.
pub fn path_of(network: &File) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), network.as_raw_fd()))
}

fn program() -> Command {
    let mut command = Command::new("ip");
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    command
}

/// Runs ip(8) in a network namespace, with JSON output.
pub fn ip(network: &File, lines: &[&str]) -> Outcome<Output> {
    let mut command = program();
    command.args(["-json", "-details", "-batch", "-"]);
    let network = network.as_raw_fd();
    sys::before_exec(&mut command, move || sys::setns(network));
    command::run(&mut command, &lines.join("\n"))
}

/// The attributes of an interface, or `Null` if it does not exist.
pub fn link(network: &File, name: &str) -> Outcome<Json> {
    let text = ip(network, &["address show"])?.success()?.stdout;
    let links = Json::parse(&text)?;
    let found = links.items().iter().find(|link| link.at("ifname").text() == name);
    Ok(found.cloned().unwrap_or(Json::Null))
}

pub fn hosts(rig: &Rig, name: &str) -> Outcome<Json> {
    rig.network.as_ref().map_or_else(|| fail("no host"), |network| link(network, name))
}

pub fn is_up(link: &Json) -> bool {
    link.at("flags").items().iter().any(|flag| flag.text() == "UP")
}

/// The addresses that the specification demands to be kept, with labels as on an interface with another name.
pub fn kept(link: &Json, name: &str) -> Vec<String> {
    let own = link.at("ifname").text();
    let addresses = link.at("addr_info").items().iter();
    let kept = addresses.filter(|one| one.at("scope").text() == "global" && *one.at("dynamic") == Json::Null);
    kept.map(|address| {
        let mut address = address.clone();
        if let Some(rest) = address.at("label").text().strip_prefix(own) {
            let label = format!("{name}{rest}");
            address.set("label", label);
        }
        address.to_string()
    })
    .collect()
}

/// Changes an interface of the host.
pub fn set(rig: &Rig, line: &str) -> Outcome {
    rig.network.as_ref().map_or_else(|| fail("no host"), |network| ip(network, &[line])?.success())?;
    Ok(())
}
