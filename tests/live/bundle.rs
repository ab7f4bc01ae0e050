//! The bundle of a test: a rootfs with little more than the payload, and a config.json that the test changes.

use std::fs;
use std::io::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::json;
use crate::json::Json;

pub struct Bundle {
    pub dir: PathBuf,
    pub config: Json,
}

impl Bundle {
    pub fn new(dir: PathBuf, payload: &Path, marker: &str, cgroup: &str) -> Result<Bundle> {
        let root = dir.join("rootfs");
        for name in ["proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(root.join(name))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::hard_link(payload, root.join("payload"))?;
        let mut config = config();
        config.set("process.env[+]", format!("MOTE_LIVE={marker}"));
        config.set("linux.cgroupsPath", cgroup);
        Ok(Bundle { dir, config })
    }

    /// The path on the host of a file in the container.
    pub fn host_path(&self, path: &str) -> PathBuf {
        self.dir.join("rootfs").join(path.trim_start_matches('/'))
    }

    pub fn file(&self, path: &str, content: &str) -> Result<()> {
        let path = self.host_path(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(path, content)
    }

    pub fn set(&mut self, path: &str, value: impl Into<Json>) {
        self.config.set(path, value);
    }

    pub fn remove(&mut self, path: &str) {
        self.config.remove(path);
    }

    /// Sets the verbs that the payload executes.
    pub fn verbs(&mut self, verbs: &[&str]) {
        let words = std::iter::once("/payload").chain(verbs.iter().copied());
        self.set("process.args", words.collect::<Vec<_>>());
    }

    pub fn mount(&mut self, mount: Json) {
        self.set("mounts[+]", mount);
    }

    pub fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) {
        let source = source.display().to_string();
        self.mount(json!({
            "destination": destination,
            "type": "bind",
            "source": source,
            "options": (options.to_vec())
        }));
    }

    /// Removes a namespace from the list.
    pub fn without_namespace(&mut self, kind: &str) {
        let list = self.config.at("linux").at("namespaces").items();
        let others = list.iter().filter(|item| item.at("type").text() != kind);
        let others = Json::List(others.cloned().collect());
        self.set("linux.namespaces", others);
    }

    pub fn namespace(&mut self, kind: &str, path: Option<&Path>) {
        self.without_namespace(kind);
        self.set("linux.namespaces[+]", json!({"type": kind}));
        if let Some(path) = path {
            let index = self.config.at("linux").at("namespaces").items().len() - 1;
            let place = format!("linux.namespaces[{index}].path");
            self.set(&place, path.display().to_string());
        }
    }

    pub fn without_mount(&mut self, destination: &str) {
        let list = self.config.at("mounts").items();
        let others = list.iter().filter(|item| item.at("destination").text() != destination);
        let others = Json::List(others.cloned().collect());
        self.set("mounts", others);
    }

    /// Adds a user namespace in which root is an ordinary user of the host.
    pub fn user_namespace(&mut self, first: i64) {
        let map = json!([{"containerID": 0i64, "hostID": first, "size": 1000i64}]);
        self.namespace("user", None);
        self.set("linux.uidMappings", map.clone());
        self.set("linux.gidMappings", map);
    }

    pub fn write(&self) -> Result<()> {
        fs::write(self.dir.join("config.json"), self.config.to_string())
    }
}

/// The configuration that `spec` writes, without a terminal and without seccomp.
fn config() -> Json {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let three = caps.clone();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0i64, "gid": 0i64},
            "args": ["/payload"],
            "env": ["PATH=/bin:/usr/bin", "TERM=dumb"],
            "cwd": "/",
            "capabilities": {
                "bounding": (three.clone()), "effective": (three.clone()), "permitted": three
            }
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "inside",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]}
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
            ],
            "maskedPaths": ["/proc/kcore", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
