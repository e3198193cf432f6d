//! The commented example of the configuration file, made from the table of keys.

use std::fmt::Write as _;

use super::table::{KEYS, flag, variable};

/// The file, ready to be edited: every key with what it does, its flag, its variable and its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of `gantry serve`. Every key is also a flag and an environment variable; a flag wins over\n\
         # the variable, the variable over this file. Unknown keys are refused.\n",
    );
    for key in KEYS {
        text.push('\n');
        for line in key.about.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(
            text,
            "# (--{} {}, {})",
            flag(key.name),
            key.value,
            variable(key.name)
        );
        if key.default.is_empty() {
            let _ = writeln!(text, "# {}: {}", key.name, key.example);
        } else {
            let _ = writeln!(text, "{}: {}", key.name, key.default);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Settings, file};
    use super::*;

    #[test]
    fn the_example_is_the_default() {
        let values = file::parse(&example(), "example").unwrap();
        let from_example = Settings::from_values(&values).unwrap();
        assert_eq!(from_example, Settings::load(None, &BTreeMap::new()).unwrap());
    }

    #[test]
    fn every_key_is_in_the_example() {
        let text = example();
        for key in KEYS {
            assert!(
                text.contains(&format!("{}: ", key.name)) && text.contains(&variable(key.name)),
                "{}",
                key.name
            );
        }
    }
}
