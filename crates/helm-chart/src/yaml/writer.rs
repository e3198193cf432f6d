//! Writing: block style, keys sorted, lists at the indentation of their key, long scalars folded at column 80.

use serde_json::Value as Json;

use super::key_order::compare;
use super::scalars::needs_quotes;

/// Spaces of one level.
const INDENT: usize = 2;
/// After this column a space in a scalar becomes a line break.
const WIDTH: usize = 80;
/// A longer key is written with a question mark.
const SIMPLE_KEY: usize = 128;

/// The text of a value, with a line break at its end.
pub(crate) fn write(value: &Json) -> String {
    let mut writer = Writer {
        text: String::new(),
        column: 0,
    };
    writer.node(value, 0, false);
    writer.text.push('\n');
    writer.text
}

struct Writer {
    text: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.text.push('\n');
        self.column = 0;
        self.put(&" ".repeat(indent));
    }

    /// A value whose lines begin at `indent`; the first line has begun.
    fn node(&mut self, value: &Json, indent: usize, in_map: bool) {
        match value {
            Json::Object(entries) if entries.is_empty() => self.put("{}"),
            Json::Array(items) if items.is_empty() => self.put("[]"),
            Json::Object(entries) => {
                let mut sorted: Vec<(&String, &Json)> = entries.iter().collect();
                sorted.sort_by(|a, b| compare(a.0, b.0));
                for (at, (key, value)) in sorted.into_iter().enumerate() {
                    if at > 0 {
                        self.line(indent);
                    }
                    self.entry(key, value, indent);
                }
            }
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.line(indent);
                    }
                    self.put("- ");
                    self.node(item, indent + INDENT, false);
                }
            }
            Json::String(text) => self.string(text, indent, in_map),
            Json::Number(number) => self.put(&number_text(number)),
            Json::Bool(flag) => self.put(if *flag { "true" } else { "false" }),
            Json::Null => self.put("null"),
        }
    }

    fn entry(&mut self, key: &str, value: &Json, indent: usize) {
        if key.contains('\n') || key.len() > SIMPLE_KEY {
            self.put("? ");
            self.string(key, indent + INDENT, false);
            self.line(indent);
            self.put(": ");
            return self.node(value, indent + INDENT, false);
        }
        let quoted = style(key) != Style::Plain || key.is_empty();
        match (quoted, style(key)) {
            (true, Style::Double) => self.double_quoted(key, None),
            (true, _) => self.single_quoted(key, None),
            (false, _) => self.put(key),
        }
        self.put(":");
        match value {
            Json::Object(entries) if !entries.is_empty() => {
                self.line(indent + INDENT);
                self.node(value, indent + INDENT, true);
            }
            Json::Array(items) if !items.is_empty() => {
                self.line(indent);
                self.node(value, indent, true);
            }
            _ => {
                self.put(" ");
                self.node(value, indent, true);
            }
        }
    }

    /// A text in a collection whose lines begin at `indent`, or, in a list, two columns before it.
    fn string(&mut self, text: &str, indent: usize, in_map: bool) {
        let inner = if in_map { indent + INDENT } else { indent };
        match style(text) {
            Style::Plain => self.plain(text, inner),
            Style::Single => self.single_quoted(text, Some(inner)),
            Style::Double => self.double_quoted(text, Some(inner)),
            Style::Literal => self.literal(text, inner),
        }
    }

    fn plain(&mut self, text: &str, indent: usize) {
        let signs: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (at, sign) in signs.iter().enumerate() {
            let space = *sign == ' ';
            let followed = signs.get(at + 1) == Some(&' ');
            if space && !spaces && self.column > WIDTH && !followed {
                self.line(indent);
            } else {
                self.sign(*sign);
            }
            spaces = space;
        }
    }

    fn sign(&mut self, sign: char) {
        self.text.push(sign);
        self.column += 1;
    }

    fn single_quoted(&mut self, text: &str, fold: Option<usize>) {
        self.put("'");
        let signs: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (at, sign) in signs.iter().enumerate() {
            let space = *sign == ' ';
            let inner = at > 0 && at + 1 < signs.len() && signs.get(at + 1) != Some(&' ');
            match fold {
                Some(indent) if space && !spaces && self.column > WIDTH && inner => self.line(indent),
                _ => {
                    if *sign == '\'' {
                        self.sign('\'');
                    }
                    self.sign(*sign);
                }
            }
            spaces = space;
        }
        self.put("'");
    }

    fn double_quoted(&mut self, text: &str, fold: Option<usize>) {
        self.put("\"");
        let signs: Vec<char> = text.chars().collect();
        let mut spaces = false;
        for (at, sign) in signs.iter().enumerate() {
            let space = *sign == ' ';
            let inner = at > 0 && at + 1 < signs.len();
            match fold {
                Some(indent) if space && !spaces && self.column > WIDTH && inner => {
                    self.line(indent);
                    if signs.get(at + 1) == Some(&' ') {
                        self.sign('\\');
                    }
                }
                _ => self.escaped(*sign),
            }
            spaces = space;
        }
        self.put("\"");
    }

    fn escaped(&mut self, sign: char) {
        let short = match sign {
            '\0' => "0",
            '\u{7}' => "a",
            '\u{8}' => "b",
            '\t' => "t",
            '\n' => "n",
            '\u{b}' => "v",
            '\u{c}' => "f",
            '\r' => "r",
            '\u{1b}' => "e",
            '"' => "\"",
            '\\' => "\\",
            '\u{85}' => "N",
            '\u{2028}' => "L",
            '\u{2029}' => "P",
            other if printable(other) => return self.sign(other),
            other => {
                let code = u32::from(other);
                let escape = match code {
                    0..=0xFF => format!("\\x{code:02X}"),
                    0x100..=0xFFFF => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                };
                return self.put(&escape);
            }
        };
        self.put("\\");
        self.put(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        let ends = text.len() - text.trim_end_matches('\n').len();
        if ends == 0 {
            self.put("-");
        } else if ends > 1 || text == "\n" {
            self.put("+");
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            if line.is_empty() {
                self.text.push('\n');
            } else {
                self.line(indent);
                self.put(line);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn printable(sign: char) -> bool {
    matches!(sign, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// libyaml's choice for a text outside of flow collections.
fn style(text: &str) -> Style {
    let special = text.chars().any(|sign| !printable(sign));
    let space_break = text.contains(" \n");
    if text.contains('\n') {
        let literal = !special && !space_break && !text.ends_with(' ');
        return if literal { Style::Literal } else { Style::Double };
    }
    if needs_quotes(text) || special {
        return Style::Double;
    }
    if text.starts_with(' ') || text.ends_with(' ') || has_indicators(text) {
        return Style::Single;
    }
    Style::Plain
}

/// Whether a text begins or goes on like something else than a plain scalar.
fn has_indicators(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let signs: Vec<char> = text.chars().collect();
    let blank = |at: usize| signs.get(at).is_none_or(|sign| matches!(sign, ' ' | '\t'));
    signs.iter().enumerate().any(|(at, sign)| match sign {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
            if at == 0 =>
        {
            true
        }
        '?' | '-' if at == 0 => blank(1),
        ':' => blank(at + 1),
        '#' => at > 0 && blank(at - 1),
        _ => false,
    })
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => gotmpl::Value::Float(float).to_string(),
        _ => number.to_string(),
    }
}
