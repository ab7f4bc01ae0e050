//! `linux.resources.unified`: files of cgroup v2 by their names (config-linux.md, "Unified").

use core::ffi::CStr;

use super::write::Writes;
use crate::error::Result;

impl Writes<'_> {
    /// Adds a write for each line of each value: files with a line per device accept only one line per write.
    ///
    /// Errors: the file's controller is not on v2.
    pub fn unified(&mut self, files: &[(&CStr, &CStr)]) -> Result<()> {
        for (file, value) in files {
            // Both are valid UTF-8, as the decoder has checked.
            let file = file.to_str().unwrap_or_default();
            for line in value.to_str().unwrap_or_default().lines().filter(|line| !line.is_empty()) {
                self.put_v2(file, line)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::controllers::write::table::{check, hierarchies, show};
    use crate::config::resources::Resources;
    use alloc::vec;

    fn with(file: &'static CStr, value: &'static CStr) -> Resources<'static> {
        Resources { unified: vec![(file, value)], ..Resources::default() }
    }

    #[test]
    fn line_by_line() {
        let none = "linux.resources.unified.io.max: cgroup v2 has no io controller on this host";
        for (value, lines) in [
            (
                c"259:0 rbps=1 wiops=2\n253:0 rbps=3",
                &["io.max=259:0 rbps=1 wiops=2", "io.max=253:0 rbps=3"][..],
            ),
            (c"\n8:0 rbps=max\n\n", &["io.max=8:0 rbps=max"]),
            (c"", &[]),
        ] {
            let on_v1 = if lines.is_empty() { &[][..] } else { &[none] };
            check(&with(c"io.max", value), on_v1, lines);
        }
    }

    #[test]
    fn controllers_elsewhere() {
        let hybrid = hierarchies(&["cpu,cpuacct", "memory"], true);
        let planned = |file, value| show(&with(file, value), &hybrid);
        assert_eq!(planned(c"hugetlb.2MB.max", c"0"), "hugetlb.2MB.max=0");
        assert_eq!(planned(c"cgroup.max.depth", c"5"), "cgroup.max.depth=5");
        let error = "linux.resources.unified.memory.max: cgroup v2 has no memory controller on this host";
        assert_eq!(planned(c"memory.max", c"max"), error);
    }

    #[test]
    fn has_the_last_word() {
        let mut resources = with(c"pids.max", c"7");
        resources.pids = Some(5);
        check(
            &resources,
            &["linux.resources.unified.pids.max: cgroup v2 has no pids controller on this host"],
            &["pids.max=5", "pids.max=7"],
        );
    }
}
