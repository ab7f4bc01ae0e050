//! A plan, or a decoded configuration, as entries: a path and its value, in the terms of CONTRIBUTING.md.
//!
//! Absent values (`None`, `false`, an empty list, string or mask) have no entry; every other value has one, so that
//! different values never print the same text. Masks are printed as names of their bits, numbers with a meaning by its
//! name, modes in octal.

use mote::internal::hooks::POINTS;

use crate::device::devices;
use crate::names::{mask, numbers, word};
use crate::text::Entry;
use crate::tree::Tree;

/// The entries of the text of `{:#?}`.
pub fn entries(debug: &str) -> Vec<Entry> {
    let mut out = Vec::new();
    emit("", &Tree::parse(debug), &mut out);
    refer_to_bounding(&mut out);
    out
}

/// Capability sets that are the bounding set refer to it.
fn refer_to_bounding(entries: &mut [Entry]) {
    let bounding = entries.iter().find(|entry| entry.path.ends_with(".bounding"));
    let Some(bounding) = bounding.map(|entry| entry.items.clone()) else { return };
    let same = |entry: &&mut Entry| entry.path.contains(".caps.") && entry.items == bounding;
    for entry in entries.iter_mut().filter(same).filter(|entry| !entry.path.ends_with(".bounding")) {
        *entry = Entry::one(&entry.path, String::from("as bounding"));
    }
}

fn emit(path: &str, tree: &Tree, out: &mut Vec<Entry>) {
    match tree {
        Tree::Leaf(text) if path.ends_with(".devices") && text.contains(": [") => {
            out.push(devices(path, text))
        }
        Tree::Leaf(text) => out.extend(leaf(path, text)),
        Tree::Tuple(name, items) if name == "Some" => {
            let before = out.len();
            emit(path, &items[0], out);
            if out.len() == before {
                out.push(Entry::one(path, present(&items[0])));
            }
        }
        Tree::Tuple(..) => match tree.wrapped() {
            Some(tree) => emit(path, tree, out),
            None => out.extend(inline(path, tree).map(|text| Entry::one(path, text))),
        },
        Tree::Struct(..) if is_inline(tree) => {
            out.extend(inline(path, tree).map(|text| Entry::one(path, text)));
        }
        Tree::Struct(fields) => fields.iter().for_each(|(name, tree)| emit(&join(path, name), tree, out)),
        Tree::List(items) if is_bits(path) => out.push(Entry::one(path, words(items))),
        Tree::List(items) if items.iter().any(|item| matches!(item, Tree::List(_))) => {
            for (index, item) in items.iter().enumerate() {
                let path = match POINTS.get(index).filter(|_| path == "hooks.lists") {
                    Some((name, _)) => format!("hooks.{name}"),
                    None => format!("{path}[{index}]"),
                };
                emit(&path, item, out);
            }
        }
        Tree::List(items) => {
            let shown = items.iter().enumerate().map(|(index, item)| element(path, index, item));
            let shown: Vec<Option<String>> = shown.collect();
            // Arrays of structs without any value.
            if shown.iter().any(Option::is_some) {
                let shown = shown.into_iter().map(|text| text.unwrap_or_else(|| "-".into()));
                out.push(Entry::list(path, shown.collect()));
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The text of a value, or nothing if it is absent.
fn present(tree: &Tree) -> String {
    match tree.inner() {
        Tree::Leaf(text) => text.clone(),
        Tree::List(_) => "[]".into(),
        _ => "{}".into(),
    }
}

fn leaf(path: &str, text: &str) -> Option<Entry> {
    if matches!(text, "None" | "false" | "\"\"" | "-" | "()") {
        return None;
    }
    let name = path.rsplit('.').next().unwrap_or(path);
    let Ok(number) = text.parse::<u64>() else { return Some(Entry::one(path, text.to_owned())) };
    match mask(path, number) {
        Some(names) if names.is_empty() => None,
        Some(names) => Some(Entry::flags(path, names)),
        None => Some(Entry::one(path, word(name, number).unwrap_or_else(|| text.to_owned()))),
    }
}

/// Structs that are printed on one line.
fn is_inline(tree: &Tree) -> bool {
    tree.has(&["set", "clear", "propagation"])
}

/// Sets of numbers, as words of bits.
fn is_bits(path: &str) -> bool {
    path.ends_with("affinity") || path.ends_with("memory_policy.nodes")
}

fn words(items: &[Tree]) -> String {
    numbers(&items.iter().map(|item| item.text().parse().unwrap()).collect::<Vec<u64>>())
}

/// An element of a list. Its index in the configuration is printed only where it differs from that in the list.
fn element(path: &str, place: usize, item: &Tree) -> Option<String> {
    let text = inline(path, item).or_else(|| matches!(item, Tree::Leaf(_)).then(|| present(item)));
    let is_own = item.has(&["index", "destination"]) || item.has(&["index", "kind", "path"]);
    match item.get("index").filter(|_| is_own).map(Tree::text) {
        Some(index) if index != place.to_string() => {
            Some(format!("{} [index {index}]", text.unwrap_or_default()))
        }
        _ => text,
    }
}

/// A value on one line; `None` if it is absent.
fn inline(path: &str, tree: &Tree) -> Option<String> {
    match tree {
        Tree::Leaf(text) => leaf(path, text).map(|entry| entry.value()),
        Tree::Tuple(name, items) if name == "Some" => {
            Some(inline(path, &items[0]).unwrap_or_else(|| present(&items[0])))
        }
        Tree::Tuple(..) if tree.wrapped().is_some() => inline(path, tree.wrapped()?),
        Tree::Tuple(name, items) if name.is_empty() => Some(pair(path, items)),
        Tree::Tuple(_, items) if is_bits(path) => match &items[0] {
            Tree::List(items) => Some(words(items)),
            other => inline(path, other),
        },
        Tree::Tuple(name, items) => {
            let items: Vec<String> = items.iter().filter_map(|item| inline(path, item)).collect();
            Some(format!("{} {}", name.to_lowercase(), items.join(", ")))
        }
        Tree::List(items) if path.ends_with(".names") && items.iter().all(|item| byte(item).is_some()) => {
            let bytes: Vec<u8> = items.iter().filter_map(byte).collect();
            (!bytes.is_empty()).then(|| bytes.escape_ascii().to_string())
        }
        Tree::List(items) => {
            let items: Vec<String> =
                items.iter().enumerate().filter_map(|(index, item)| element(path, index, item)).collect();
            (!items.is_empty()).then(|| items.join(", "))
        }
        Tree::Struct(fields) => {
            let text = shape(path, tree).unwrap_or_else(|| rest(path, fields, &[]).join(", "));
            (!text.is_empty()).then_some(text)
        }
    }
}

/// A byte of a name that is not UTF-8.
fn byte(tree: &Tree) -> Option<u8> {
    tree.text().parse().ok()
}

/// `name=value`, or the name alone.
fn pair(path: &str, items: &[Tree]) -> String {
    let texts = items.iter().map(|item| match item {
        Tree::Leaf(text) if text == "None" => None,
        item => inline(path, item).map(|text| plain(&text)).or(Some("\"\"".into())),
    });
    texts.flatten().collect::<Vec<String>>().join("=")
}

/// A string without its quotes, if it remains unambiguous.
fn plain(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.is_empty() && !inner.contains([' ', ',', '"', '\\']) => inner.to_owned(),
        _ => text.to_owned(),
    }
}

/// The fields that are not printed yet, each with its name.
fn rest(path: &str, fields: &[(String, Tree)], printed: &[&str]) -> Vec<String> {
    let rest = fields.iter().filter(|(name, _)| !printed.contains(&name.as_str()));
    let rest = rest.filter_map(|(name, tree)| {
        let text = inline(&join(path, name), tree)?;
        Some(if text == "true" { name.clone() } else { format!("{name} {text}") })
    });
    rest.collect()
}

/// Structs with a text format of their own.
fn shape(path: &str, tree: &Tree) -> Option<String> {
    let Tree::Struct(fields) = tree else { return None };
    let text = |name: &str| tree.get(name).map(Tree::text).unwrap_or_default();
    let with_rest = |head: String, separator: &str, printed: &[&str]| {
        let rest = rest(path, fields, printed).into_iter().map(|text| format!("{separator}{text}"));
        head + &rest.collect::<String>()
    };
    if tree.has(&["container_id", "host_id", "size"]) {
        let head = format!("{}:{}:{}", text("container_id"), text("host_id"), text("size"));
        return Some(with_rest(head, " ", &["container_id", "host_id", "size"]));
    }
    if tree.has(&["set", "clear", "propagation"]) {
        return Some(with_rest(attributes(path, tree), " ", &["set", "clear", "propagation", "recursive"]));
    }
    if tree.has(&["controller", "file", "value", "field"]) {
        let head = format!("{} = {} ({})", text("file"), text("value"), text("field"));
        let own = text("file").split('.').next() == Some(text("controller"));
        let head = if own { head } else { format!("{head}, controller {}", text("controller")) };
        return Some(with_rest(head, ", ", &["controller", "file", "value", "field"]));
    }
    if tree.has(&["resource", "soft", "hard"]) {
        let number =
            |name: &str| word(name, text(name).parse().unwrap()).unwrap_or_else(|| text(name).into());
        let head = format!("{} {} {}", number("resource"), number("soft"), number("hard"));
        return Some(with_rest(head, " ", &["resource", "soft", "hard"]));
    }
    if tree.has(&["path", "kind", "major", "minor"]) {
        return Some(with_rest(device(tree), " ", &["path", "kind", "major", "minor", "file_mode"]));
    }
    if let Some(node) = tree.get("device").filter(|node| node.has(&["path", "kind"])) {
        return Some(with_rest(shape(path, node)?, " ", &["device"]));
    }
    if tree.has(&["destination", "kind", "options"]) {
        let head = format!("{}: {}", text("destination"), what(path, tree));
        return Some(with_rest(head, ", ", &["index", "destination", "kind", "options"]));
    }
    if tree.has(&["index", "kind", "path"]) {
        let head = format!("{} {}", text("kind").to_lowercase(), text("path"));
        return Some(with_rest(head, ", ", &["index", "kind", "path"]));
    }
    None
}

/// `/dev/null c 1:3 0666`
fn device(tree: &Tree) -> String {
    let text = |name: &str| tree.get(name).map(Tree::text).unwrap_or_default();
    let kind = match text("kind") {
        "Char" => "c",
        "Block" => "b",
        "Fifo" => "p",
        other => other,
    };
    let mode = tree.get("file_mode").and_then(|mode| mode.text().parse().ok());
    let mode = mode.and_then(|mode| word("file_mode", mode)).unwrap_or_else(|| "no mode".into());
    format!("{} {kind} {}:{} {mode}", text("path"), text("major"), text("minor"))
}

/// The source of a mount, and its options.
fn what(path: &str, mount: &Tree) -> String {
    let bind = mount.get("options").and_then(|words| words.get("bind")).map(Tree::text).unwrap_or_default();
    let option = match bind {
        "true" => Some("rbind"),
        "false" => Some("bind"),
        _ => None,
    };
    let text = match mount.get("kind") {
        Some(Tree::Tuple(name, items)) if name == "Bind" => {
            // Without the option, the type makes it a bind mount.
            let verb = option.unwrap_or("type bind");
            format!("{verb} {}", inline(path, &items[0]).unwrap_or_default())
        }
        Some(new) if new.has(&["kind", "source"]) => {
            let text = |name: &str| new.get(name).map(Tree::text).unwrap_or_default();
            match text("kind") == text("source") {
                true => format!("new {}", text("kind")),
                false => format!("new {} from {}", text("kind"), plain(text("source"))),
            }
        }
        Some(other) => {
            let option = option.map(|option| format!(", option {option}")).unwrap_or_default();
            inline(path, other).unwrap_or_default() + &option
        }
        None => String::new(),
    };
    let options = mount.get("options").map(|words| options(path, words)).unwrap_or_default();
    [vec![text], options].concat().join(", ")
}

/// The options of a mount except `bind`.
fn options(path: &str, tree: &Tree) -> Vec<String> {
    let Tree::Struct(fields) = tree else { return Vec::new() };
    let texts = fields.iter().filter(|(name, _)| name != "bind").filter_map(|(name, tree)| {
        Some(match (name.as_str(), inline(&join(path, name), tree)?) {
            ("parameters", text) => format!("options {text}"),
            // Of the mount only, not of the mounts below.
            ("top", text) => text,
            ("all", text) => format!("all mounts: {text}"),
            (name, text) if text == "true" => name.to_owned(),
            (name, text) => format!("{name} {text}"),
        })
    });
    texts.collect()
}

/// mount_setattr(2): what is set, cleared, and the propagation.
fn attributes(path: &str, tree: &Tree) -> String {
    let bits = |name: &str| {
        let number = tree.get(name).and_then(|tree| tree.text().parse().ok()).unwrap_or_default();
        mask(&join(path, name), number).unwrap_or_default().join("|")
    };
    let mut texts = Vec::new();
    for (before, name) in [("", "set"), ("without ", "clear"), ("", "propagation")] {
        let bits = bits(name);
        if !bits.is_empty() {
            texts.push(format!("{before}{bits}"));
        }
    }
    // Usually `all` applies to the mount tree, and the rest only to the mount.
    let usual = path.ends_with(".all") || path == "all";
    let recursive = tree.get("recursive").is_some_and(|tree| tree.text() == "true");
    match (recursive == usual, recursive) {
        (true, _) => {}
        (false, true) => texts.push("recursive".into()),
        (false, false) => texts.push("not recursive".into()),
    }
    texts.join(" ")
}
