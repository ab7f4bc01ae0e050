//! JSON for the tests: values that can be printed, parsed, and changed by path.

/// A JSON value. Members of objects keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A value written as JSON. An expression other than a list, an object or a single token is in parentheses.
#[macro_export]
macro_rules! json {
    (null) => { $crate::json::Json::Null };
    ([$($item:tt),* $(,)?]) => { $crate::json::Json::List(vec![$($crate::json!($item)),*]) };
    ({$($key:literal: $value:tt),* $(,)?}) => {
        $crate::json::Json::Object(vec![$(($key.to_string(), $crate::json!($value))),*])
    };
    ($other:expr) => { $crate::json::Json::from($other) };
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Json::Text(value.to_string())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Json::Text(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Json::Int(value)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(value: Vec<T>) -> Self {
        Json::List(value.into_iter().map(Into::into).collect())
    }
}

/// One step of a path: `name`, `[3]`, or `[+]` for a new last item.
enum Step<'a> {
    Name(&'a str),
    Item(usize),
    Last,
}

/// The steps of a path such as `linux.namespaces[0].path`. A name that contains dots, such as an annotation or a
/// sysctl, is in quotes.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some((name, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            found.push(Step::Name(name));
            rest = after;
        } else if let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            found.push(index.parse().map_or(Step::Last, Step::Item));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            found.push(Step::Name(name));
            rest = after;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    found
}

impl Json {
    /// The member of an object, or `Null`.
    pub fn at(&self, name: &str) -> &Json {
        match self {
            Json::Object(members) => {
                members.iter().find(|(key, _)| key == name).map_or(&Json::Null, |(_, value)| value)
            }
            _ => &Json::Null,
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            _ => "",
        }
    }

    pub fn int(&self) -> i64 {
        match self {
            Json::Int(number) => *number,
            _ => -1,
        }
    }

    pub fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    pub fn keys(&self) -> Vec<&str> {
        match self {
            Json::Object(members) => members.iter().map(|(key, _)| key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Sets the value at a path, and creates the members and items that are missing on the way.
    pub fn set(&mut self, path: &str, value: impl Into<Json>) {
        let mut place = self;
        for step in steps(path) {
            place = place.enter(&step);
        }
        *place = value.into();
    }

    fn enter(&mut self, step: &Step<'_>) -> &mut Json {
        match step {
            Step::Name(name) => self.member(name),
            Step::Item(index) => self.item(Some(*index)),
            Step::Last => self.item(None),
        }
    }

    fn member(&mut self, name: &str) -> &mut Json {
        if !matches!(self, Json::Object(_)) {
            *self = Json::Object(Vec::new());
        }
        let Json::Object(members) = self else { unreachable!() };
        if !members.iter().any(|(key, _)| key == name) {
            members.push((name.to_string(), Json::Null));
        }
        let found = members.iter_mut().find(|(key, _)| key == name);
        found.map_or_else(|| unreachable!(), |(_, value)| value)
    }

    fn item(&mut self, index: Option<usize>) -> &mut Json {
        if !matches!(self, Json::List(_)) {
            *self = Json::List(Vec::new());
        }
        let Json::List(items) = self else { unreachable!() };
        let index = index.unwrap_or(items.len());
        while items.len() <= index {
            items.push(Json::Null);
        }
        items.get_mut(index).unwrap_or_else(|| unreachable!())
    }

    /// Removes the last step of a path.
    pub fn remove(&mut self, path: &str) {
        let mut steps = steps(path);
        let Some(last) = steps.pop() else { return };
        let mut place = self;
        for step in &steps {
            place = place.enter(step);
        }
        match (place, last) {
            (Json::Object(members), Step::Name(name)) => members.retain(|(key, _)| key != name),
            (Json::List(items), Step::Item(index)) if index < items.len() => {
                items.remove(index);
            }
            _ => {}
        }
    }

    /// Parses a JSON text. Numbers are truncated to integers and limited to the largest integer.
    pub fn parse(text: &str) -> Result<Json, String> {
        let mut reader = Reader { bytes: text.as_bytes(), next: 0 };
        let value = reader.value()?;
        reader.blanks();
        if reader.next == text.len() { Ok(value) } else { Err(reader.error("the end")) }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Json::Null => out.write_str("null"),
            Json::Bool(value) => write!(out, "{value}"),
            Json::Int(value) => write!(out, "{value}"),
            Json::Text(text) => quoted(out, text),
            Json::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    write!(out, "{}{item}", if index == 0 { "[" } else { "," })?;
                }
                out.write_str(if items.is_empty() { "[]" } else { "]" })
            }
            Json::Object(members) => {
                for (index, (key, value)) in members.iter().enumerate() {
                    out.write_str(if index == 0 { "{" } else { ",\n" })?;
                    quoted(out, key)?;
                    write!(out, ":{value}")?;
                }
                out.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

fn quoted(out: &mut std::fmt::Formatter<'_>, text: &str) -> std::fmt::Result {
    out.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}")?,
            control if control < ' ' => write!(out, "\\u{:04x}", control as u32)?,
            other => write!(out, "{other}")?,
        }
    }
    out.write_str("\"")
}

struct Reader<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Reader<'_> {
    fn error(&self, expected: &str) -> String {
        format!("not JSON: {expected} expected at byte {}", self.next)
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.next).copied().unwrap_or(0)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.next += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == byte;
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if self.bytes.get(self.next..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.next += word.len();
            Ok(value)
        } else {
            Err(self.error(word))
        }
    }

    fn value(&mut self) -> Result<Json, String> {
        self.blanks();
        match self.peek() {
            b'{' => self.object(),
            b'[' => self.list(),
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self) -> Result<Json, String> {
        let mut members = Vec::new();
        self.next += 1;
        while !self.take(b'}') {
            if !members.is_empty() && !self.take(b',') {
                return Err(self.error("comma"));
            }
            self.blanks();
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.error("colon"));
            }
            members.push((key, self.value()?));
        }
        Ok(Json::Object(members))
    }

    fn list(&mut self) -> Result<Json, String> {
        let mut items = Vec::new();
        self.next += 1;
        while !self.take(b']') {
            if !items.is_empty() && !self.take(b',') {
                return Err(self.error("comma"));
            }
            items.push(self.value()?);
        }
        Ok(Json::List(items))
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.take(b'"') {
            return Err(self.error("string"));
        }
        let mut text = Vec::new();
        loop {
            match self.peek() {
                b'"' => break,
                0 => return Err(self.error("end of string")),
                b'\\' => self.escape(&mut text)?,
                byte => {
                    text.push(byte);
                    self.next += 1;
                }
            }
        }
        self.next += 1;
        String::from_utf8(text).map_err(|_| self.error("UTF-8"))
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), String> {
        self.next += 2;
        let letter = match self.bytes.get(self.next - 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                let digits = self.bytes.get(self.next..self.next + 4).unwrap_or(&[]);
                self.next += 4;
                std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .and_then(char::from_u32)
                    .ok_or_else(|| self.error("four hexadecimal digits"))?
            }
            Some(byte) => char::from(*byte),
            None => return Err(self.error("escape")),
        };
        text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn number(&mut self) -> Result<Json, String> {
        let start = self.next;
        while matches!(self.peek(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.next += 1;
        }
        let digits = self.bytes.get(start..self.next).unwrap_or(&[]);
        let digits = std::str::from_utf8(digits).unwrap_or("");
        let integer = digits.split(['.', 'e', 'E']).next().unwrap_or("");
        let large = |_| integer.parse::<u64>().map(|_| i64::MAX);
        integer.parse().or_else(large).map(Json::Int).map_err(|_| self.error("number"))
    }
}
