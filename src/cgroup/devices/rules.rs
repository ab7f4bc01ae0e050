//! Device rules: the default ones, and lists of writes for cgroup v1 (admin-guide/cgroup-v1/devices.rst;
//! config-linux.md, "Allowed Device list"). Programs for v2 are made in `program.rs`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cgroup::controllers::write::{Field, IfMissing, Write};
use crate::config::device::{ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, DeviceRule};
use crate::error::{Error, Result};

/// All kinds of access.
pub const ALL: u8 = ACCESS_READ | ACCESS_WRITE | ACCESS_MKNOD;

/// An entry of the list below: type, major, minor, access.
type Row = (u8, Option<u32>, Option<u32>, u8);

/// The default rules: any device node may be created; null, zero, full, random, urandom, tty, ptmx, pts and tun may
/// be used.
static DEFAULT_RULES: [Row; 11] = [
    (b'c', None, None, ACCESS_MKNOD),
    (b'b', None, None, ACCESS_MKNOD),
    (b'c', Some(1), Some(3), ALL),
    (b'c', Some(1), Some(5), ALL),
    (b'c', Some(1), Some(7), ALL),
    (b'c', Some(1), Some(8), ALL),
    (b'c', Some(1), Some(9), ALL),
    (b'c', Some(5), Some(0), ALL),
    (b'c', Some(5), Some(2), ALL),
    (b'c', Some(136), None, ALL),
    (b'c', Some(10), Some(200), ALL),
];

/// The default rules, which apply to every container after those of its configuration.
pub fn default_rules() -> impl DoubleEndedIterator<Item = DeviceRule> {
    let rule = |&(kind, major, minor, access): &Row| DeviceRule { allow: true, kind, major, minor, access };
    DEFAULT_RULES.iter().map(rule)
}

/// Whether there is an access to a device that both rules match.
pub fn meet(one: &DeviceRule, other: &DeviceRule) -> bool {
    let meet = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    kinds_meet(one.kind, other.kind)
        && one.access & other.access != 0
        && meet(one.major, other.major)
        && meet(one.minor, other.minor)
}

/// Whether two device types (`a`, `b`, `c`) overlap.
pub fn kinds_meet(one: u8, other: u8) -> bool {
    one == other || one == b'a' || other == b'a'
}

/// The writes for v1: a rule that denies everything, the configuration's rules in order, then the default ones, as far
/// as the cgroup above permits them. `done` is the number of rules that have been written to an existing cgroup.
///
/// Errors: a rule that v1 cannot express.
pub fn list(rules: &[DeviceRule], done: Option<usize>) -> Result<Vec<Write>> {
    let all = DeviceRule { allow: false, kind: b'a', major: None, minor: None, access: ALL };
    // In a new cgroup the kernel allows everything.
    let start = if rules.first().is_some_and(is_everything) { None } else { Some(all) };
    let list: Vec<DeviceRule> = start.into_iter().chain(rules.iter().copied()).collect();
    let first = list.len() - rules.len();
    for (index, rule) in rules.iter().skip(done.unwrap_or(0)).enumerate() {
        if !is_possible(list.get(..first + done.unwrap_or(0) + index).unwrap_or_default(), rule) {
            return Err(Error::invalid(format_args!(
                "linux.resources.devices[{index}]: {} partly overrides an earlier rule, which cgroup v1 does not support",
                device_text(rule, rule.kind)
            )));
        }
    }
    let mut writes = Vec::with_capacity(list.len() + DEFAULT_RULES.len());
    let mut put = |rule: &DeviceRule, value, optional| {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" }.into();
        let absent = if optional { IfMissing::Ignore } else { IfMissing::Error };
        writes.push(Write { file, value, field: Field("devices", None), if_missing: absent });
    };
    let left = list.into_iter().skip(done.map_or(0, |done| first + done));
    let configured = left.map(|rule| (rule, rules.is_empty()));
    for (rule, optional) in configured.chain(default_rules().map(|rule| (rule, true))) {
        // The kernel ignores what follows `a`.
        if is_everything(&rule) {
            put(&rule, String::from("a"), optional);
            continue;
        }
        for kind in b"bc".iter().copied().filter(|kind| kinds_meet(rule.kind, *kind)) {
            put(&rule, device_text(&rule, kind), optional);
        }
    }
    Ok(writes)
}

/// Whether a rule matches every access to every device. On v1 it clears the list and sets the default.
pub fn is_everything(rule: &DeviceRule) -> bool {
    rule.kind == b'a' && rule.major.is_none() && rule.minor.is_none() && rule.access == ALL
}

/// Whether v1 can express a rule. The kernel has one default, initially "allow", and a list of exceptions. A rule
/// that agrees with the default removes exceptions, but only those with the same numbers, and without an error if
/// there are none (security/device_cgroup.c).
fn is_possible(earlier: &[DeviceRule], rule: &DeviceRule) -> bool {
    let start = earlier.iter().rposition(is_everything);
    let answer = start.and_then(|start| earlier.get(start)).is_none_or(|all| all.allow);
    if is_everything(rule) || rule.allow != answer {
        return true;
    }
    !earlier.iter().skip(start.map_or(0, |start| start + 1)).any(|exception| {
        exception.allow != answer
            && meet(exception, rule)
            && (exception.major, exception.minor) != (rule.major, rule.minor)
    })
}

/// A rule in the format of `devices.allow`: `c 1:3 rwm`.
fn device_text(rule: &DeviceRule, kind: u8) -> String {
    let number = |n: Option<u32>| n.map_or(String::from("*"), |n| n.to_string());
    let letters: String = [(ACCESS_READ, 'r'), (ACCESS_WRITE, 'w'), (ACCESS_MKNOD, 'm')]
        .iter()
        .filter(|(bit, _)| rule.access & bit != 0)
        .map(|(_, c)| *c)
        .collect();
    format!("{} {}:{} {letters}", char::from(kind), number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules() {
        let rule = |kind, major, minor, access| DeviceRule { allow: true, kind, major, minor, access };
        let texts = |rules: &[DeviceRule]| {
            let writes = list(rules, None).unwrap();
            let given = writes.len() - DEFAULT_RULES.len();
            writes.iter().take(given).map(|write| write.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts(&[]), ["a"]);
        assert_eq!(texts(&[rule(b'a', None, None, ALL)]), ["a"]);
        assert_eq!(texts(&[rule(b'c', Some(1), None, ACCESS_READ | ACCESS_MKNOD)]), ["a", "c 1:* rm"]);
        assert_eq!(texts(&[rule(b'b', Some(8), Some(0), ACCESS_WRITE)]), ["a", "b 8:0 w"]);
        assert_eq!(texts(&[rule(b'a', None, None, ACCESS_READ)]), ["a", "b *:* r", "c *:* r"]);
        assert_eq!(texts(&[rule(b'a', Some(8), Some(1), ALL)]), ["a", "b 8:1 rwm", "c 8:1 rwm"]);
    }

    #[test]
    fn rules_that_are_added() {
        let rule = |allow, major, minor| DeviceRule { allow, kind: b'c', major, minor, access: ALL };
        let texts = |earlier: &[DeviceRule], rules: &[DeviceRule]| {
            let writes = list(&[earlier, rules].concat(), Some(earlier.len()))?;
            let given = writes.len() - DEFAULT_RULES.len();
            Ok::<_, Error>(
                writes.iter().take(given).map(|w| format!("{} {}", w.file, w.value)).collect::<Vec<_>>(),
            )
        };
        let mine = rule(true, Some(240), Some(7));
        assert_eq!(texts(&[], &[mine]).unwrap(), ["devices.allow c 240:7 rwm"]);
        let gone = rule(false, Some(240), Some(7));
        assert_eq!(texts(&[mine], &[gone]).unwrap(), ["devices.deny c 240:7 rwm"]);
        let all = DeviceRule { kind: b'a', ..rule(false, None, None) };
        assert_eq!(texts(&[all, mine], &[all]).unwrap(), ["devices.deny a"]);
        assert_eq!(texts(&[], &[all]).unwrap(), ["devices.deny a"]);
        // Rules already in force are taken into account; the index is that in the new list.
        let error = texts(&[all, mine], &[mine, rule(false, Some(240), None)]).unwrap_err();
        assert!(
            error.text().starts_with("linux.resources.devices[1]: c 240:* rwm partly overrides"),
            "{error}"
        );
    }
}
