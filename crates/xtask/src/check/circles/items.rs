//! The items of a file or a module, told apart by their first words. What is in them stays tokens: to parse
//! expressions would take most of the time of the check, and names can be found without.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{ItemUse, UseTree};

/// An item that is not for tests only.
#[derive(Debug)]
pub(super) enum Item {
    /// A module, with what is in it if that is in this file.
    Module(String, Option<TokenStream>),
    /// A `use`.
    Imports(Vec<Import>),
    /// Anything else, with the name that it defines, if any.
    Code(Option<String>, TokenStream),
}

/// One name that a `use` brings into scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The name in this scope; none for `*`, which brings all that `path` holds.
    pub(super) name: Option<String>,
    /// What it stands for.
    pub(super) path: Vec<String>,
    /// Whether it is a re-export (`pub`, `pub(crate)`, ...).
    pub(super) public: bool,
}

/// Words that begin an item; its name comes next.
const NAMED: [&str; 9] = [
    "const", "enum", "fn", "mod", "static", "struct", "trait", "type", "union",
];

/// The items, without those for tests.
pub(super) fn items(tokens: TokenStream) -> syn::Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut tokens = tokens.into_iter();
    loop {
        let item = next_item(&mut tokens);
        if item.is_empty() {
            return Ok(items);
        }
        if !item.iter().any(is_test) {
            items.push(Item::of(item)?);
        }
    }
}

/// Whether this is what an attribute holds that keeps an item for tests.
pub(super) fn is_test(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            let mut inside = group.stream().into_iter();
            let name = inside.next().map(|token| token.to_string());
            let condition = inside.next().map(|token| token.to_string());
            name.as_deref() == Some("cfg") && condition.as_deref() == Some("(test)")
        }
        _ => false,
    }
}

/// Takes the tokens of an item: up to its `;`, or up to its braces if these end it.
pub(super) fn next_item(tokens: &mut impl Iterator<Item = TokenTree>) -> Vec<TokenTree> {
    let mut item = Vec::new();
    for token in tokens {
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !ends_with_semicolon(&item),
            _ => false,
        };
        item.push(token);
        if ends {
            break;
        }
    }
    item
}

fn ends_with_semicolon(item: &[TokenTree]) -> bool {
    matches!(keyword(item), Some((_, word)) if ["const", "static", "type", "use"].contains(&word.as_str()))
}

/// The word that says what an item is, and where it stands.
fn keyword(item: &[TokenTree]) -> Option<(usize, String)> {
    item.iter().enumerate().find_map(|(at, token)| {
        let TokenTree::Ident(word) = token else {
            return None;
        };
        let word = word.to_string();
        let next = item.get(at + 1);
        let named = NAMED.contains(&word.as_str()) && matches!(next, Some(TokenTree::Ident(_)));
        // `const fn` is a function.
        let of_function =
            |next: &TokenTree| ["fn", "unsafe", "async", "extern"].contains(&next.to_string().as_str());
        let qualifies = word == "const" && next.is_some_and(of_function);
        let other = ["impl", "use", "macro_rules"].contains(&word.as_str());
        ((named && !qualifies) || other).then_some((at, word))
    })
}

impl Item {
    fn of(tokens: Vec<TokenTree>) -> syn::Result<Item> {
        let Some((at, word)) = keyword(&tokens) else {
            return Ok(Item::Code(None, tokens.into_iter().collect()));
        };
        let name = |at: usize| tokens.get(at).map(ToString::to_string);
        Ok(match word.as_str() {
            "use" => {
                let public = tokens[..at].iter().any(|token| token.to_string() == "pub");
                Item::Imports(imports(tokens.into_iter().skip(at).collect(), public)?)
            }
            "mod" => {
                let body = match tokens.last() {
                    Some(TokenTree::Group(group)) => Some(group.stream()),
                    _ => None,
                };
                Item::Module(name(at + 1).unwrap_or_default(), body)
            }
            "impl" => Item::Code(None, tokens.into_iter().collect()),
            // `macro_rules ! name`
            "macro_rules" => Item::Code(name(at + 2), tokens.into_iter().collect()),
            _ => Item::Code(name(at + 1), tokens.into_iter().collect()),
        })
    }
}

/// What a `use` item brings, given from the word `use` on.
pub(super) fn imports(item: TokenStream, public: bool) -> syn::Result<Vec<Import>> {
    let item: ItemUse = syn::parse2(item)?;
    let mut imports = Vec::new();
    // `::x` is another crate.
    if item.leading_colon.is_none() {
        collect(&item.tree, Vec::new(), public, &mut imports);
    }
    Ok(imports)
}

fn collect(tree: &UseTree, mut path: Vec<String>, public: bool, into: &mut Vec<Import>) {
    let name = match tree {
        UseTree::Path(prefix) => {
            path.push(prefix.ident.to_string());
            return collect(&prefix.tree, path, public, into);
        }
        UseTree::Group(group) => {
            return (group.items.iter()).for_each(|tree| collect(tree, path.clone(), public, into));
        }
        UseTree::Glob(_) => None,
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            Some(&name.ident)
        }
        UseTree::Rename(rename) => {
            path.push(rename.ident.to_string());
            Some(&rename.rename)
        }
    };
    // `use x::{self}` brings `x`.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = name.map(|name| match path.last() {
        Some(last) if name == "self" => last.clone(),
        _ => name.to_string(),
    });
    into.push(Import { name, path, public });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_end_where_they_end_and_say_what_they_define() {
        let cases = [
            ("pub struct A;", "A"),
            ("struct A<T>(Vec<T>, [u8; 2]);", "A"),
            ("#[derive(Debug)]\n#[x(fn b)]\npub(crate) struct A { b: u8 }", "A"),
            ("enum A { B { c: u8 }, D }", "A"),
            ("pub const fn a() -> u8 { fn b() {} 1 }", "a"),
            ("pub const unsafe extern \"C\" fn a() {}", "a"),
            ("async fn a<T>(b: impl Fn(T)) where T: B {}", "a"),
            ("const A: B = B { c: { 1 } };", "A"),
            ("static A: fn(u8) -> u8 = |b| { b };", "A"),
            ("type A = [u8; { 1 }];", "A"),
            ("unsafe trait A: B { fn c(); }", "A"),
            ("macro_rules! a { () => { fn b() {} } }", "a"),
            ("impl A for B { const C: u8 = 1; }", ""),
            ("thread_local! { static A: u8 = 1; }", ""),
            ("a::b!(fn c);", ""),
        ];
        let text: String = cases.iter().map(|(text, _)| format!("{text}\n")).collect();
        let items = items(text.parse().unwrap()).unwrap();
        let defined = items.into_iter().map(|item| match item {
            Item::Code(name, _) => name.unwrap_or_default(),
            other => panic!("{other:?}"),
        });
        assert!(defined.eq(cases.iter().map(|(_, name)| *name)));
    }

    #[test]
    fn imports_have_names() {
        let text = "#![allow(x)] pub(super) use a::{self, b::*, c as d, e::{self as f, g}}; use ::h::i;";
        let items = items(text.parse().unwrap()).unwrap();
        let lines: Vec<String> = (items.iter())
            .flat_map(|item| match item {
                Item::Imports(imports) => imports.clone(),
                other => panic!("{other:?}"),
            })
            .map(|Import { name, path, public }| {
                format!("{} {} {public}", path.join("::"), name.unwrap_or_default())
            })
            .collect();
        let expected = [
            "a a true",
            "a::b  true",
            "a::c d true",
            "a::e f true",
            "a::e::g g true",
        ];
        assert_eq!(lines, expected);
    }
}
