//! Members that are absent, or zero as written by Go's encoder: both documents of each pair have the same meaning.

use mote::internal::config::Config;

/// Members as engines write them, and their equivalent in full.
const SAME: &[(&str, &str)] = &[
    (r#""ociVersion": "v1.0.2""#, r#""ociVersion": "1.0.2""#),
    (r#""process": {"user": {}}"#, r#""process": {"user": {"uid": 0, "gid": 0}}"#),
    (r#""process": {"user": {"uid": 1000}}"#, r#""process": {"user": {"uid": 1000, "gid": 0}}"#),
    (r#""process": {"user": {"gid": 1000}}"#, r#""process": {"user": {"uid": 0, "gid": 1000}}"#),
    (r#""process": {"consoleSize": {}}"#, r#""process": {}"#),
    (r#""process": {"consoleSize": {"height": 0, "width": 0}}"#, r#""process": {}"#),
    (r#""process": {"consoleSize": {"width": 80}}"#, r#""process": {}"#),
    (
        r#""process": {"rlimits": [{"type": "RLIMIT_CORE"}]}"#,
        r#""process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}"#,
    ),
    (
        r#""process": {"rlimits": [{"type": "RLIMIT_CORE", "hard": 1}]}"#,
        r#""process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 1}]}"#,
    ),
    (
        r#""linux": {"uidMappings": [{"hostID": 1000, "size": 1}]}"#,
        r#""linux": {"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}"#,
    ),
    (
        r#""linux": {"devices": [{"path": "/dev/x", "type": "b", "major": 7}]}"#,
        r#""linux": {"devices": [{"path": "/dev/x", "type": "b", "major": 7, "minor": 0}]}"#,
    ),
    (r#""linux": {"intelRdt": {}}"#, r#""linux": {}"#),
    (
        r#""linux": {"intelRdt": {"closID": "", "l3CacheSchema": "", "memBwSchema": "", "schemata": [], "enableMonitoring": false}}"#,
        r#""linux": {}"#,
    ),
    (r#""linux": {"seccomp": {}}"#, r#""linux": {}"#),
    (r#""linux": {"seccomp": {"defaultAction": "", "syscalls": null}}"#, r#""linux": {}"#),
    (
        r#""linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG", "listenerPath": "", "listenerMetadata": ""}}"#,
        r#""linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG"}}"#,
    ),
    (
        r#""linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"op": "SCMP_CMP_EQ"}]}]}}"#,
        r#""linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}]}}"#,
    ),
    (
        r#""linux": {"resources": {"devices": [{"access": "rwm"}]}}"#,
        r#""linux": {"resources": {"devices": [{"allow": false, "access": "rwm"}]}}"#,
    ),
    (
        r#""linux": {"resources": {"cpu": {"cpus": "0-3\n", "mems": "0 \r\n"}}}"#,
        r#""linux": {"resources": {"cpu": {"cpus": "0-3", "mems": "0"}}}"#,
    ),
    (r#""linux": {"resources": {"cpu": {"cpus": "\n", "mems": ""}}}"#, r#""linux": {"resources": {}}"#),
    (
        r#""linux": {"resources": {"blockIO": {"throttleReadBpsDevice": [{"major": 8}]}}}"#,
        r#""linux": {"resources": {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}}}"#,
    ),
    (
        r#""linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB"}]}}"#,
        r#""linux": {"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}}"#,
    ),
    (
        r#""linux": {"resources": {"network": {"priorities": [{"name": "lo"}]}}}"#,
        r#""linux": {"resources": {"network": {"priorities": [{"name": "lo", "priority": 0}]}}}"#,
    ),
    (
        r#""linux": {"resources": {"rdma": {"a": {}, "b": {"hcaHandles": 1}}}}"#,
        r#""linux": {"resources": {"rdma": {"b": {"hcaHandles": 1}}}}"#,
    ),
];

#[test]
fn absent_is_zero() {
    for (given, full) in SAME {
        assert_eq!(decode(given), decode(full), "{given}");
    }
}

/// The decoded configuration of these members, and of those that are required, as text.
fn decode(members: &str) -> String {
    let version = if members.contains("ociVersion") { "" } else { r#""ociVersion": "1.0.2","# };
    let members =
        members.replace(r#""process": {"#, r#""process": {"args": ["sh"], "cwd": "/", "#).replace(", }", "}");
    let mut text = format!(r#"{{{version} "root": {{"path": "rootfs"}}, {members}}}"#).into_bytes();
    match Config::decode("config.json", &mut text) {
        Ok(config) => format!("{config:#?}"),
        Err(error) => panic!("{members}: {error}"),
    }
}
