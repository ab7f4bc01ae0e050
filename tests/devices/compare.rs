//! Programs compared with the direct evaluation of their rules.

use mote::internal::cgroup::devices::program::assemble;
use mote::internal::config::device::DeviceRule;

use crate::interpreter::{check, run};
use crate::reference::{Random, allows, requests, rule};

/// Assembles rules, and checks that the program returns the result of the direct evaluation for every request.
fn program(rules: &[DeviceRule]) -> Vec<u64> {
    let program = assemble(rules).unwrap();
    check(&program);
    for request in requests() {
        let (found, expected) = (run(&program, &request), u64::from(allows(rules, &request)));
        assert_eq!(found, expected, "{request:?} with {rules:#?}");
    }
    program
}

fn parse(texts: &[&str]) -> Vec<DeviceRule> {
    texts.iter().map(|text| rule(text)).collect()
}

#[test]
fn random_rules() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6000 {
        program(&random.rules());
    }
}

/// A rule in every order with two others.
#[test]
fn rules_in_every_order() {
    let texts = [
        "allow a *:* rwm",
        "deny a *:* rwm",
        "allow c *:* rw",
        "deny c 1:* rwm",
        "deny a *:* w",
        "allow c 1:1 r",
        "deny c 1:1 wm",
        "allow b *:3 rwm",
        "deny a 5:* r",
    ];
    for first in texts {
        for second in texts {
            for third in texts {
                program(&parse(&[first, second, third]));
            }
        }
    }
}

#[test]
fn programs_of_engines() {
    let docker = [
        "deny a *:* rwm",
        "allow c 1:5 rwm",
        "allow c 1:3 rwm",
        "allow c 1:9 rwm",
        "allow c 1:8 rwm",
        "allow c 5:0 rwm",
        "allow c 5:1 rwm",
        "deny c 10:229 rwm",
    ];
    let podman = ["deny a *:* rwm", "allow c 10:229 rwm", "allow c 10:200 rw", "allow c 10:* rwm"];
    let sizes = [&docker[..], &podman[..], &podman[..1], &[], &["allow a *:* rwm"]]
        .map(|texts| program(&parse(texts)).len());
    // Docker's, podman's with and without additional devices, none, and a privileged container's.
    assert_eq!(sizes, [27, 25, 26, 26, 2]);
}

/// Rules that later ones override, that others imply, or that deny what is denied anyway, need no instructions.
#[test]
fn redundant_rules() {
    let plain = program(&[]);
    let same = [
        &["deny a *:* rwm"][..],
        &["allow a *:* rwm", "deny a *:* rwm"],
        &["allow c 1:3 r", "deny c 1:3 rwm", "allow b 7:7 m"],
        &["deny b 8:* w", "deny b 8:1 r"],
        &["allow b 8:* r", "allow b 8:* w", "deny b *:* rw"],
    ];
    for texts in same {
        assert_eq!(program(&parse(texts)), plain, "{texts:?}");
    }
    let all = program(&parse(&["allow a *:* rwm"]));
    assert_eq!(all.len(), 2);
    let same = [
        &["allow b *:* rwm", "allow c *:* rw", "allow c 1:1 rwm"][..],
        &["deny a *:* rwm", "allow a *:* w", "allow c 8:1 rwm", "allow a *:* rm"],
    ];
    for texts in same {
        assert_eq!(program(&parse(texts)), all, "{texts:?}");
    }
}

#[test]
fn too_many_rules() {
    let many = |count: u32, access| -> Vec<DeviceRule> {
        let one = |n| DeviceRule { access, ..rule(&format!("allow b {}:{} r", n % 4096, n / 4096)) };
        (0..count).map(one).collect()
    };
    check(&assemble(&many(2000, 7)).unwrap());
    for (count, access) in [(2100, 7), (1100, 1), (200_000, 7)] {
        let error = assemble(&many(count, access)).unwrap_err();
        let text = "linux.resources.devices: too many rules for a BPF program of 4096 instructions";
        assert_eq!(error.to_string(), text);
    }
}
