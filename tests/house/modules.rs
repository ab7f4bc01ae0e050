//! Which module may use which.

/// Each module with those it may use, which are all below it.
pub const MODULES: &[(&str, &[&str])] = &[
    ("main", &["cli", "serve", "start", "sys"]),
    (
        "cli",
        &[
            "engine",
            "operations",
            "document",
            "container",
            "criu",
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
            "start",
            "sys",
        ],
    ),
    ("serve", &["engine", "operations", "caller", "error", "sys"]),
    ("engine", &["operations", "document", "container", "host", "os", "error"]),
    // Of `container` and `cgroup` only the types of results and settings: the operations are carried out by another process.
    ("client", &["operations", "program", "container", "cgroup", "json", "os", "error", "sys"]),
    ("program", &["error", "sys"]),
    ("operations", &["container", "cgroup", "criu", "os", "error"]),
    // Of most modules only their option tables, for `features`.
    ("document", &["container", "hooks", "seccomp", "process", "rootfs", "config", "host"]),
    (
        "container",
        &[
            "bundle",
            "launch",
            "plan",
            "hooks",
            "intelrdt",
            "criu",
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
    ("start", &["sys"]),
    ("args", &["error", "sys"]),
    ("bundle", &["os", "error", "sys"]),
    // Not `config`: after planning, nothing reads the configuration.
    (
        "launch",
        &[
            "plan",
            "hooks",
            "intelrdt",
            "criu",
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
    // Kernel objects: `plan` passes what one needs of another.
    ("process", &["config", "executable", "host", "caller", "os", "error", "sys"]),
    ("rootfs", &["config", "host", "caller", "os", "error", "sys"]),
    ("cgroup", &["config", "host", "os", "error", "sys"]),
    ("namespace", &["config", "host", "os", "error", "sys"]),
    ("seccomp", &["config", "error", "sys"]),
    ("hooks", &["config", "executable", "caller", "error", "sys"]),
    ("intelrdt", &["config", "error"]),
    ("criu", &["executable", "caller", "os", "error", "sys"]),
    ("config", &["json", "error"]),
    ("executable", &["error", "sys"]),
    ("host", &["os", "error", "sys"]),
    ("caller", &["error", "sys"]),
    ("json", &["os", "error"]),
    ("os", &["error", "sys"]),
    ("error", &["errno", "sys"]),
    ("errno", &[]),
    ("sys", &[]),
];

/// Files that use what their module may not, with the reason.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    // The working directory is created inside the new root, with the same protection as the destination of a mount.
    ("src/process/cwd.rs", "rootfs::path"),
    // A terminal is opened in the devpts inside the root.
    ("src/process/terminal.rs", "rootfs::path"),
    // The type of a namespace, not a value of the configuration.
    ("src/launch/parent.rs", "config::linux::NamespaceKind"),
    ("src/launch/restore.rs", "config::linux::NamespaceKind"),
    // The entry point calls it.
    ("src/start.rs", "main"),
];
