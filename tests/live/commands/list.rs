//! `list` as a table, as JSON, and with `--quiet`.

use crate::check::{Outcome, contains, holds, same};
use crate::json::Json;
use crate::rig::Rig;
use crate::tests;

tests![
    "commands",
    list_without_containers,
    list_as_a_table,
    list_as_json,
    list_quiet,
    list_in_an_unknown_format_is_rejected,
];

fn list_without_containers(rig: &mut Rig) -> Outcome {
    let table = rig.mote(&["list"])?.success()?.stdout;
    same("lines", table.lines().count(), 1)?;
    same("quiet", rig.mote(&["list", "-q"])?.success()?.stdout.as_str(), "")?;
    let json = Json::parse(&rig.mote(&["list", "--format", "json"])?.success()?.stdout)?;
    holds("no items", json.items().is_empty())
}

/// Two containers, one running, one only created.
fn two(rig: &mut Rig, test: impl Fn(&Rig, &str, &str) -> Outcome) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let first = rig.id.clone();
    rig.id.push_str("-two");
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}-two", rig.cgroup));
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    test(rig, &first, &rig.id)?;
    rig.delete()?;
    rig.id = first;
    rig.delete()
}

fn list_as_a_table(rig: &mut Rig) -> Outcome {
    two(rig, |rig, one, two| {
        let table = rig.mote(&["list"])?.success()?.stdout;
        let mut lines = table.lines();
        let header = lines.next().unwrap_or("");
        for column in ["PID", "STATUS", "BUNDLE", "CREATED", "OWNER"] {
            contains("the header", header, column)?;
        }
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
        same("rows", rows.len(), 2)?;
        let status = |id: &str| {
            let row = rows.iter().find(|row| row.first() == Some(&id));
            row.and_then(|row| row.get(2).copied())
        };
        same("the first", status(one), Some("running"))?;
        same("the second", status(two), Some("created"))
    })
}

fn list_as_json(rig: &mut Rig) -> Outcome {
    two(rig, |rig, one, two| {
        let list = Json::parse(&rig.mote(&["list", "--format", "json"])?.success()?.stdout)?;
        same("items", list.items().len(), 2)?;
        for (id, status) in [(one, "running"), (two, "created")] {
            let Some(item) = list.items().iter().find(|item| item.at("id").text() == id) else {
                return crate::check::fail(format_args!("no {id} in {list}"));
            };
            same("status", item.at("status").text(), status)?;
            holds("a pid", item.at("pid").int() > 0)?;
            for key in ["bundle", "created"] {
                holds(key, !item.at(key).text().is_empty())?;
            }
            holds("an owner", *item.at("owner") != Json::Null)?;
        }
        Ok(())
    })
}

fn list_quiet(rig: &mut Rig) -> Outcome {
    two(rig, |rig, one, two| {
        let text = rig.mote(&["list", "--quiet"])?.success()?.stdout;
        let mut ids: Vec<&str> = text.lines().collect();
        ids.sort_unstable();
        same("ids", ids, vec![one, two])
    })
}

fn list_in_an_unknown_format_is_rejected(rig: &mut Rig) -> Outcome {
    rig.usage_error(&rig.mote(&["list", "--format", "moon"])?, "moon")
}
