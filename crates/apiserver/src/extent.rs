//! How much a JSON value is: bytes as compact JSON and levels of nesting. Pure, and without recursion, so that it can
//! judge values that are too deep for everything else.

use serde_json::Value;

/// Levels of nesting that an object may have. The JSON parser reads 127, and lists and watch events nest an object
/// deeper, so that a deeper one could be written and never be read again.
pub(crate) const DEEPEST: usize = 120;

/// What a value takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes of its compact JSON.
    pub(crate) bytes: usize,
    /// Maps and lists around its innermost value.
    pub(crate) depth: usize,
}

impl Extent {
    /// Measures `value`.
    pub(crate) fn of(value: &Value) -> Extent {
        let mut extent = Extent { bytes: 0, depth: 0 };
        let mut open = vec![(value, 0_usize)];
        while let Some((value, depth)) = open.pop() {
            extent.depth = extent.depth.max(depth);
            let bytes = match value {
                Value::Null => 4,
                Value::Bool(yes) => 5 - usize::from(*yes),
                Value::Number(number) => number.to_string().len(),
                Value::String(text) => quoted(text),
                Value::Array(list) => {
                    extent.depth = extent.depth.max(depth + 1);
                    open.extend(list.iter().map(|item| (item, depth + 1)));
                    2 + list.len().saturating_sub(1)
                }
                Value::Object(map) => {
                    extent.depth = extent.depth.max(depth + 1);
                    open.extend(map.values().map(|inner| (inner, depth + 1)));
                    let keys: usize = map.keys().map(|key| quoted(key) + 1).sum();
                    2 + map.len().saturating_sub(1) + keys
                }
            };
            extent.bytes += bytes;
        }
        extent
    }

    /// True when the value can be read again wherever it is shown.
    pub(crate) fn is_readable(self) -> bool {
        self.depth <= DEEPEST
    }
}

/// Bytes of a JSON string with its quotes and escapes.
fn quoted(text: &str) -> usize {
    let inner: usize = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..=31 => 6,
            _ => 1,
        })
        .sum();
    inner + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_are_those_of_the_encoder() {
        for (value, depth) in [
            (json!(null), 0),
            (json!([true, false, -1.5e300, 18_446_744_073_709_551_615_u64]), 1),
            (
                json!({"a\"\\\n\u{1}\u{7f}ä😀": "\u{8}\u{c}\r\t", "b": {"c": [[], {}]}}),
                4,
            ),
            (json!([]), 1),
        ] {
            let found = Extent::of(&value);
            assert_eq!(
                (found.bytes, found.depth),
                (value.to_string().len(), depth),
                "{value}"
            );
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let mut deep = json!(1);
        for _ in 0..5_000 {
            deep = Value::Array(vec![deep]);
        }
        assert_eq!(Extent::of(&deep).depth, 5_000);
        assert!(!Extent::of(&deep).is_readable());
    }
}
