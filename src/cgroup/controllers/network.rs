//! `linux.resources.network`: the controllers net_cls and net_prio (admin-guide/cgroup-v1/net_cls.rst,
//! net_prio.rst), which v2 does not have.

use super::write::{Field, Writes};
use crate::config::resources::Network;
use crate::error::{Result, Show};

impl Writes<'_> {
    /// Adds the class and the priorities; class 0 is the kernel's "no class". Errors: the layout is v2.
    pub fn network(&mut self, network: &Network<'_>) -> Result<()> {
        if let Some(class) = network.class_id.filter(|class| *class != 0) {
            self.put_v1("net_cls.classid", &class, Field("network.classID", None))?;
        }
        for (index, (name, priority)) in network.priorities.iter().enumerate() {
            let value = format_args!("{} {priority}", Show(name));
            self.put_v1("net_prio.ifpriomap", &value, Field("network.priorities", Some((index, ""))))?;
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

    #[test]
    fn class_and_priorities() {
        let with = |network| Resources { network, ..Resources::default() };
        check(&with(Network { class_id: Some(0), ..Network::default() }), &[], &[]);
        let none = "linux.resources.network.classID: cgroup v2 has no such limit";
        for (class, line) in [(1, "net_cls.classid=1"), (u32::MAX, "net_cls.classid=4294967295")] {
            check(&with(Network { class_id: Some(class), ..Network::default() }), &[line], &[none]);
        }
        let priorities = vec![(c"lo", 0), (c"eth0", u32::MAX)];
        check(
            &with(Network { priorities, ..Network::default() }),
            &["net_prio.ifpriomap=lo 0", "net_prio.ifpriomap=eth0 4294967295"],
            &["linux.resources.network.priorities[0]: cgroup v2 has no such limit"],
        );
        // In the hybrid layout, with v1 hierarchies that do not have the controller.
        let resources = with(Network { class_id: Some(1), ..Network::default() });
        assert_eq!(show(&resources, &hierarchies(&["memory"], true)), none);
    }
}
