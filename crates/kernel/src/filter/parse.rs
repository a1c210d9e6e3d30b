//! Tokens to clauses.

use super::lex::{Spanned, Token, tokens};
use super::{Clause, Literal, Op, Order, ParseError};

const KEY: &str = "a key such as metrics.mae or tags.`my tag` (quote keys that are not plain words)";
const OPERATOR: &str = "a comparison (=, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL)";
const VALUE: &str = "a number or a text in quotes";
const TEXT: &str = "a text in quotes";
const LIST: &str = "a list of texts such as ('a', 'b')";

/// Reads a filter; an empty text has no clauses.
pub fn parse(text: &str) -> Result<Vec<Clause>, ParseError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut parser = Parser::new(text)?;
    if parser.peek().is_none() {
        return Err(parser.expected(KEY));
    }
    // MLflow passes over every AND, wherever it stands between clauses, and so do clients that write one too many or too few.
    let mut clauses = Vec::new();
    loop {
        let mut joined = clauses.is_empty();
        while parser.take_keyword("AND") {
            joined = true;
        }
        if parser.peek().is_none() {
            return Ok(clauses);
        }
        let missing = parser.expected("AND or the end");
        clauses.push(parser.clause().map_err(|error| if joined { error } else { missing })?);
    }
}

/// Reads one item of an ordering.
pub fn parse_order(text: &str) -> Result<Order, ParseError> {
    let mut parser = Parser::new(text)?;
    if text.trim_start().starts_with('\'') {
        return Err(parser.expected(KEY));
    }
    let (entity, key) = parser.key()?;
    let descending = parser.take_keyword("DESC");
    let _ascending = !descending && parser.take_keyword("ASC");
    match parser.peek() {
        None => Ok(Order { entity, key, ascending: !descending }),
        Some(_) => Err(parser.expected("ASC, DESC or the end")),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    next: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, ParseError> {
        Ok(Self { tokens: tokens(text)?, next: 0, end: text.chars().count() + 1 })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|spanned| &spanned.token)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |spanned| spanned.position)
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let found = self.peek().map_or_else(|| "the end".to_owned(), Token::shown);
        ParseError { position: self.position(), expected, found }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let there = self.peek() == Some(wanted);
        self.next += usize::from(there);
        there
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(there);
        there
    }

    fn clause(&mut self) -> Result<Clause, ParseError> {
        let position = self.position();
        let (entity, key) = self.key()?;
        let op = self.operator()?;
        let value = match op {
            Op::IsNull | Op::IsNotNull => Literal::None,
            Op::In | Op::NotIn => Literal::List(self.list()?),
            _ => self.value()?,
        };
        Ok(Clause { entity, key, op, value, position })
    }

    /// `word`, `word.more.words`, `word."quoted"`, or a quoted key alone. The entity ends at the first dot.
    fn key(&mut self) -> Result<(Option<String>, String), ParseError> {
        let start = self.position();
        let (first, plain) = match self.peek() {
            Some(Token::Word(word)) => (word.clone(), true),
            Some(Token::Ticked(word) | Token::Quoted(word)) => (word.clone(), false),
            _ => return Err(self.expected(KEY)),
        };
        self.next += 1;
        if plain && let Some((entity, key)) = first.split_once('.') {
            let key = if key.is_empty() { self.quoted_key()? } else { key.to_owned() };
            return Ok((Some(entity.to_owned()), key));
        }
        if !plain
            && let Some(Spanned { token: Token::Word(rest), glued: true, .. }) = self.tokens.get(self.next)
            && let Some(key) = rest.strip_prefix('.')
        {
            let key = key.to_owned();
            self.next += 1;
            let key = if key.is_empty() { self.quoted_key()? } else { key };
            return Ok((Some(first), key));
        }
        if first.is_empty() {
            return Err(ParseError { position: start, expected: KEY, found: "an empty key".to_owned() });
        }
        Ok((None, first))
    }

    /// The quoted key that touches the dot before it.
    fn quoted_key(&mut self) -> Result<String, ParseError> {
        match self.tokens.get(self.next) {
            Some(Spanned { token: Token::Ticked(key) | Token::Quoted(key), glued: true, .. }) => {
                let key = key.clone();
                self.next += 1;
                Ok(key)
            }
            _ => Err(self.expected(KEY)),
        }
    }

    fn operator(&mut self) -> Result<Op, ParseError> {
        let symbol = match self.peek() {
            Some(Token::Operator(symbol)) => match symbol.as_str() {
                "=" => Some(Op::Eq),
                "!=" => Some(Op::Ne),
                "<" => Some(Op::Lt),
                "<=" => Some(Op::Le),
                ">" => Some(Op::Gt),
                ">=" => Some(Op::Ge),
                _ => None,
            },
            _ => None,
        };
        if let Some(op) = symbol {
            self.next += 1;
            return Ok(op);
        }
        for (keyword, op) in [("LIKE", Op::Like), ("ILIKE", Op::ILike), ("RLIKE", Op::RLike), ("IN", Op::In)] {
            if self.take_keyword(keyword) {
                return Ok(op);
            }
        }
        if self.take_keyword("NOT") {
            return if self.take_keyword("IN") { Ok(Op::NotIn) } else { Err(self.expected("IN")) };
        }
        if self.take_keyword("IS") {
            let op = if self.take_keyword("NOT") { Op::IsNotNull } else { Op::IsNull };
            return if self.take_keyword("NULL") { Ok(op) } else { Err(self.expected("NULL or NOT NULL")) };
        }
        Err(self.expected(OPERATOR))
    }

    fn value(&mut self) -> Result<Literal, ParseError> {
        let literal = match self.peek() {
            Some(Token::Int(value)) => Literal::Int(*value),
            Some(Token::Float(value)) => Literal::Float(*value),
            Some(Token::Quoted(text)) => Literal::Text(text.clone()),
            _ => return Err(self.expected(VALUE)),
        };
        self.next += 1;
        Ok(literal)
    }

    /// `('a', 'b')`; a comma may follow the last item, as in Python.
    fn list(&mut self) -> Result<Vec<String>, ParseError> {
        if !self.take(&Token::Open) {
            return Err(self.expected(LIST));
        }
        let mut items = Vec::new();
        loop {
            match self.peek() {
                Some(Token::Quoted(text)) => items.push(text.clone()),
                Some(Token::Close) if !items.is_empty() => {
                    self.next += 1;
                    return Ok(items);
                }
                _ => return Err(self.expected(TEXT)),
            }
            self.next += 1;
            if self.take(&Token::Close) {
                return Ok(items);
            }
            if !self.take(&Token::Comma) {
                return Err(self.expected("',' or ')'"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Option<String>, String, Op, Literal) {
        let mut clauses = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(clauses.len(), 1, "{text}");
        let clause = clauses.remove(0);
        (clause.entity, clause.key, clause.op, clause.value)
    }

    #[test]
    fn clauses_are_read() {
        let check = |text: &str, entity: Option<&str>, key: &str, op: Op, value: Literal| {
            assert_eq!(one(text), (entity.map(str::to_owned), key.to_owned(), op, value), "{text}");
        };
        let text = |value: &str| Literal::Text(value.to_owned());
        check("metrics.mae < 0.2", Some("metrics"), "mae", Op::Lt, Literal::Float(0.2));
        check("metrics.mae>=-3", Some("metrics"), "mae", Op::Ge, Literal::Int(-3));
        check("metric.m = 1E5", Some("metric"), "m", Op::Eq, Literal::Float(1e5));
        check("metric.m = .5", Some("metric"), "m", Op::Eq, Literal::Float(0.5));
        check("metric.m = 5.", Some("metric"), "m", Op::Eq, Literal::Float(5.0));
        check("params.a.b.c = 'x'", Some("params"), "a.b.c", Op::Eq, text("x"));
        check("params.\"my key\" != \"it's\"", Some("params"), "my key", Op::Ne, text("it's"));
        check("tags.`mlflow.user` LIKE '%a_'", Some("tags"), "mlflow.user", Op::Like, text("%a_"));
        check("`tags`.x ilike 'A'", Some("tags"), "x", Op::ILike, text("A"));
        check("`run name` = 'x'", None, "run name", Op::Eq, text("x"));
        check("name = 'a''b'", None, "name", Op::Eq, text("a''b"));
        check("params.order = ''", Some("params"), "order", Op::Eq, text(""));
        check("tags.x IS NULL", Some("tags"), "x", Op::IsNull, Literal::None);
        check("tags.x is not null", Some("tags"), "x", Op::IsNotNull, Literal::None);
        let list = |items: &[&str]| Literal::List(items.iter().map(|item| (*item).to_owned()).collect());
        check("attribute.run_id IN ('a', \"b\",)", Some("attribute"), "run_id", Op::In, list(&["a", "b"]));
        check("run_id not in ('a')", None, "run_id", Op::NotIn, list(&["a"]));
        check("params.p = 'C:\\'", Some("params"), "p", Op::Eq, text("C:\\"));
    }

    #[test]
    fn clauses_are_joined_by_and_of_any_case() {
        let clauses = parse("a = 1 and b.c = 'x AND y' AND d.`e` > 2").unwrap();
        let keys: Vec<&str> = clauses.iter().map(|clause| clause.key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "e"]);
        assert_eq!(clauses[1].position, 11);
        assert_eq!(parse("").unwrap(), []);
        for text in ["a = 1 b = 2", "AND a = 1 AND AND b = 2 AND"] {
            assert_eq!(parse(text).unwrap().len(), 2, "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        let check = |text: &str, position: usize, expected: &str| {
            let error = parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text}: {error}");
            assert!(error.to_string().contains(expected), "{text}: {error}");
        };
        check(" ", 2, "a key");
        check("metrics.a", 10, "a comparison");
        check("metrics.a = ", 13, "a number or a text");
        check("params.a = x", 12, "found 'x'");
        check("a = 1 OR b = 2", 7, "AND or the end");
        check("(a = 1)", 1, "a key");
        check("a = 1;", 6, "AND or the end");
        check("a = +1", 5, "found '+'");
        check("a == 1", 3, "found '=='");
        check("a <> 1", 3, "found '<>'");
        check("params.a = 'x", 12, "a closing quote");
        check("metrics.a-b > 1", 10, "a comparison");
        check("a IN ()", 7, "a text in quotes");
        check("a IN (1)", 7, "the number 1");
        check("a IN 'x'", 6, "a list");
        check("a NOT 'x'", 7, "IN");
        check("tags. x = 1", 7, "a key");
        check("a = 1 AND >", 11, "a key");
        check("a = 1 -- more", 7, "AND or the end");
    }

    #[test]
    fn orders_are_read() {
        let check = |text: &str, entity: Option<&str>, key: &str, ascending: bool| {
            let order = Order { entity: entity.map(str::to_owned), key: key.to_owned(), ascending };
            assert_eq!(parse_order(text), Ok(order), "{text}");
        };
        check("metrics.mae", Some("metrics"), "mae", true);
        check("metrics.`val mae` DESC", Some("metrics"), "val mae", false);
        check("start_time asc", None, "start_time", true);
        check("tags.a.b desc", Some("tags"), "a.b", false);
        check("params.DESC", Some("params"), "DESC", true);
        for wrong in ["", "  ", "metrics.a SIDEWAYS", "metrics.a ASC DESC", "metrics.a DESC, b", "= x"] {
            assert!(parse_order(wrong).is_err(), "{wrong}");
        }
    }
}
