//! Device rules as unit properties (systemd.resource-control(5), DeviceAllow=): a list of what is allowed, which
//! systemd applies to the cgroup of the scope, also again after daemon-reload. The list cannot express all rules, and
//! allows at least what they allow. The exact rules apply in the container's own cgroup below the scope.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::property::Property;
use crate::cgroup::devices::rules::{ALL, default_rules};
use crate::config::device::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, DeviceRule};
use crate::os::dbus::message::Value;

/// The properties for device rules. The first DeviceAllow clears an existing list.
pub fn plan(rules: &[DeviceRule]) -> Vec<Property> {
    let mut allowed: Vec<DeviceRule> = Vec::new();
    let mut all = false;
    for rule in rules {
        let about_all =
            rule.kind == b'a' && rule.major.is_none() && rule.minor.is_none() && rule.access == ALL;
        match (rule.allow, about_all) {
            (allow, true) => {
                allowed.clear();
                all = allow;
            }
            (true, false) => allowed.push(*rule),
            (false, false) => {}
        }
    }
    let policy = if all { "auto" } else { "strict" };
    let pairs = |list| (Cow::from("DeviceAllow"), Value::Pairs(list));
    let mut properties = Vec::from([("DevicePolicy".into(), Value::Text(policy.into())), pairs(Vec::new())]);
    if !all {
        let mut list = Vec::new();
        default_rules().chain(allowed).for_each(|rule| add(&rule, &mut list));
        properties.push(pairs(list));
    }
    properties
}

fn add(rule: &DeviceRule, list: &mut Vec<(String, String)>) {
    let letters = [(ACCESS_READ, 'r'), (ACCESS_WRITE, 'w'), (ACCESS_MKNOD, 'm')];
    let access: String =
        letters.iter().filter(|(bit, _)| rule.access & bit != 0).map(|(_, letter)| *letter).collect();
    for (kind, name) in [(b'c', "char"), (b'b', "block")] {
        if rule.kind != kind && rule.kind != b'a' {
            continue;
        }
        let device = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => format!("/dev/{name}/{major}:{minor}"),
            (Some(major), None) => format!("{name}-{major}"),
            (None, _) => format!("{name}-*"),
        };
        list.push((device, access.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "strict:char-*=m block-*=m /dev/char/1:3=rwm /dev/char/1:5=rwm /dev/char/1:7=rwm \
        /dev/char/1:8=rwm /dev/char/1:9=rwm /dev/char/5:0=rwm /dev/char/5:2=rwm char-136=rwm /dev/char/10:200=rwm";

    fn show(rules: &[DeviceRule]) -> String {
        let list = plan(rules);
        let mut out = String::new();
        for (_, value) in &list {
            match value {
                Value::Text(policy) => out += &format!("{policy}:"),
                Value::Pairs(list) => {
                    out += &list
                        .iter()
                        .map(|(device, access)| format!("{device}={access}"))
                        .collect::<Vec<_>>()
                        .join(" ");
                }
                other => panic!("{other:?}"),
            }
        }
        out
    }

    #[test]
    fn lists() {
        let rule = |allow, kind, major, minor, access| DeviceRule { allow, kind, major, minor, access };
        let (none, everything) = (rule(false, b'a', None, None, ALL), rule(true, b'a', None, None, ALL));
        assert_eq!(show(&[]), DEFAULT);
        assert_eq!(show(&[none]), DEFAULT);
        assert_eq!(show(&[everything]), "auto:");
        assert_eq!(show(&[none, everything]), "auto:");
        assert_eq!(show(&[everything, none]), DEFAULT);
        // A superset of what the rules allow.
        assert_eq!(show(&[everything, rule(false, b'c', Some(1), Some(3), ALL)]), "auto:");
        for (rule, expected) in [
            (rule(true, b'c', Some(10), Some(229), ACCESS_READ | ACCESS_WRITE), "/dev/char/10:229=rw"),
            (rule(true, b'b', Some(8), None, ACCESS_READ), "block-8=r"),
            (rule(true, b'b', None, Some(1), ACCESS_READ), "block-*=r"),
            (rule(true, b'a', Some(8), None, ACCESS_MKNOD), "char-8=m block-8=m"),
        ] {
            assert_eq!(show(&[none, rule]), format!("{DEFAULT} {expected}"));
        }
        assert_eq!(show(&[none, rule(false, b'b', Some(8), None, ALL)]), DEFAULT);
    }
}
