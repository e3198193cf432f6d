//! Encodings and digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gotmpl::Value;
use sha2::{Digest as _, Sha256, Sha512};

use crate::args::{Outcome, arg, fail, string, text};
use crate::function::{Function, entry};
use crate::json::{from_json, to_json};

pub(crate) const TABLE: &[Function] = &[
    entry(
        "b64enc",
        |a| Ok(text(STANDARD.encode(string(a, 0)?))),
        r#"{{ b64enc "gantry" }}"#,
        "Z2FudHJ5",
    ),
    entry("b64dec", b64dec, r#"{{ b64dec "Z2FudHJ5" }}"#, "gantry"),
    entry(
        "toJson",
        to_json_text,
        r#"{{ toJson (dict "a" (list 1 "b")) }}"#,
        r#"{"a":[1,"b"]}"#,
    ),
    entry("mustToJson", to_json_text, r#"{{ mustToJson (list 1) }}"#, "[1]"),
    entry("toRawJson", to_json_text, r#"{{ toRawJson "<a>" }}"#, r#""<a>""#),
    entry(
        "mustToRawJson",
        to_json_text,
        r#"{{ mustToRawJson "<a>" }}"#,
        r#""<a>""#,
    ),
    entry(
        "toPrettyJson",
        to_pretty_json,
        r#"{{ toPrettyJson (list 1) }}"#,
        "[\n  1\n]",
    ),
    entry("fromJson", parse_json, r#"{{ (fromJson "{\"a\": 1}").a }}"#, "1"),
    entry(
        "mustFromJson",
        parse_json,
        r#"{{ (mustFromJson "{\"a\": 1}").a }}"#,
        "1",
    ),
    entry(
        "toYaml",
        to_yaml,
        r#"{{ toYaml (dict "a" 1 "b" "x") }}"#,
        "a: 1\nb: x",
    ),
    entry("fromYaml", from_yaml, "{{ (fromYaml \"a: 1\").a }}", "1"),
    entry(
        "sha256sum",
        |a| Ok(text(hex::encode(Sha256::digest(string(a, 0)?)))),
        r#"{{ sha256sum "" | trunc 8 }}"#,
        "e3b0c442",
    ),
    entry(
        "sha512sum",
        |a| Ok(text(hex::encode(Sha512::digest(string(a, 0)?)))),
        r#"{{ sha512sum "" | trunc 8 }}"#,
        "cf83e135",
    ),
    entry(
        "adler32sum",
        adler32sum,
        r#"{{ adler32sum "Wikipedia" }}"#,
        "300286872",
    ),
];

fn b64dec(args: &[Value]) -> Outcome {
    let decoded = STANDARD
        .decode(string(args, 0)?)
        .ok()
        .and_then(|octets| String::from_utf8(octets).ok());
    decoded.map_or_else(|| fail("not base64 of text"), |plain| Ok(text(plain)))
}

fn to_json_text(args: &[Value]) -> Outcome {
    Ok(text(to_json(arg(args, 0)?).to_string()))
}

fn to_pretty_json(args: &[Value]) -> Outcome {
    serde_json::to_string_pretty(&to_json(arg(args, 0)?))
        .map_or_else(|error| fail(error.to_string()), |j| Ok(text(j)))
}

fn parse_json(args: &[Value]) -> Outcome {
    match serde_json::from_str(&string(args, 0)?) {
        Ok(json) => Ok(from_json(&json)),
        Err(error) => fail(format!("not JSON: {error}")),
    }
}

fn to_yaml(args: &[Value]) -> Outcome {
    match serde_saphyr::to_string(&to_json(arg(args, 0)?)) {
        Ok(yaml) => Ok(text(yaml.trim_end_matches('\n'))),
        Err(error) => fail(format!("cannot be YAML: {error}")),
    }
}

fn from_yaml(args: &[Value]) -> Outcome {
    let source = string(args, 0)?;
    if source.trim().is_empty() {
        return fail("fromYaml of nothing");
    }
    match serde_saphyr::from_str(&source) {
        Ok(json) => Ok(from_json(&json)),
        Err(error) => fail(format!(
            "not YAML: {}",
            error.to_string().lines().next().unwrap_or_default()
        )),
    }
}

/// RFC 1950, section 8.2.
fn adler32sum(args: &[Value]) -> Outcome {
    let (mut a, mut b) = (1_u32, 0_u32);
    for octet in string(args, 0)?.bytes() {
        a = (a + u32::from(octet)) % 65521;
        b = (b + a) % 65521;
    }
    Ok(text(((b << 16) | a).to_string()))
}
