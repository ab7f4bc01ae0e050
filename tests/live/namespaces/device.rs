//! `linux.netDevices`: network interfaces moved into the container: their attributes in it, and their return if the
//! container is not created.

use std::fs::File;

use super::network::{ADDRESSES, KEPT, host, hosts, ip, is_up, kept, link, network, path_of, set};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, lacks, same};
use crate::command;
use crate::json::Json;
use crate::rig::Rig;
use crate::{json, tests};

tests![
    "namespaces",
    device_is_moved_and_renamed,
    device_keeps_its_attributes,
    device_with_its_own_name,
    device_is_set_up,
    device_in_a_user_namespace,
    device_in_a_joined_network,
    device_with_many_addresses,
    devices_exchange_their_names,
    device_with_a_name_template,
    device_by_an_alternative_name,
    device_before_hooks_and_sysctls,
    device_that_is_missing_is_rejected,
    device_with_a_name_in_use_is_rejected,
    device_that_cannot_be_moved_is_rejected,
    device_into_the_hosts_network_is_rejected,
    device_returns_if_another_is_missing,
    device_returns_if_a_hook_fails,
    device_returns_if_the_program_is_missing,
    device_returns_from_a_joined_network,
];

/// Checks that an interface has the addresses that it had on the host, and is up.
fn is_kept(device_inside: &Json, before: &Json) -> Outcome {
    let name = device_inside.at("ifname").text();
    same("addresses", kept(device_inside, name), kept(before, name))?;
    holds("the interface is up", is_up(device_inside))
}

/// Runs a container and returns the attributes of an interface in it.
fn device_inside(rig: &Rig, bundle: &mut Bundle, name: &str) -> Outcome<Json> {
    let _waiting = rig.waiting(bundle)?;
    let network = File::open(format!("/proc/{}/ns/net", rig.pid()?))?;
    let link = link(&network, name)?;
    rig.delete()?;
    Ok(link)
}

/// Checks that the interface is on the host again, with its attributes, and with its addresses except temporary and
/// link-local ones.
fn has_returned(rig: &Rig, before: &Json) -> Outcome {
    let now = hosts(rig, "eth0")?;
    same("addresses", kept(&now, "eth0"), kept(before, "eth0"))?;
    same("up", is_up(&now), is_up(before))?;
    for what in ["mtu", "address"] {
        same(what, now.at(what), before.at(what))?;
    }
    Ok(())
}

/// As reported by the payload.
fn device_is_moved_and_renamed(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0.name", "inside0");
    let file = |name: &str| format!("/sys/class/net/inside0/{name}");
    let (mtu, address, flags) = (file("mtu"), file("address"), file("flags"));
    let looks = ["list", "/sys/class/net", "read", &mtu, "read", &address, "read", &flags];
    let device_inside = rig.report(&mut bundle, &looks)?;
    device_inside.is("list:/sys/class/net", "inside0 lo")?;
    device_inside.is(&format!("read:{mtu}"), "1400\n")?;
    device_inside.is(&format!("read:{address}"), "02:00:00:00:00:07\n")?;
    // IFF_UP, IFF_BROADCAST and IFF_MULTICAST.
    device_inside.is(&format!("read:{flags}"), "0x1003\n")?;
    same("on the host", hosts(rig, "eth0")?, Json::Null)
}

fn device_keeps_its_attributes(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0.name", "in0");
    let device_inside = device_inside(rig, &mut bundle, "in0")?;
    same("number of addresses kept", kept(&before, "").len(), KEPT)?;
    is_kept(&device_inside, &before)?;
    // The kernel adds a link-local address.
    let all = device_inside.at("addr_info").items().iter().map(|address| address.at("local").text());
    same("all addresses", all.filter(|address| !address.starts_with("fe80:")).count(), KEPT)?;
    for what in ["mtu", "address", "txqlen"] {
        same(what, device_inside.at(what), before.at(what))?;
    }
    Ok(())
}

fn device_with_its_own_name(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0", json!({}));
    is_kept(&device_inside(rig, &mut bundle, "eth0")?, &before)
}

/// "The runtime MUST set the network device state to "up" after moving it".
fn device_is_set_up(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES[..3])?;
    set(rig, "link set eth0 down")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0", json!({}));
    let device_inside = device_inside(rig, &mut bundle, "eth0")?;
    same("addresses", kept(&device_inside, "eth0").len(), 3)?;
    holds("the interface is up", is_up(&device_inside))
}

fn device_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.netDevices.eth0.name", "in0");
    is_kept(&device_inside(rig, &mut bundle, "in0")?, &before)
}

/// The ifindex is already in use there, so the interface gets another one. It stays there after the container.
fn device_in_a_joined_network(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    let joined = network(rig)?;
    let number = before.at("ifindex").int();
    ip(&joined, &[&format!("link add has index {number} type veth peer name other")])?.success()?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(&path_of(&joined)));
    bundle.set("linux.netDevices.eth0.name", "in0");
    bundle.verbs(&[]);
    rig.run(&bundle, &[])?.success()?;
    let (device_inside, has) = (link(&joined, "in0")?, link(&joined, "has")?);
    holds("the ifindex differs", device_inside.at("ifindex") != before.at("ifindex"))?;
    is_kept(&device_inside, &before)?;
    same("addresses of the other interface", has.at("addr_info").items().len(), 0)?;
    holds("the other interface is down", !is_up(&has))
}

/// More addresses than one netlink message holds.
fn device_with_many_addresses(rig: &mut Rig) -> Outcome {
    let many: Vec<String> = (0..1000).map(|n| format!("10.9.{}.{}/32", n / 250, 1 + n % 250)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(ADDRESSES).collect();
    host(rig, &many)?;
    let before = hosts(rig, "eth0")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0", json!({}));
    let device_inside = device_inside(rig, &mut bundle, "eth0")?;
    same("number of addresses kept", kept(&device_inside, "eth0").len(), 1000 + KEPT)?;
    holds("the addresses are the same", kept(&device_inside, "eth0") == kept(&before, "eth0"))
}

fn devices_exchange_their_names(rig: &mut Rig) -> Outcome {
    host(rig, &["10.1.0.1/24"])?;
    set(rig, "address add 10.1.0.2/24 dev other")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices", json!({"eth0": {"name": "other"}, "other": {"name": "eth0"}}));
    let kept = kept(&device_inside(rig, &mut bundle, "eth0")?, "eth0");
    same("how many addresses", kept.len(), 1)?;
    contains("the address", &kept.concat(), "10.1.0.2")?;
    same("on the host", [hosts(rig, "eth0")?, hosts(rig, "other")?], [Json::Null, Json::Null])
}

/// "unless the user has provided a template by appending `%d` to the new name": after the interfaces with a name.
fn device_with_a_name_template(rig: &mut Rig) -> Outcome {
    host(rig, &["10.1.0.1/24"])?;
    let joined = network(rig)?;
    ip(&joined, &["link add net0 type veth peer name eth0"])?.success()?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(&path_of(&joined)));
    bundle.set("linux.netDevices", json!({"eth0": {"name": "net%d"}, "other": {"name": "net1"}}));
    bundle.verbs(&[]);
    rig.run(&bundle, &[])?.success()?;
    same("addresses of net2", kept(&link(&joined, "net2")?, "").len(), 1)?;
    holds("net1 exists", link(&joined, "net1")? != Json::Null)
}

fn device_by_an_alternative_name(rig: &mut Rig) -> Outcome {
    host(rig, &["10.1.0.1/24"])?;
    set(rig, "link property add dev eth0 altname uplink")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.uplink", json!({}));
    let link = device_inside(rig, &mut bundle, "eth0")?;
    same("the other name", link.at("altnames").items(), [Json::from("uplink")])?;
    same("addresses", kept(&link, "eth0").len(), 1)
}

fn device_before_hooks_and_sysctls(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0.name", "in0");
    let log = rig.dir.join("log");
    let hook = [rig.suite.payload.display().to_string(), log.display().to_string()];
    let words = json!(["payload", "into", (hook[1].as_str()), "read", "/proc/net/dev"]);
    bundle.set("hooks.prestart", Json::List(vec![json!({"path": (hook[0].as_str()), "args": words})]));
    bundle.set("linux.sysctl.\"net.ipv4.conf.in0.forwarding\"", "1");
    let setting = "/proc/sys/net/ipv4/conf/in0/forwarding";
    rig.report(&mut bundle, &["read", setting])?.is(&format!("read:{setting}"), "1\n")?;
    let seen = std::fs::read_to_string(log)?;
    contains("what the hook saw", &seen, "other:")?;
    lacks("what the hook saw", &seen, "eth0:")
}

fn device_that_is_missing_is_rejected(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.netDevices.nothing", json!({}));
    rig.rejected(&bundle, &["linux.netDevices.nothing: ", "no such device"])
}

/// Rejected before the interface is changed: it still has its temporary addresses.
fn device_with_a_name_in_use_is_rejected(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    let joined = network(rig)?;
    ip(&joined, &["link add taken type veth peer name other"])?.success()?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.namespace("network", Some(&path_of(&joined)));
    bundle.set("linux.netDevices.eth0.name", "taken");
    rig.rejected(&bundle, &["linux.netDevices.eth0: \"taken\"", "file exists"])?;
    has_returned(rig, &before)?;
    // The kernel may add a link-local address at any time.
    let is_link_local = |address: &&Json| address.at("local").text().starts_with("fe80:");
    let count = |link: &Json| link.at("addr_info").items().iter().filter(|one| !is_link_local(one)).count();
    same("addresses", count(&hosts(rig, "eth0")?), count(&before))
}

fn device_that_cannot_be_moved_is_rejected(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.netDevices.lo.name", "lo1");
    rig.rejected(&bundle, &["linux.netDevices.lo: RTM_NEWLINK", "invalid argument"])
}

fn device_into_the_hosts_network_is_rejected(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.namespace("network", Some("/proc/self/ns/net".as_ref()));
    bundle.set("linux.netDevices.eth0.name", "in0");
    rig.rejected(&bundle, &["linux.namespaces[4].path", "host's own", "netDevices"])?;
    holds("the interface is still on the host", hosts(rig, "eth0")? != Json::Null)
}

/// Checks that the interface returns if a container cannot be created, in a new network namespace, also under a new
/// user namespace.
fn device_returns(rig: &mut Rig, break_config: fn(&Rig, &mut Bundle), words: &[&str]) -> Outcome {
    host(rig, &ADDRESSES)?;
    let before = hosts(rig, "eth0")?;
    for user in [false, true] {
        for verb in ["run", "create"] {
            let mut bundle = rig.bundle()?;
            bundle.verbs(&[]);
            if user {
                bundle.user_namespace(100_000);
            }
            bundle.set("linux.netDevices.eth0.name", "in0");
            break_config(rig, &mut bundle);
            let output = command::run(&mut rig.launch(verb, &bundle, &[])?, "")?;
            rig.failure(&output, words)?;
            rig.nothing_left()?;
            has_returned(rig, &before)?;
        }
    }
    Ok(())
}

fn device_returns_if_another_is_missing(rig: &mut Rig) -> Outcome {
    let another = |_: &Rig, bundle: &mut Bundle| bundle.set("linux.netDevices.nothing", json!({}));
    device_returns(rig, another, &["linux.netDevices.nothing", "no such device"])
}

fn device_returns_if_a_hook_fails(rig: &mut Rig) -> Outcome {
    let hook = |rig: &Rig, bundle: &mut Bundle| {
        let path = rig.suite.payload.display().to_string();
        let hook = json!({"path": (path.as_str()), "args": ["payload", "exit", "3"]});
        bundle.set("hooks.createContainer", Json::List(vec![hook]));
    };
    device_returns(rig, hook, &["hooks.createContainer[0]", "exit code 3"])
}

/// The init has reported the error and exited; the parent still has the network namespace open.
fn device_returns_if_the_program_is_missing(rig: &mut Rig) -> Outcome {
    let nothing = |_: &Rig, bundle: &mut Bundle| bundle.set("process.args", json!(["/nothing"]));
    device_returns(rig, nothing, &["/nothing", "no such file"])
}

fn device_returns_from_a_joined_network(rig: &mut Rig) -> Outcome {
    host(rig, &ADDRESSES)?;
    set(rig, "link set eth0 down")?;
    let before = hosts(rig, "eth0")?;
    let joined = network(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(&path_of(&joined)));
    bundle.set("linux.netDevices", json!({"eth0": {"name": "in%d"}}));
    bundle.set("process.args", json!(["/nothing"]));
    rig.rejected(&bundle, &["/nothing"])?;
    same("inside", link(&joined, "in0")?, Json::Null)?;
    has_returned(rig, &before)
}
