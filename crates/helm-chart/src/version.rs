//! Semantic versions and constraints, as `semver`, `semverCompare` and a chart's `kubeVersion` write them.

use std::cmp::Ordering;
use std::fmt;

/// A version. Minor and patch may be missing in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    /// Pre-release, such as `rc.1`; empty where there is none.
    pub(crate) pre: String,
    /// Build metadata.
    pub(crate) build: String,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no version, such as 1.35.4");
        let bare = text.trim().trim_start_matches('v');
        let (bare, build) = bare.split_once('+').unwrap_or((bare, ""));
        let (numbers, pre) = bare.split_once('-').unwrap_or((bare, ""));
        let mut found = [0; 3];
        for (at, part) in numbers.split('.').enumerate() {
            let place = found.get_mut(at).ok_or_else(wrong)?;
            *place = part.parse().map_err(|_| wrong())?;
        }
        let [major, minor, patch] = found;
        let (pre, build) = (pre.to_owned(), build.to_owned());
        Ok(Self {
            major,
            minor,
            patch,
            pre,
            build,
        })
    }

    const fn numbers(&self) -> (u64, u64, u64) {
        (self.major, self.minor, self.patch)
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers()
            .cmp(&other.numbers())
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(out, "-{}", self.pre)?;
        }
        if !self.build.is_empty() {
            write!(out, "+{}", self.build)?;
        }
        Ok(())
    }
}

/// A version without pre-release is above those with one; numbers are below words.
fn compare_pre(one: &str, other: &str) -> Ordering {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (one.split('.'), other.split('.'));
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether a version is in a constraint such as `>=1.27-0`, `^1.2 || ~2.1.3` or `1.2 - 1.4`.
pub(crate) fn satisfies(constraint: &str, version: &Version) -> Result<bool, String> {
    let mut any = false;
    for choice in constraint.split("||") {
        let mut all = true;
        for bound in bounds(constraint, choice)? {
            all &= bound.holds(version);
        }
        any |= all;
    }
    Ok(any)
}

/// One comparison.
struct Bound {
    operator: String,
    version: Version,
    /// How many numbers the text has before a wildcard or its end.
    given: usize,
}

const SIGNS: [char; 5] = ['=', '!', '<', '>', '~'];

fn bounds(constraint: &str, choice: &str) -> Result<Vec<Bound>, String> {
    if let Some((low, high)) = choice.split_once(" - ") {
        return Ok(vec![
            bound(constraint, ">=", low.trim())?,
            bound(constraint, "<=", high.trim())?,
        ]);
    }
    let mut found = Vec::new();
    let mut operator = String::new();
    for word in choice.split([',', ' ']).filter(|word| !word.is_empty()) {
        let rest = word.trim_start_matches(|sign| SIGNS.contains(&sign) || sign == '^');
        operator.push_str(&word[..word.len() - rest.len()]);
        if !rest.is_empty() {
            found.push(bound(constraint, &std::mem::take(&mut operator), rest)?);
        }
    }
    if !operator.is_empty() || found.is_empty() {
        return Err(format!(
            "{constraint:?} is no constraint of versions, such as >=1.2.0"
        ));
    }
    Ok(found)
}

fn bound(constraint: &str, operator: &str, text: &str) -> Result<Bound, String> {
    let wild = |part: &str| matches!(part, "x" | "X" | "*");
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let bare = numbers.trim_start_matches('v');
    let given: Vec<&str> = bare.split('.').take_while(|part| !wild(part)).collect();
    let kept = if given.is_empty() {
        "0".to_owned()
    } else {
        format!("{}{rest}", given.join("."))
    };
    let version = Version::parse(&kept)
        .map_err(|_| format!("{constraint:?} is no constraint of versions, such as >=1.2.0"))?;
    let operator = match operator {
        "" | "==" => "=",
        "=>" => ">=",
        "=<" => "<=",
        "~>" => "~",
        "=" | "!=" | ">" | "<" | ">=" | "<=" | "~" | "^" => operator,
        _ => {
            return Err(format!(
                "{operator:?} in {constraint:?} is no comparison of versions"
            ));
        }
    };
    Ok(Bound {
        operator: operator.to_owned(),
        version,
        given: given.len().min(3),
    })
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        // A pre-release is only in a constraint that speaks of one.
        if !version.pre.is_empty() && self.version.pre.is_empty() {
            return self.operator == "!=" && self.given == 3;
        }
        let order = version.compare(&self.version);
        let inside = self.shares(version, self.given);
        match self.operator.as_str() {
            "=" if self.given == 3 => order == Ordering::Equal,
            "=" => inside,
            "!=" if self.given == 3 => order != Ordering::Equal,
            "!=" => !inside,
            ">" if self.given == 3 => order == Ordering::Greater,
            ">" => order == Ordering::Greater && !inside,
            "<" => order == Ordering::Less,
            ">=" => order != Ordering::Less,
            "<=" if self.given == 3 => order != Ordering::Greater,
            "<=" => order != Ordering::Greater || inside,
            "~" => order != Ordering::Less && self.shares(version, self.given.min(2)),
            "^" => order != Ordering::Less && self.shares(version, self.fixed()),
            _ => false,
        }
    }

    /// Whether the first numbers are the same.
    fn shares(&self, version: &Version, numbers: usize) -> bool {
        let own = [self.version.major, self.version.minor, self.version.patch];
        let other = [version.major, version.minor, version.patch];
        own.iter().zip(other).take(numbers).all(|(a, b)| *a == b)
    }

    /// How many numbers `^` holds: up to the first that is not 0.
    fn fixed(&self) -> usize {
        let own = [self.version.major, self.version.minor, self.version.patch];
        let first = own.iter().position(|number| *number != 0);
        first.map_or(self.given, |at| (at + 1).min(self.given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_in_masterminds_semver() {
        for (constraint, version, holds) in [
            (">= 1.27-0", "v1.35.4", true),
            (">= 1.27-0", "1.26.9", false),
            (">=1.21.0-0", "1.35.0-rc.1", true),
            (">=1.21.0", "1.35.0-rc.1", false),
            ("<1.30.0", "1.29.9", true),
            ("<1.30.0", "1.30.0", false),
            ("^1.2", "1.9.0", true),
            ("^1.2", "2.0.0", false),
            ("^0.2.3", "0.2.9", true),
            ("^0.2.3", "0.3.0", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("~1", "1.9.0", true),
            ("1.2.x", "1.2.7", true),
            ("1.2.x", "1.3.0", false),
            ("*", "9.9.9", true),
            ("1.2 - 1.4.5", "1.4.5", true),
            ("1.2 - 1.4.5", "1.4.6", false),
            (">1.2 <1.4 || =2.0.0", "2.0.0", true),
            (">1.2, <1.4", "1.2.5", false),
            ("!=1.2.3", "1.2.4", true),
            ("=1.2.3", "1.2.3", true),
        ] {
            let parsed = Version::parse(version).unwrap();
            assert_eq!(
                satisfies(constraint, &parsed),
                Ok(holds),
                "{constraint} {version}"
            );
        }
        for constraint in ["", ">=", ">=a", "1.2.3.4", "!!1.2.3"] {
            let version = Version::parse("1.2.3").unwrap();
            assert!(satisfies(constraint, &version).is_err(), "{constraint:?}");
        }
    }

    #[test]
    fn pre_releases_are_below_their_version() {
        let mut shown = ["1.0.0", "1.0.0-rc.10", "1.0.0-rc.2", "1.0.0-alpha", "1.0.0-rc"];
        shown.sort_by(|a, b| {
            let parsed = |text: &str| Version::parse(text).unwrap();
            parsed(a).compare(&parsed(b))
        });
        assert_eq!(
            shown,
            ["1.0.0-alpha", "1.0.0-rc", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0"]
        );
    }
}
