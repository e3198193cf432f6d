//! Every function by its own example, and against arguments that it was not made for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use template::{Value, functions, render};

fn nothing() -> Value {
    Value::Map(Arc::default())
}

#[test]
fn every_function_does_what_its_example_says() {
    for function in functions() {
        assert!(
            function.example.contains(function.name),
            "{}: the example does not use it",
            function.name
        );
        let rendered = render(function.name, function.example, &nothing());
        assert_eq!(
            rendered.unwrap(),
            function.gives,
            "{}: {}",
            function.name,
            function.example
        );
    }
}

#[test]
fn names_are_distinct() {
    let names: BTreeSet<_> = functions().map(|f| f.name).collect();
    assert_eq!(names.len(), functions().count());
}

#[test]
fn functions_whose_result_changes_are_refused_by_name() {
    for name in ["now", "env", "uuidv4", "randAlpha", "getHostByName", "set"] {
        let error = render("t", &format!("x\n{{{{ {name} \"a\" }}}}"), &nothing())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("template t, line 2:") && error.contains(name),
            "{error}"
        );
    }
}

#[test]
fn partitions_and_prefixes() {
    for (device, part) in [
        ("/dev/sda", "/dev/sda2"),
        ("/dev/nvme0n1", "/dev/nvme0n1p2"),
        ("/dev/mmcblk0", "/dev/mmcblk0p2"),
        ("/dev/disk/by-id/wwn-0x5000", "/dev/disk/by-id/wwn-0x5000-part2"),
    ] {
        let text = format!("{{{{ formatPartition {device:?} 2 }}}}");
        assert_eq!(render("t", &text, &nothing()).unwrap(), part);
    }
    for mask in ["255.0.255.0", "24", ""] {
        assert!(
            render(
                "t",
                &format!("{{{{ netmaskToPrefixLength {mask:?} }}}}"),
                &nothing()
            )
            .is_err(),
            "{mask}"
        );
    }
}

fn value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        ".{0,8}".prop_map(|text| Value::String(text.into())),
    ];
    plain.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| Value::List(items.into())),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|entries| {
                Value::Map(Arc::new(
                    entries.into_iter().map(|(k, v)| (k.as_str().into(), v)).collect(),
                ))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_function_panics_on_any_argument(args in prop::collection::vec(value(), 0..4)) {
        for function in functions() {
            let _ = (function.call)(&args);
        }
    }
}
