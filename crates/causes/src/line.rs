//! The line.

use std::error::Error;

/// What layers of HTTP clients say of themselves, which tells a person nothing while there is a cause below.
const WRAPPERS: [&str; 4] = [
    "client error (Connect)",
    "client error (SendRequest)",
    "tcp connect error",
    "error trying to connect",
];

/// `error: its cause: the cause of that`.
#[must_use]
pub fn line(error: &dyn Error) -> String {
    let text = error.to_string();
    match error.source() {
        Some(cause) if is_wrapper(&text) => line(cause),
        _ => appended(text, error),
    }
}

/// `text` instead of the error's own, with the causes of the error.
#[must_use]
pub fn appended(mut text: String, error: &dyn Error) -> String {
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        cause = next.source();
        let is_layer = cause.is_some() && is_wrapper(&more);
        if !is_layer && !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    text
}

fn is_wrapper(text: &str) -> bool {
    // The client of Kubernetes names its own layer before that of HTTP.
    WRAPPERS.contains(&text.trim_start_matches("ServiceError: "))
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

    #[test]
    fn layers_of_http_clients_are_left_out_above_a_cause() {
        let refused = [
            "ServiceError: client error (Connect)",
            "tcp connect error",
            "refused",
        ];
        assert_eq!(line(&layers(&refused)), "refused");
        assert_eq!(
            line(&layers(&["cannot read a", "client error (Connect)", "refused"])),
            "cannot read a: refused"
        );
        assert_eq!(
            line(&layers(&["client error (SendRequest)"])),
            "client error (SendRequest)"
        );
    }
}
