//! The names in code: paths, also in macros and attributes, and the imports of functions.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::items::{Import, imports, is_test, next_item};

/// What a piece of code names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By `use` items, in functions too.
    pub(super) imports: Vec<Import>,
    /// Names with `::` between them.
    pub(super) paths: BTreeSet<Vec<String>>,
}

impl Names {
    /// Adds the names in the tokens, but for those of tests.
    pub(super) fn add(&mut self, tokens: TokenStream) -> syn::Result<()> {
        let mut path = Path::default();
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            if is_test(&token) {
                next_item(&mut tokens);
                continue;
            }
            match token {
                // Not so in `impl Trait + use<'a>`.
                TokenTree::Ident(name)
                    if name == "use" && matches!(tokens.peek(), Some(TokenTree::Ident(_))) =>
                {
                    let mut item = TokenStream::from(TokenTree::Ident(name));
                    item.extend(rest_of_use(&mut tokens));
                    self.imports.extend(imports(item, false)?);
                }
                // A field or a method.
                TokenTree::Ident(_) if path.dot => path.dot = false,
                TokenTree::Ident(name) => {
                    if path.colons != 2 {
                        self.end(&mut path, false);
                    }
                    path.names.push(name.to_string());
                    path.colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => path.colons += 1,
                TokenTree::Punct(punct) => {
                    self.end(&mut path, punct.as_char() == '!');
                    path.dot = punct.as_char() == '.';
                }
                TokenTree::Group(group) => {
                    self.end(&mut path, group.delimiter() == Delimiter::Parenthesis);
                    self.add(group.stream())?;
                }
                TokenTree::Literal(_) => self.end(&mut path, false),
            }
        }
        self.end(&mut path, false);
        Ok(())
    }

    /// Takes the path that ends here. A single name in small letters is a variable unless it is called.
    fn end(&mut self, path: &mut Path, called: bool) {
        let names = std::mem::take(path).names;
        let is_type = names.iter().any(|name| name.starts_with(char::is_uppercase));
        if names.len() > 1 || is_type || (called && !names.is_empty()) {
            self.paths.insert(names);
        }
    }
}

/// Takes the tokens up to the semicolon.
fn rest_of_use(tokens: &mut impl Iterator<Item = TokenTree>) -> Vec<TokenTree> {
    let mut rest = Vec::new();
    for token in tokens {
        let ends = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ';');
        rest.push(token);
        if ends {
            break;
        }
    }
    rest
}

/// A path of which more may come.
#[derive(Debug, Default)]
struct Path {
    names: Vec<String>,
    /// Since the last name.
    colons: usize,
    /// Whether a dot was the last token.
    dot: bool,
}
