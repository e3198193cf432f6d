//! The line.

use std::error::Error;

/// `error: its cause: the cause of that`.
#[must_use]
pub fn line(error: &dyn Error) -> String {
    appended(error.to_string(), error)
}

/// `text` instead of the error's own, with the causes of the error.
#[must_use]
pub fn appended(mut text: String, error: &dyn Error) -> String {
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (first, rest) = texts.split_first().expect("a layer");
        Layer(first, (!rest.is_empty()).then(|| Box::new(layers(rest))))
    }

    #[test]
    fn each_cause_is_told_once() {
        assert_eq!(line(&layers(&["cannot read a"])), "cannot read a");
        let error = layers(&["cannot read a", "no such file", "os error 2"]);
        assert_eq!(line(&error), "cannot read a: no such file: os error 2");
        let repeating = layers(&["connect: refused", "refused", "os error 111"]);
        assert_eq!(line(&repeating), "connect: refused: os error 111");
        assert_eq!(
            appended("Unavailable".into(), &error),
            "Unavailable: no such file: os error 2"
        );
    }
}
