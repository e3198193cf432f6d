//! A set of templates: those of files, under their paths, and those that the files define.

use std::collections::BTreeMap;
use std::rc::Rc;

use gotmpl::TemplateError;
use gotmpl::parse::{CommandNode, Expr, ListNode, Node, Parser, PipeNode};

use super::blocks::unended;
use super::fault::Fault;
use crate::functions;

/// A parsed template.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The file that it is in.
    pub(super) file: Rc<str>,
    pub(super) body: ListNode,
}

/// Templates by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Templates(BTreeMap<String, Rc<Parsed>>);

impl Templates {
    pub(super) fn get(&self, name: &str) -> Option<Rc<Parsed>> {
        self.0.get(name).cloned()
    }

    /// Adds a file and what it defines. A later definition of a name takes the place of an earlier one.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), Fault> {
        let fault = |line: usize, message: String| Fault {
            template: file.to_owned(),
            line,
            message,
            through: Vec::new(),
        };
        let parsed = Parser::with_name(Some(file), text, "{{", "}}").and_then(Parser::parse);
        let (body, defines) = parsed.map_err(|error| match error {
            TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
                fault(line, message)
            }
            other => fault(1, other.to_string()),
        })?;
        if let Some((word, line)) = unended(text) {
            return Err(fault(line, format!("{word} has no end")));
        }
        let name: Rc<str> = file.into();
        let named = defines
            .into_iter()
            .map(|define| (define.name.to_string(), define.body));
        for (template, body) in named.chain([(file.to_owned(), body)]) {
            if let Some((line, function)) = unknown_in(&body) {
                return Err(fault(line, format!("there is no function {function:?}")));
            }
            if body.is_empty_tree() && self.0.contains_key(&template) {
                continue;
            }
            let file = Rc::clone(&name);
            self.0.insert(template, Rc::new(Parsed { file, body }));
        }
        Ok(())
    }
}

/// The first function that is called and not known.
fn unknown_in(list: &ListNode) -> Option<(usize, String)> {
    list.nodes.iter().find_map(|node| match node {
        Node::List(list) => unknown_in(list),
        Node::Action(action) => in_pipe(&action.pipe),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => in_pipe(&branch.pipe)
            .or_else(|| unknown_in(&branch.body))
            .or_else(|| branch.else_body.as_ref().and_then(unknown_in)),
        Node::Template(call) => call.pipe.as_ref().and_then(in_pipe),
        Node::Define(define) => unknown_in(&define.body),
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => None,
    })
}

fn in_pipe(pipe: &PipeNode) -> Option<(usize, String)> {
    pipe.commands.iter().find_map(in_command)
}

fn in_command(command: &CommandNode) -> Option<(usize, String)> {
    command.args.iter().find_map(in_expression)
}

fn in_expression(expression: &Expr) -> Option<(usize, String)> {
    match expression {
        Expr::Identifier(pos, name) => functions::named(name)
            .is_none()
            .then(|| (pos.line, name.to_string())),
        Expr::Pipe(_, pipe) => in_pipe(pipe),
        Expr::Chain(_, inner, _) => in_expression(inner),
        _ => None,
    }
}
