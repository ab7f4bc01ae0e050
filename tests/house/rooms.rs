//! Which room may use which.

/// Each room with those it may use, which are all further down.
pub const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli", "sys"]),
    // Of most rooms only their tables, for `features`.
    (
        "cli",
        &[
            "container",
            "args",
            "hooks",
            "seccomp",
            "cgroup",
            "process",
            "rootfs",
            "config",
            "host",
            "caller",
            "os",
            "error",
            "sys",
        ],
    ),
    (
        "container",
        &[
            "bundle",
            "launch",
            "plan",
            "hooks",
            "intelrdt",
            "seccomp",
            "process",
            "rootfs",
            "cgroup",
            "namespace",
            "config",
            "host",
            "json",
            "caller",
            "os",
            "error",
            "sys",
        ],
    ),
    ("args", &["error", "sys"]),
    ("bundle", &["os", "error", "sys"]),
    // Not `config`: after planning nothing reads the configuration.
    (
        "launch",
        &[
            "plan",
            "hooks",
            "intelrdt",
            "seccomp",
            "process",
            "rootfs",
            "cgroup",
            "namespace",
            "host",
            "caller",
            "os",
            "error",
            "sys",
        ],
    ),
    (
        "plan",
        &[
            "hooks",
            "intelrdt",
            "seccomp",
            "process",
            "rootfs",
            "cgroup",
            "namespace",
            "config",
            "host",
            "error",
        ],
    ),
    // Kernel objects: what one needs of another it is given by `plan`.
    ("process", &["config", "executable", "host", "caller", "os", "error", "sys"]),
    ("rootfs", &["config", "host", "os", "error", "sys"]),
    ("cgroup", &["config", "host", "os", "error", "sys"]),
    ("namespace", &["config", "host", "os", "error", "sys"]),
    ("seccomp", &["config", "error", "sys"]),
    ("hooks", &["config", "executable", "caller", "error", "sys"]),
    ("intelrdt", &["config", "error"]),
    ("config", &["json", "error"]),
    ("executable", &["error"]),
    ("host", &["error", "sys"]),
    ("caller", &["error", "sys"]),
    ("json", &["os", "error"]),
    ("os", &["error", "sys"]),
    ("error", &["errno", "sys"]),
    ("errno", &[]),
    ("sys", &[]),
];

/// Where one file uses what its room may not, with the reason.
pub const BENDS: &[(&str, &str)] = &[
    // The working directory is made inside the new root, with the same care as a mount's destination.
    ("src/process/cwd.rs", "rootfs::path"),
    // A terminal is made out of the devpts inside the root.
    ("src/process/terminal.rs", "rootfs::path"),
    // A name for a namespace, not a value of the configuration.
    ("src/launch/parent.rs", "config::linux::NamespaceKind"),
];
