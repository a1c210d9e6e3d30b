//! A command with places for the values of a trial: `--lr {lr}`, `--depth={depth}`, or `{params}` for all of them as `--NAME=VALUE`.

use std::collections::BTreeMap;

use crate::term::hinted;

/// Stands for all parameters.
const ALL: &str = "{params}";

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Param(String),
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    All,
    Pieces(Vec<Piece>),
}

/// A command with places.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Argument>);

impl Template {
    /// Reads a command; each place must name one of these parameters. `{{` and `}}` are braces.
    pub(super) fn new(command: &[String], params: &[&str]) -> anyhow::Result<Self> {
        let read = |argument: &String| if argument == ALL { Ok(Argument::All) } else { pieces(argument, params) };
        Ok(Self(command.iter().map(read).collect::<anyhow::Result<_>>()?))
    }

    /// The command of a trial. An argument whose parameter is not there is left out, and with it the `--option` that stands before it.
    pub(super) fn fill(&self, values: &BTreeMap<String, String>) -> Vec<String> {
        let mut filled: Vec<String> = Vec::new();
        let mut before_is_option = false;
        for argument in &self.0 {
            let pieces = match argument {
                Argument::All => {
                    filled.extend(values.iter().map(|(name, value)| format!("--{name}={value}")));
                    before_is_option = false;
                    continue;
                }
                Argument::Pieces(pieces) => pieces,
            };
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Param(name) => values.get(name).cloned(),
            };
            match pieces.iter().map(text).collect::<Option<String>>() {
                Some(argument) => {
                    let is_plain = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
                    before_is_option = is_plain && argument.starts_with('-') && !argument.contains('=');
                    filled.push(argument);
                }
                None if before_is_option && pieces.len() == 1 => {
                    filled.pop();
                    before_is_option = false;
                }
                None => before_is_option = false,
            }
        }
        filled
    }
}

fn pieces(argument: &str, params: &[&str]) -> anyhow::Result<Argument> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = argument;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        text.push_str(before);
        let doubled = ["{{", "}}"].into_iter().find(|two| after.starts_with(two));
        if let Some(two) = doubled {
            text.push_str(&two[..1]);
            rest = &after[2..];
            continue;
        }
        let name = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).filter(|(name, _)| !name.is_empty());
        let Some((name, behind)) = name else {
            return Err(hinted(format!("`{argument}` has a brace without its other"), "write {{ or }} for a brace"));
        };
        if !params.contains(&name) {
            let known = params.join(", ");
            return Err(hinted(
                format!("`{{{name}}}` in `{argument}` is no parameter of the sweep"),
                format!("its parameters are {known}; write {{{{ for a brace"),
            ));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Param(name.to_owned()));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(Argument::Pieces(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(command: &[&str], values: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let command: Vec<String> = command.iter().map(|one| (*one).to_owned()).collect();
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Template::new(&command, &["lr", "rate", "a b"])?.fill(&values))
    }

    #[test]
    fn places_are_filled() {
        let check = |command: &[&str], expect: &[&str]| {
            assert_eq!(filled(command, &[("lr", "1e-05"), ("a b", "x y")]).unwrap(), expect, "{command:?}");
        };
        check(&["python", "t.py", "--lr", "{lr}"], &["python", "t.py", "--lr", "1e-05"]);
        check(&["--lr={lr}", "{a b}-{lr}"], &["--lr=1e-05", "x y-1e-05"]);
        check(&["t.py", "{params}"], &["t.py", "--a b=x y", "--lr=1e-05"]);
        check(&["{{lr}}", "{{{lr}}}", ""], &["{lr}", "{1e-05}", ""]);
        check(&["t", "--rate", "{rate}", "--lr", "{lr}"], &["t", "--lr", "1e-05"]);
        check(&["t", "--rate={rate}", "x"], &["t", "x"]);
        check(&["t", "x", "{rate}", "-v", "{lr}"], &["t", "x", "-v", "1e-05"]);
    }

    #[test]
    fn a_place_that_cannot_be_filled_is_refused() {
        let check = |argument: &str, expect: &str| {
            let error = filled(&[argument], &[]).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("{depth}", "is no parameter of the sweep");
        check("{lr", "a brace without its other");
        check("lr}", "a brace without its other");
        check("{}", "a brace without its other");
    }
}
