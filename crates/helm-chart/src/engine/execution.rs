//! Walking a template: text, branches, loops and calls of other templates.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use gotmpl::parse::{BranchNode, ListNode, Node, PipeNode, TemplateNode};

use super::fault::Fault;
use super::templates::{Parsed, Templates};
use crate::failure::Failure;
use crate::object;
use crate::value::Value;

/// What Go prints of an action that has no value.
const NO_VALUE: &str = "<no value>";
/// How deep templates call each other.
const DEPTH: usize = 100;
/// Bytes of everything that is rendered.
const OUTPUT: usize = 64 * 1024 * 1024;
/// Passes of all loops together.
const PASSES: usize = 1_000_000;

/// What is used up, over all templates of one rendering.
#[derive(Debug, Default)]
struct Used {
    depth: Cell<usize>,
    output: Cell<usize>,
    passes: Cell<usize>,
}

/// Rendering with a set of templates.
#[derive(Debug)]
pub(crate) struct Execution {
    templates: Templates,
    used: Rc<Used>,
}

/// Where execution goes on after a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// One template that is being executed: its file, its variables and what it has rendered.
pub(super) struct Frame {
    pub(super) file: Rc<str>,
    pub(super) variables: Vec<(String, Value)>,
    pub(super) output: String,
}

impl Frame {
    pub(super) fn fault(&self, line: usize, message: impl Into<String>) -> Fault {
        Fault {
            template: self.file.to_string(),
            line,
            message: message.into(),
            through: Vec::new(),
        }
    }

    pub(super) fn failed(&self, line: usize, failure: Failure) -> Fault {
        match failure {
            Failure::Message(message) => self.fault(line, message),
            Failure::Inner(mut fault) => {
                fault.through.push(format!("{} line {line}", self.file));
                fault
            }
        }
    }

    fn declare(&mut self, name: &str, value: Value) {
        self.variables.push((name.to_owned(), value));
    }

    fn assign(&mut self, line: usize, name: &str, value: Value) -> Result<(), Fault> {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, place)) => *place = value,
            None => return Err(self.fault(line, format!("there is no variable {name}"))),
        }
        Ok(())
    }
}

impl Execution {
    pub(crate) fn new(templates: Templates) -> Self {
        Self {
            templates,
            used: Rc::default(),
        }
    }

    /// Executes a template by name.
    pub(crate) fn run(&self, name: &str, data: &Value) -> Result<String, Failure> {
        let template = self.templates.get(name);
        let template = template.ok_or_else(|| format!("there is no template {name:?}"))?;
        self.run_parsed(&template, data).map_err(Failure::Inner)
    }

    /// Executes a text as a template of its own. What it defines is known inside of it alone.
    pub(crate) fn run_text(&self, text: &str, data: &Value) -> Result<String, Failure> {
        const NAME: &str = "text of tpl";
        let mut templates = self.templates.clone();
        templates.add(NAME, text).map_err(Failure::Inner)?;
        let inner = Self {
            templates,
            used: Rc::clone(&self.used),
        };
        inner.run_file(NAME, data)
    }

    /// Executes a template whose text is a result. As in Helm, what an action without a value prints is taken out of it; the
    /// text that `include` gives still has it.
    pub(crate) fn run_file(&self, name: &str, data: &Value) -> Result<String, Failure> {
        Ok(self.run(name, data)?.replace(NO_VALUE, ""))
    }

    fn run_parsed(&self, template: &Parsed, data: &Value) -> Result<String, Fault> {
        let mut frame = Frame {
            file: Rc::clone(&template.file),
            variables: vec![("$".to_owned(), data.clone())],
            output: String::new(),
        };
        let depth = self.used.depth.get();
        if depth >= DEPTH {
            return Err(frame.fault(
                template.body.pos.line,
                format!("templates call each other more than {DEPTH} deep"),
            ));
        }
        self.used.depth.set(depth + 1);
        let done = self.list(&template.body, data, &mut frame);
        self.used.depth.set(depth);
        done.map(|_| frame.output)
    }

    fn list(&self, list: &ListNode, dot: &Value, frame: &mut Frame) -> Result<Flow, Fault> {
        for node in &list.nodes {
            let flow = self.node(node, dot, frame)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&self, node: &Node, dot: &Value, frame: &mut Frame) -> Result<Flow, Fault> {
        match node {
            Node::List(list) => return self.list(list, dot, frame),
            Node::Text(text) => self.write(text.pos.line, &text.text, frame)?,
            Node::Action(action) => {
                let value = self.pipeline(&action.pipe, dot, frame)?;
                if action.pipe.decl.is_empty() {
                    let text = match value {
                        Value::Nil => NO_VALUE.to_owned(),
                        value => value.go_text(),
                    };
                    self.write(action.pos.line, &text, frame)?;
                }
            }
            Node::If(branch) => return self.branch(branch, dot, frame, false),
            Node::With(branch) => return self.branch(branch, dot, frame, true),
            Node::Range(branch) => return self.range(branch, dot, frame),
            Node::Template(call) => self.template(call, dot, frame)?,
            Node::Define(_) => {}
            Node::Break(_) => return Ok(Flow::Break),
            Node::Continue(_) => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn write(&self, line: usize, text: &str, frame: &mut Frame) -> Result<(), Fault> {
        let total = self.used.output.get().saturating_add(text.len());
        self.used.output.set(total);
        if total > OUTPUT {
            return Err(frame.fault(line, format!("the chart renders to more than {OUTPUT} bytes")));
        }
        frame.output.push_str(text);
        Ok(())
    }

    fn branch(&self, branch: &BranchNode, dot: &Value, frame: &mut Frame, with: bool) -> Result<Flow, Fault> {
        let mark = frame.variables.len();
        let value = self.pipeline(&branch.pipe, dot, frame)?;
        let flow = if value.truthy() {
            self.list(&branch.body, if with { &value } else { dot }, frame)
        } else if let Some(list) = &branch.else_body {
            self.list(list, dot, frame)
        } else {
            Ok(Flow::Next)
        };
        frame.variables.truncate(mark);
        flow
    }

    fn template(&self, call: &TemplateNode, dot: &Value, frame: &mut Frame) -> Result<(), Fault> {
        let line = call.pos.line;
        let data = match &call.pipe {
            Some(pipe) => self.pipeline(pipe, dot, frame)?,
            None => Value::Nil,
        };
        let rendered = self.run(&call.name, &data);
        let rendered = rendered.map_err(|failure| frame.failed(line, failure))?;
        frame.output.push_str(&rendered);
        Ok(())
    }

    fn range(&self, branch: &BranchNode, dot: &Value, frame: &mut Frame) -> Result<Flow, Fault> {
        let line = branch.pos.line;
        let mark = frame.variables.len();
        let value = self.undeclared(&branch.pipe, dot, frame)?;
        let entries = entries(&value);
        let entries = entries.map_err(|what| frame.fault(line, format!("range cannot go over {what}")))?;
        if entries.is_empty() {
            let flow = match &branch.else_body {
                Some(list) => self.list(list, dot, frame),
                None => Ok(Flow::Next),
            };
            frame.variables.truncate(mark);
            return flow;
        }
        let inner = frame.variables.len();
        for (key, item) in entries {
            let passes = self.used.passes.get() + 1;
            self.used.passes.set(passes);
            if passes > PASSES {
                return Err(frame.fault(
                    line,
                    format!("the loops of the chart have more than {PASSES} passes"),
                ));
            }
            bind(&branch.pipe, (key, &item), frame)?;
            let flow = self.list(&branch.body, &item, frame)?;
            frame.variables.truncate(inner);
            if flow == Flow::Break {
                break;
            }
        }
        frame.variables.truncate(mark);
        Ok(Flow::Next)
    }

    /// The value of a pipeline, which is also given to the variable that it declares or sets.
    pub(super) fn pipeline(&self, pipe: &PipeNode, dot: &Value, frame: &mut Frame) -> Result<Value, Fault> {
        let value = self.undeclared(pipe, dot, frame)?;
        for name in &pipe.decl {
            if pipe.is_assign {
                frame.assign(pipe.pos.line, name, value.clone())?;
            } else {
                frame.declare(name, value.clone());
            }
        }
        Ok(value)
    }
}

/// Gives a loop's variables their values: one is the item, two are key and item.
fn bind(pipe: &PipeNode, (key, item): (Value, &Value), frame: &mut Frame) -> Result<(), Fault> {
    let values = match pipe.decl.len() {
        0 => Vec::new(),
        1 => vec![item.clone()],
        _ => vec![key, item.clone()],
    };
    for (name, value) in pipe.decl.iter().zip(values) {
        if pipe.is_assign {
            frame.assign(pipe.pos.line, name, value)?;
        } else {
            frame.declare(name, value);
        }
    }
    Ok(())
}

/// What a loop goes over: keys and items.
fn entries(value: &Value) -> Result<Vec<(Value, Value)>, String> {
    let numbered = |items: Vec<Value>| {
        let items = items.into_iter().enumerate();
        let at = |at: usize| Value::Int(i64::try_from(at).unwrap_or(i64::MAX));
        items.map(|(index, item)| (at(index), item)).collect()
    };
    Ok(match value {
        Value::Nil => Vec::new(),
        Value::List(items) => numbered(items.to_vec()),
        Value::Map(entries) => of_map(entries),
        Value::Int(count) => {
            let count = (*count).clamp(0, i64::try_from(PASSES).unwrap_or(i64::MAX));
            numbered((0..count).map(Value::Int).collect())
        }
        Value::Object(object) => {
            object::entries(object).ok_or_else(|| format!("a value of type {}", object.type_name()))?
        }
        other => return Err(format!("a value of type {}", other.type_name())),
    })
}

fn of_map(entries: &RefCell<BTreeMap<String, Value>>) -> Vec<(Value, Value)> {
    let entries = entries.borrow();
    let entries = entries.iter();
    entries
        .map(|(key, value)| (Value::text(key), value.clone()))
        .collect()
}
