//! The table of docs/security.md: its tests and source files exist, and each live test of the group `cve` is in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/security.md";

/// The names of all live tests, as the macro `tests!` declares them: `GROUP::FUNCTION`.
fn live_tests(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            live_tests(&path, names);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for list in text.split("\ntests![").skip(1) {
            let list = list.split(']').next().unwrap_or_default();
            let mut words = list.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
            let group = words.next().unwrap_or_default().trim_matches('"');
            let functions = words.filter(|word| !word.contains(':') && !word.starts_with("//"));
            names.extend(functions.map(|function| format!("{group}::{function}")));
        }
    }
}

/// The rows of the table, without its head.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = lines.map(|line| line.split(" | ").collect::<Vec<_>>());
    rows.filter(|cells| cells.first().is_some_and(|id| id.contains('-'))).collect()
}

/// The test names in a cell: words in backquotes with `::`.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).filter(|word| word.contains("::"))
}

#[test]
fn table_of_vulnerabilities_has_all_tests() {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut tests = BTreeSet::new();
    live_tests(Path::new("tests/live"), &mut tests);
    assert!(tests.len() > 900, "only {} live tests were found", tests.len());
    let rows = rows(&page);
    assert!(rows.len() > 40, "only {} rows were found", rows.len());
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for row in &rows {
        let [id, what, mechanism, test] = row[..] else {
            wrong.push(format!("{}: {} cells", row[0], row.len()));
            continue;
        };
        for cell in [what, mechanism, test].iter().filter(|cell| cell.trim().is_empty()) {
            wrong.push(format!("{id}: an empty cell{cell}"));
        }
        let sources = mechanism.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"));
        let gone = sources.filter(|file| !Path::new("src").join(file).is_file());
        wrong.extend(gone.map(|file| format!("{id}: src/{file} does not exist")));
        let missing = named(test).filter(|name| !tests.contains(*name));
        wrong.extend(missing.map(|name| format!("{id}: {name} does not exist")));
        listed.extend(named(test).map(String::from));
    }
    let group = tests.iter().filter(|name| name.starts_with("cve::"));
    wrong.extend(group.filter(|name| !listed.contains(*name)).map(|name| format!("{name} is in no row")));
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}
