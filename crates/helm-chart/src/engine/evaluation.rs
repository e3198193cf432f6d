//! Evaluating pipelines: commands, arguments, fields and calls of functions.

use gotmpl::parse::{CommandNode, Expr, Number, PipeNode, Pos, SmolStr};

use super::execution::{Execution, Frame};
use super::fault::Fault;
use crate::failure::Failure;
use crate::functions::{self, Callable};
use crate::object;
use crate::value::Value;

impl Execution {
    /// The value of a pipeline without its variables.
    pub(super) fn undeclared(&self, pipe: &PipeNode, dot: &Value, frame: &mut Frame) -> Result<Value, Fault> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, frame, value)?);
        }
        value.ok_or_else(|| frame.fault(pipe.pos.line, "an action has no command"))
    }

    /// One command. The value of the command before it is its last argument.
    fn command(
        &self,
        command: &CommandNode,
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let line = command.pos.line;
        let Some((first, rest)) = command.args.split_first() else {
            return Err(frame.fault(line, "an action has no command"));
        };
        if let Expr::Identifier(_, name) = first {
            return self.call(name, (line, rest), dot, frame, last);
        }
        let takes_arguments = matches!(first, Expr::Field(..) | Expr::Variable(..) | Expr::Chain(..));
        if !takes_arguments && (!rest.is_empty() || last.is_some()) {
            return Err(frame.fault(line, "arguments are given to what is no function"));
        }
        let args = self.arguments(rest, dot, frame, last)?;
        match first {
            Expr::Field(pos, names) => member(frame, *pos, dot, names, &args),
            Expr::Variable(pos, name, names) => {
                let value = variable(frame, *pos, name)?;
                member(frame, *pos, &value, names, &args)
            }
            Expr::Chain(pos, inner, names) => {
                let value = self.expression(inner, dot, frame)?;
                member(frame, *pos, &value, names, &args)
            }
            Expr::Nil(pos) => Err(frame.fault(pos.line, "nil is not a command")),
            other => self.expression(other, dot, frame),
        }
    }

    fn arguments(
        &self,
        rest: &[Expr],
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Result<Vec<Value>, Fault> {
        let mut args = Vec::with_capacity(rest.len() + 1);
        for argument in rest {
            args.push(self.expression(argument, dot, frame)?);
        }
        args.extend(last);
        Ok(args)
    }

    fn call(
        &self,
        name: &str,
        (line, rest): (usize, &[Expr]),
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Some(function) = functions::named(name) else {
            return Err(frame.fault(line, format!("there is no function {name:?}")));
        };
        if let Callable::ShortCircuit { stops_at } = function {
            return self.short_circuit(stops_at, (line, rest), dot, frame, last);
        }
        let args = self.arguments(rest, dot, frame, last)?;
        let found = match (function, args.as_slice()) {
            (Callable::Native(function), args) => function(args),
            (Callable::Plain(function), args) => functions::plain(function, args),
            (Callable::Include, [template, data]) => self.run(&template.printed(), data).map(Value::text),
            (Callable::Tpl, [text, data]) => self.run_text(&text.printed(), data).map(Value::text),
            _ => Err("takes a template and its data".into()),
        };
        found.map_err(|failure| match failure {
            // These two say what their author wants.
            Failure::Message(message) if !matches!(name, "fail" | "required") => {
                frame.fault(line, format!("{name}: {message}"))
            }
            failure => frame.failed(line, failure),
        })
    }

    /// `and` and `or` evaluate no argument after the one that decides.
    fn short_circuit(
        &self,
        stops_at: bool,
        (line, rest): (usize, &[Expr]),
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut value = None;
        for argument in rest {
            let found = self.expression(argument, dot, frame)?;
            if found.truthy() == stops_at {
                return Ok(found);
            }
            value = Some(found);
        }
        last.or(value)
            .ok_or_else(|| frame.fault(line, "and and or take at least one argument"))
    }

    fn expression(&self, expression: &Expr, dot: &Value, frame: &mut Frame) -> Result<Value, Fault> {
        match expression {
            Expr::Dot(_) => Ok(dot.clone()),
            Expr::Field(pos, names) => member(frame, *pos, dot, names, &[]),
            Expr::Variable(pos, name, names) => {
                let value = variable(frame, *pos, name)?;
                member(frame, *pos, &value, names, &[])
            }
            Expr::Identifier(pos, name) => self.call(name, (pos.line, &[]), dot, frame, None),
            Expr::String(_, text) => Ok(Value::text(text)),
            Expr::Number(_, Number::Int(number)) => Ok(Value::Int(*number)),
            Expr::Number(_, Number::Float(number)) => Ok(Value::Float(*number)),
            Expr::Number(pos, Number::Uint(number)) => {
                Err(frame.fault(pos.line, format!("{number} is larger than a whole number can be")))
            }
            Expr::Bool(_, flag) => Ok(Value::Bool(*flag)),
            Expr::Nil(_) => Ok(Value::Nil),
            Expr::Pipe(_, pipe) => self.pipeline(pipe, dot, frame),
            Expr::Chain(pos, inner, names) => {
                let value = self.expression(inner, dot, frame)?;
                member(frame, *pos, &value, names, &[])
            }
        }
    }
}

fn variable(frame: &Frame, pos: Pos, name: &str) -> Result<Value, Fault> {
    let mut known = frame.variables.iter().rev();
    let found = known.find(|(known, _)| known == name);
    let found = found.map(|(_, value)| value.clone());
    found.ok_or_else(|| frame.fault(pos.line, format!("there is no variable {name}")))
}

/// A chain of fields, the last of which gets the arguments.
fn member(frame: &Frame, pos: Pos, of: &Value, names: &[SmolStr], args: &[Value]) -> Result<Value, Fault> {
    let Some((last, before)) = names.split_last() else {
        return if args.is_empty() {
            Ok(of.clone())
        } else {
            Err(frame.fault(pos.line, "arguments are given to what is no function"))
        };
    };
    let mut value = of.clone();
    for name in before {
        value = field(frame, pos, &value, name, &[])?;
    }
    field(frame, pos, &value, last, args)
}

fn field(frame: &Frame, pos: Pos, of: &Value, name: &str, args: &[Value]) -> Result<Value, Fault> {
    match of {
        Value::Object(object) => {
            let found = object::member(object, name, args);
            let found = found.ok_or_else(|| {
                let count = args.len();
                frame.fault(
                    pos.line,
                    format!("{} has no .{name} with {count} arguments", object.type_name()),
                )
            })?;
            found.map_err(|message| frame.fault(pos.line, message))
        }
        _ if !args.is_empty() => {
            Err(frame.fault(pos.line, format!(".{name} is no function and takes no arguments")))
        }
        Value::Map(entries) => match entries.borrow().get(name) {
            Some(value) => Ok(value.clone()),
            // Helm's `.Values` has it as a method.
            None if name == "AsMap" => Ok(of.clone()),
            None => Ok(Value::Nil),
        },
        Value::Nil => Err(frame.fault(pos.line, format!(".{name} is asked of a value that is not there"))),
        other => Err(frame.fault(
            pos.line,
            format!(".{name} is asked of a value of type {}", other.type_name()),
        )),
    }
}
