//! docs/limits.md: its table has every limit of `linux.resources`, and its blocks are those that live tests execute or
//! compare with what mote prints.

use std::fs;

const PAGE: &str = "docs/limits.md";

/// The names of the members that a function of the decoder reads, after `start`.
fn members(decoder: &str, start: &str) -> Vec<String> {
    let (_, text) = decoder.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    let (text, _) = text.split_once("        });").unwrap_or_else(|| panic!("no end of {start}"));
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    lines.map(|(name, _)| name.to_string()).collect()
}

#[test]
fn table_has_all_limits() {
    let page = fs::read_to_string(PAGE).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 8, "only {} rows were found", rows.len());
    let names =
        rows.iter().flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
    let names: Vec<&str> = names.collect();
    let decoder = fs::read_to_string("src/config/resources.rs").unwrap();
    let all = members(&decoder, "impl<'a> Resources<'a>");
    assert!(all.contains(&"unified".to_string()), "{all:?}");
    let cpu = members(&decoder, "impl<'a> Cpu<'a>").into_iter().map(|name| format!("cpu.{name}"));
    assert!(cpu.len() > 8, "{} limits of the CPU were found", cpu.len());
    // The limits of the CPU have two controllers.
    let all = all.into_iter().filter(|name| name != "cpu").chain(cpu);
    let missing: Vec<String> = all.filter(|name| !names.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "{PAGE}: the table lacks {missing:?}");
}

#[test]
fn blocks_are_tested() {
    let page = fs::read_to_string(PAGE).unwrap();
    let files = ["undelegated.rs", "user_manager.rs"].map(|name| format!("tests/live/cgroups/{name}"));
    let tests = files.map(|file| fs::read_to_string(file).unwrap()).concat();
    let keys: Vec<&str> = tests
        .split("block(\"")
        .skip(1)
        .filter_map(|text| text.split_once("\")"))
        .map(|(key, _)| key)
        .collect();
    let blocks: Vec<&str> = page.split("\n\n").filter(|block| block.starts_with("    ")).collect();
    assert_eq!(blocks.len(), 5, "{blocks:?}");
    for block in blocks {
        assert!(keys.iter().any(|key| block.contains(key)), "{PAGE}: no live test uses\n{block}");
    }
}
