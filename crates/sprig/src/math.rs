//! Numbers. Whole numbers saturate instead of wrapping.

use gotmpl::Value;

use crate::args::{LARGEST, Outcome, arg, fail, float, float_of, int, int_of, list, text};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry("int", |a| Ok(Value::Int(int(a, 0)?)), r#"{{ int "12" }}"#, "12"),
    entry("int64", |a| Ok(Value::Int(int(a, 0)?)), r#"{{ int64 3.9 }}"#, "3"),
    entry("atoi", |a| Ok(Value::Int(int(a, 0)?)), r#"{{ atoi "7" }}"#, "7"),
    entry(
        "float64",
        |a| Ok(Value::Float(float(a, 0)?)),
        r#"{{ float64 "1.5" }}"#,
        "1.5",
    ),
    entry("toDecimal", to_decimal, r#"{{ toDecimal "0755" }}"#, "493"),
    entry(
        "add",
        |a| Ok(Value::Int(a.iter().fold(0, |n, v| n.saturating_add(int_of(v))))),
        "{{ add 1 2 3 }}",
        "6",
    ),
    entry(
        "add1",
        |a| Ok(Value::Int(int(a, 0)?.saturating_add(1))),
        "{{ add1 1 }}",
        "2",
    ),
    entry(
        "sub",
        |a| Ok(Value::Int(int(a, 0)?.saturating_sub(int(a, 1)?))),
        "{{ sub 5 2 }}",
        "3",
    ),
    entry("mul", mul, "{{ mul 2 3 4 }}", "24"),
    entry("div", div, "{{ div 7 2 }}", "3"),
    entry("mod", modulo, "{{ mod 7 2 }}", "1"),
    entry("max", |a| extreme(a, true), "{{ max 1 3 2 }}", "3"),
    entry("biggest", |a| extreme(a, true), "{{ biggest 1 3 2 }}", "3"),
    entry("min", |a| extreme(a, false), "{{ min 2 1 3 }}", "1"),
    entry(
        "maxf",
        |a| extreme_float(a, f64::max),
        "{{ maxf 1.5 2.5 }}",
        "2.5",
    ),
    entry(
        "minf",
        |a| extreme_float(a, f64::min),
        "{{ minf 1.5 2.5 }}",
        "1.5",
    ),
    entry(
        "addf",
        |a| Ok(Value::Float(a.iter().map(float_of).sum())),
        "{{ addf 1.5 2 }}",
        "3.5",
    ),
    entry(
        "add1f",
        |a| Ok(Value::Float(float(a, 0)? + 1.0)),
        "{{ add1f 1.5 }}",
        "2.5",
    ),
    entry(
        "subf",
        |a| Ok(Value::Float(float(a, 0)? - float(a, 1)?)),
        "{{ subf 3.5 1 }}",
        "2.5",
    ),
    entry(
        "mulf",
        |a| Ok(Value::Float(a.iter().map(float_of).product())),
        "{{ mulf 1.5 2 }}",
        "3",
    ),
    entry("divf", divf, "{{ divf 5 2 }}", "2.5"),
    entry(
        "floor",
        |a| Ok(Value::Float(float(a, 0)?.floor())),
        "{{ floor 1.7 }}",
        "1",
    ),
    entry(
        "ceil",
        |a| Ok(Value::Float(float(a, 0)?.ceil())),
        "{{ ceil 1.2 }}",
        "2",
    ),
    entry("round", round, "{{ round 123.5555 3 }}", "123.556"),
    entry(
        "until",
        |a| range(0, int(a, 0)?, 1),
        "{{ range until 3 }}{{ . }}{{ end }}",
        "012",
    ),
    entry(
        "untilStep",
        |a| range(int(a, 0)?, int(a, 1)?, int(a, 2)?),
        "{{ range untilStep 3 9 3 }}{{ . }}{{ end }}",
        "36",
    ),
    entry("seq", seq, "{{ seq 1 2 5 }}", "1 3 5"),
];

fn to_decimal(args: &[Value]) -> Outcome {
    let octal = crate::args::string(args, 0)?;
    Ok(Value::Int(i64::from_str_radix(&octal, 8).unwrap_or_default()))
}

fn mul(args: &[Value]) -> Outcome {
    arg(args, 0)?;
    Ok(Value::Int(args.iter().fold(1, |product: i64, value| {
        product.saturating_mul(int_of(value))
    })))
}

fn div(args: &[Value]) -> Outcome {
    match int(args, 0)?.checked_div(int(args, 1)?) {
        Some(quotient) => Ok(Value::Int(quotient)),
        None => fail("division by zero"),
    }
}

fn modulo(args: &[Value]) -> Outcome {
    match int(args, 0)?.checked_rem(int(args, 1)?) {
        Some(rest) => Ok(Value::Int(rest)),
        None => fail("division by zero"),
    }
}

fn divf(args: &[Value]) -> Outcome {
    let by = float(args, 1)?;
    if by == 0.0 {
        fail("division by zero")
    } else {
        Ok(Value::Float(float(args, 0)? / by))
    }
}

fn extreme(args: &[Value], largest: bool) -> Outcome {
    let all = args.iter().map(int_of);
    let found = if largest { all.max() } else { all.min() };
    found.map_or_else(|| fail("needs a number"), |number| Ok(Value::Int(number)))
}

fn extreme_float(args: &[Value], choose: fn(f64, f64) -> f64) -> Outcome {
    let found = args.iter().map(float_of).reduce(choose);
    found.map_or_else(|| fail("needs a number"), |number| Ok(Value::Float(number)))
}

fn round(args: &[Value]) -> Outcome {
    let digits = i32::try_from(int(args, 1)?.clamp(0, 15)).unwrap_or_default();
    let factor = 10_f64.powi(digits);
    Ok(Value::Float((float(args, 0)? * factor).round() / factor))
}

/// Numbers from `start` to before `stop`.
fn numbers(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, gotmpl::TemplateError> {
    if step == 0 {
        return Ok(Vec::new());
    }
    let span = i128::from(stop) - i128::from(start);
    let count = (span + i128::from(step) - i128::from(step.signum())) / i128::from(step);
    if count > i128::from(LARGEST) {
        return fail(format!("more than {LARGEST} numbers"));
    }
    let mut found = Vec::new();
    let mut next = start;
    while (step > 0 && next < stop) || (step < 0 && next > stop) {
        found.push(next);
        next = next.saturating_add(step);
    }
    Ok(found)
}

fn range(start: i64, stop: i64, step: i64) -> Outcome {
    let step = if step == 1 && stop < start { -1 } else { step };
    Ok(list(numbers(start, stop, step)?.into_iter().map(Value::Int)))
}

fn seq(args: &[Value]) -> Outcome {
    let (start, step, end) = match args {
        [end] => (1, 1, int_of(end)),
        [start, end] => (int_of(start), 1, int_of(end)),
        [start, step, end] => (int_of(start), int_of(step), int_of(end)),
        _ => return Ok(text("")),
    };
    let step = if args.len() < 3 && end < start { -1 } else { step };
    let found = numbers(start, end.saturating_add(step.signum()), step)?;
    Ok(text(
        found.iter().map(i64::to_string).collect::<Vec<_>>().join(" "),
    ))
}
