//! Limits of depth and size: excess is rejected before it costs memory or time.

use mote::internal::config::Config;
use mote::internal::json::{Decoder, MAX_DEPTH, MAX_SIZE};

use crate::{error, read, skip};

fn arrays(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn objects(depth: usize) -> String {
    "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)
}

#[test]
fn nesting() {
    // The number of open brackets, whether the innermost is empty or not.
    for depth in [1, MAX_DEPTH - 1, MAX_DEPTH] {
        assert_eq!(skip(objects(depth)), Ok(()), "{depth}");
        assert_eq!(skip(arrays(depth)), Ok(()), "{depth}");
        assert_eq!(skip(arrays(depth).replacen("[]", "[1]", 1)), Ok(()), "{depth}");
        assert_eq!(skip(objects(depth - 1).replacen(":1", ":{}", 1)), Ok(()), "{depth}");
    }
    assert!(error(objects(MAX_DEPTH).replacen(":1", ":{}", 1)).ends_with("nested deeper than 128"));
    for depth in [MAX_DEPTH + 1, MAX_DEPTH + 2, 100_000, 1_000_000] {
        assert!(error("[".repeat(depth)).ends_with("nested deeper than 128"), "{depth}");
        assert!(error(arrays(depth)).ends_with("nested deeper than 128"), "{depth}");
        assert!(error(objects(depth)).ends_with("nested deeper than 128"), "{depth}");
    }
}

#[test]
fn nesting_in_skipped_values() {
    let config = |inside: &str| {
        let text =
            format!(r#"{{"x": {inside}, "ociVersion": "1.0.0", "root": {{"path": "/", "x": {inside}}}}}"#);
        Config::decode("c", &mut text.into_bytes()).map(drop).map_err(|error| error.to_string())
    };
    // One object above the first value, two above the second.
    assert_eq!(config(&arrays(MAX_DEPTH - 2)), Ok(()));
    for depth in [MAX_DEPTH - 1, MAX_DEPTH, 1_000_000] {
        assert!(config(&arrays(depth)).unwrap_err().ends_with("nested deeper than 128"), "{depth}");
    }
}

#[test]
fn many_siblings_are_not_deep() {
    assert_eq!(skip(format!("[{}[]]", "[[]],".repeat(100_000))), Ok(()));
    assert_eq!(skip(format!("{{{}\"a\":{{}}}}", "\"a\":{\"b\":{}},".repeat(100_000))), Ok(()));
}

#[test]
fn too_large_document_is_not_decoded() {
    // Whatever it contains: the first byte would be an error, too.
    let mut text = vec![b'?'; 100 << 20];
    let error = Decoder::new("t", &mut text).finish().err().unwrap();
    assert_eq!(error.to_string(), "t: larger than 16 MiB");
    assert!(!Decoder::new("t", &mut text[..MAX_SIZE + 1]).is_good());
    assert!(Decoder::new("t", &mut text[..MAX_SIZE]).is_good());
}

/// A configuration of the maximum size; `@` is replaced by the filling.
fn largest(around: &str, filling: impl Fn(usize) -> String) -> Result<(), String> {
    let (before, after) = around.split_once('@').unwrap();
    let mut text = format!("{before}{}", filling(MAX_SIZE - before.len() - after.len()));
    text += &" ".repeat(MAX_SIZE - text.len() - after.len());
    text += after;
    assert_eq!(text.len(), MAX_SIZE);
    Config::decode("c", &mut text.into_bytes()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn documents_of_the_maximum_size() {
    let start = r#"{"ociVersion": "1.0.0", "root": {"path": "/"}, "#;
    let end = "}";
    let fill = |text: &'static str| move |space: usize| text.repeat(space / text.len());
    // White space, one string, an unterminated string, and unknown members.
    assert_eq!(largest(&format!("{start}\"x\": 1@{end}"), |_| String::new()), Ok(()));
    assert_eq!(largest(&format!("{start}\"x\": \"@\"{end}"), fill("a")), Ok(()));
    assert_eq!(largest(&format!("{start}\"hostname\": \"@\"{end}"), fill("\\u00e4")), Ok(()));
    let args = format!("{start}\"process\": {{\"cwd\": \"/\", \"args\": [@\"\"]}}{end}");
    assert_eq!(largest(&args, fill("\"\",")), Ok(()));
    assert_eq!(largest(&format!("{start}\"x\": [@{{}}]{end}"), fill("{\"a\":[]},")), Ok(()));
    assert!(largest(&format!("{start}\"x\": [@]{end}"), fill("[")).is_err());
}

#[test]
fn number_as_long_as_the_document() {
    let long = "1".repeat(MAX_SIZE);
    assert_eq!(skip(&long), Ok(()));
    assert!(read(&long, |d| d.integer::<u64>()).is_err());
}
