//! Characters to tokens.

use super::ParseError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A run of letters, digits, `_` and dots that is not a number: a key, a keyword.
    Word(String),
    /// Text in single or double quotes, without them.
    Quoted(String),
    /// Text in backticks, without them.
    Ticked(String),
    Int(i64),
    Float(f64),
    /// A run of `=`, `!`, `<`, `>`.
    Operator(String),
    Open,
    Close,
    Comma,
    /// A character with no place in the language.
    Other(char),
}

impl Token {
    /// How an error names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Operator(text) => format!("'{text}'"),
            Self::Quoted(text) => format!("the text '{text}'"),
            Self::Ticked(text) => format!("`{text}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Open => "'('".to_owned(),
            Self::Close => "')'".to_owned(),
            Self::Comma => "','".to_owned(),
            Self::Other(other) => format!("'{other}'"),
        }
    }
}

/// A token, where it begins (characters from 1) and whether it touches the one before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) position: usize,
    pub(super) glued: bool,
}

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, ParseError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let mut glued = false;
    while let Some(&first) = chars.get(at) {
        if first.is_whitespace() {
            at += 1;
            glued = false;
            continue;
        }
        let (token, end) = token_at(&chars, at, first)?;
        found.push(Spanned { token, position: at + 1, glued });
        at = end;
        glued = true;
    }
    Ok(found)
}

fn token_at(chars: &[char], at: usize, first: char) -> Result<(Token, usize), ParseError> {
    let single = |token| Ok((token, at + 1));
    match first {
        '(' => single(Token::Open),
        ')' => single(Token::Close),
        ',' => single(Token::Comma),
        '\'' | '"' => quoted(chars, at, first).map(|(text, end)| (Token::Quoted(text), end)),
        '`' => quoted(chars, at, first).map(|(text, end)| (Token::Ticked(text), end)),
        '=' | '!' | '<' | '>' => {
            let end = run_end(chars, at, |c| matches!(c, '=' | '!' | '<' | '>'));
            Ok((Token::Operator(slice(chars, at, end)), end))
        }
        _ => Ok(number(chars, at).unwrap_or_else(|| {
            let end = run_end(chars, at, is_word);
            if end == at { (Token::Other(first), at + 1) } else { (Token::Word(slice(chars, at, end)), end) }
        })),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

fn run_end(chars: &[char], at: usize, belongs: impl Fn(char) -> bool) -> usize {
    at + chars.get(at..).unwrap_or_default().iter().take_while(|&&c| belongs(c)).count()
}

fn slice(chars: &[char], from: usize, to: usize) -> String {
    chars.get(from..to).unwrap_or_default().iter().collect()
}

/// The inner text and the position behind the closing quote. A doubled or backslashed quote is part of the text and stays as it is.
fn quoted(chars: &[char], at: usize, quote: char) -> Result<(String, usize), ParseError> {
    let mut end = at + 1;
    while let Some(&c) = chars.get(end) {
        let doubled = quote != '`' && (c == quote || c == '\\') && chars.get(end + 1) == Some(&quote);
        // A backslash before the very last quote is an ordinary backslash: the text has to end somewhere.
        if doubled && chars.get(end + 2..).is_some_and(|rest| rest.contains(&quote)) {
            end += 2;
        } else if c == quote {
            return Ok((slice(chars, at + 1, end), end + 1));
        } else {
            end += 1;
        }
    }
    let found = slice(chars, at, chars.len());
    Err(ParseError { position: at + 1, expected: "a closing quote for the text that begins", found })
}

/// `-3`, `5.`, `.5`, `1E5`; not `+1`, and not the beginning of a word.
fn number(chars: &[char], at: usize) -> Option<(Token, usize)> {
    let digits = |from: usize| run_end(chars, from, |c| c.is_ascii_digit());
    let start = if chars.get(at) == Some(&'-') { at + 1 } else { at };
    let whole = digits(start);
    let mut end = whole;
    let mut some_digit = whole > start;
    if chars.get(end) == Some(&'.') {
        let fraction = digits(end + 1);
        some_digit |= fraction > end + 1;
        end = fraction;
    }
    if !some_digit {
        return None;
    }
    if matches!(chars.get(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(chars.get(end + 1), Some('-' | '+')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    if chars.get(end).is_some_and(|&c| is_word(c)) {
        return None;
    }
    let text = slice(chars, at, end);
    let token = match text.parse::<i64>() {
        Ok(value) => Token::Int(value),
        Err(_) => Token::Float(text.parse().ok()?),
    };
    Some((token, end))
}
