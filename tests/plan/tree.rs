//! The text of `{:#?}` as a tree. Types are recognized by the names of their fields only, so that a type in `src` can
//! be renamed.

/// A value as `{:#?}` prints it.
#[derive(Debug)]
pub enum Tree {
    /// On one line: a number, a string in quotes, a variant without fields, or the text of a manual implementation.
    Leaf(String),
    /// `Name { a: 1 }`: the fields in order, without the name.
    Struct(Vec<(String, Tree)>),
    /// `Name(1)`; a tuple has no name.
    Tuple(String, Vec<Tree>),
    List(Vec<Tree>),
}

impl Tree {
    pub fn parse(debug: &str) -> Tree {
        let mut lines = debug.lines().map(str::trim_start);
        let first = lines.next().unwrap();
        value(first, &mut lines)
    }

    /// A field of a struct.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Struct(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, tree)| tree),
            _ => None,
        }
    }

    /// Whether it is a struct with all of these fields.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.get(name).is_some())
    }

    /// The text of a leaf, a string without its quotes; empty for other trees.
    pub fn text(&self) -> &str {
        match self.inner() {
            Tree::Leaf(text) => {
                text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
            }
            _ => "",
        }
    }

    /// The content of `Some(...)` and of structs with one unnamed field.
    pub fn inner(&self) -> &Tree {
        match self {
            Tree::Tuple(name, items) if name == "Some" => items[0].inner(),
            other => other.wrapped().map_or(other, Tree::inner),
        }
    }

    /// The content of a struct with one unnamed field. Names of enum variants matter, and are printed.
    pub fn wrapped(&self) -> Option<&Tree> {
        match self {
            Tree::Tuple(name, items) if items.len() == 1 => {
                (matches!(name.as_str(), "Gid" | "Uid") || name.ends_with("Plan")).then(|| &items[0])
            }
            _ => None,
        }
    }
}

fn value<'t>(line: &str, lines: &mut impl Iterator<Item = &'t str>) -> Tree {
    if line.ends_with(" {") || line == "{" {
        let mut fields = Vec::new();
        while let Some(line) = lines.next().map(without_comma).filter(|line| *line != "}") {
            let (field, line) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line}"));
            fields.push((field.to_owned(), value(line, lines)));
        }
        return Tree::Struct(fields);
    }
    let mut items = |end: &str| {
        let mut items = Vec::new();
        while let Some(line) = lines.next().map(without_comma).filter(|line| *line != end) {
            items.push(value(line, lines));
        }
        items
    };
    match (line.strip_suffix('('), line) {
        (Some(name), _) => Tree::Tuple(name.to_owned(), items(")")),
        (_, "[") => Tree::List(items("]")),
        (_, "[]") => Tree::List(Vec::new()),
        _ => Tree::Leaf(line.to_owned()),
    }
}

fn without_comma(line: &str) -> &str {
    line.strip_suffix(',').unwrap_or(line)
}

#[test]
fn trees_of_debug() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct Example<'a>(Option<(&'a str, Vec<u8>)>, Result<(), String>);
    let tree = Tree::parse(&format!("{:#?}", Example(Some(("{ (", vec![1])), Err(String::from("a: b,")))));
    assert_eq!(
        format!("{tree:?}"),
        r#"Tuple("Example", [Tuple("Some", [Tuple("", [Leaf("\"{ (\""), List([Leaf("1")])])]), Tuple("Err", [Leaf("\"a: b,\"")])])"#
    );
}
