//! docs/cpus.md: its table has the targets that `scripts/cpus` tests, and what it builds of them is in `scripts/release`.

use std::collections::BTreeSet;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The targets with musl; names of files that contain one are none.
fn targets(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
    let is_target =
        |word: &&str| word.contains("-linux-musl") && !word.starts_with("mote-") && !word.starts_with('-');
    words.filter(is_target).collect()
}

#[test]
fn targets_of_the_page_are_tested() {
    let (page, script) = (read("docs/cpus.md"), read("scripts/cpus"));
    let mut tested = targets(&script);
    tested.insert("x86_64-unknown-linux-musl");
    assert_eq!(targets(&page), tested);
}

#[test]
fn targets_of_a_release_are_on_the_page() {
    let (page, release) = (read("docs/cpus.md"), read("scripts/release"));
    let missing: Vec<_> = targets(&release).difference(&targets(&page)).copied().collect();
    assert!(missing.is_empty() && targets(&release).len() == 4, "{missing:?}");
}
