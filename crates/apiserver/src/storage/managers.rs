//! `metadata.managedFields` in memory: apart from the JSON of its object, and once for all objects that have the same but for
//! the times. It takes a third of an object, and few readers ask for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The key of a time in an entry, with the quote that its text begins with.
const TIME: &str = "\"time\":\"";
/// Bytes of a time such as `2026-11-30T09:41:23Z`.
const LENGTH: usize = 20;
/// Stands for a time in a shape. JSON never has this byte.
const CUT: char = '\0';
/// Shapes that there may be before those are looked for that no object has any more.
const FIRST_SWEEP: usize = 1024;

/// The managers of one object.
#[derive(Debug)]
pub(super) struct Managers {
    shape: Arc<str>,
    /// Its times, one behind the other.
    times: Box<str>,
}

impl Managers {
    /// Bytes that they take of their own.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.times.len()
    }

    /// Appends them as they were.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut times = self.times.as_bytes().chunks(LENGTH);
        for (at, part) in self.shape.split(CUT).enumerate() {
            if at > 0 {
                to.extend_from_slice(times.next().unwrap_or_default());
            }
            to.extend_from_slice(part.as_bytes());
        }
    }
}

/// Every shape that an object has, once. Clones are the same shapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    shapes: HashSet<Arc<str>>,
    /// How many there may be before the next sweep.
    most: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            shapes: HashSet::new(),
            most: FIRST_SWEEP,
        }
    }
}

impl Shapes {
    /// Takes the managers in: the member `managedFields` of an object's JSON with its comma.
    pub(super) fn take(&self, json: &str) -> Managers {
        let (mut shape, mut times) = (String::with_capacity(json.len()), String::new());
        let mut rest = json;
        while let Some(at) = rest.find(TIME) {
            let (before, time) = rest.split_at(at + TIME.len());
            shape.push_str(before);
            rest = time;
            if let Some((time, behind)) = time.split_at_checked(LENGTH)
                && is_time(time)
            {
                times.push_str(time);
                shape.push(CUT);
                rest = behind;
            }
        }
        shape.push_str(rest);
        Managers {
            shape: self.shared(&shape),
            times: times.into(),
        }
    }

    fn shared(&self, shape: &str) -> Arc<str> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.shapes.get(shape) {
            return Arc::clone(found);
        }
        if known.shapes.len() >= known.most {
            known.shapes.retain(|shape| Arc::strong_count(shape) > 1);
            known.most = FIRST_SWEEP.max(known.shapes.len().saturating_mul(2));
        }
        let shape: Arc<str> = shape.into();
        known.shapes.insert(Arc::clone(&shape));
        shape
    }
}

/// Whether nothing in it has to be kept apart: a text of one-byte characters that ends where it seems to.
fn is_time(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || b"-:TZ".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(managers: &Managers) -> String {
        let mut text = Vec::new();
        managers.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn they_come_out_as_they_went_in() {
        let shapes = Shapes::default();
        for json in [
            "",
            r#""managedFields":[]"#,
            r#""managedFields":[{"manager":"a","time":"2026-11-30T09:41:23Z"},{"time":"2026-11-30T09:41:24Z"}],"#,
            r#""managedFields":[{"time":"2026-11-30T09:41:23.123456Z"},{"time":""},{"time":"soon"}]"#,
            r#""managedFields":[{"fieldsV1":{"k:{\"time\":\"2026-11-30T09:41:23Z\"}":{}},"time":"2026"}]"#,
            r#""managedFields":[{"manager":"é\u0000","time":"äöüäöüäöüäöüäöüäöüäö"}]"#,
            r#""time":""#,
        ] {
            assert_eq!(text(&shapes.take(json)), json);
        }
    }

    #[test]
    fn what_differs_in_its_times_alone_is_kept_once() {
        let shapes = Shapes::default();
        let of = |second: usize| {
            let json = format!(r#"[{{"manager":"a","time":"2026-11-30T09:41:{second:02}Z"}}]"#);
            shapes.take(&json)
        };
        let all: Vec<Managers> = (0..60).map(of).collect();
        assert!(all.iter().all(|one| Arc::ptr_eq(&one.shape, &all[0].shape)));
        assert_eq!(shapes.0.lock().unwrap().shapes.len(), 1);
    }

    #[test]
    fn shapes_that_no_object_has_go() {
        let shapes = Shapes::default();
        let kept = shapes.take("kept");
        for one in 0..10 * FIRST_SWEEP {
            shapes.take(&one.to_string());
        }
        assert!(shapes.0.lock().unwrap().shapes.len() <= FIRST_SWEEP);
        assert!(Arc::ptr_eq(&kept.shape, &shapes.take("kept").shape));
    }
}
