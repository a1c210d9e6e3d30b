//! A table of the file, read key by key, so that a key nobody asked for is an error that names the one that was probably meant.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::Error;

/// One table and the keys of it that were asked for.
pub(super) struct Section<'a> {
    place: String,
    table: &'a Table,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(place: impl Into<String>, table: &'a Table) -> Self {
        Self { place: place.into(), table, known: Vec::new() }
    }

    /// The dotted path of a key in this table.
    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.get(key)
    }

    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<&'a Table>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(other) => Err(self.wrong(key, "a table", other)),
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(Value::String(_)) => Err(Error::definition(self.at(key), "is empty")),
            Some(other) => Err(self.wrong(key, "a text", other)),
        }
    }

    pub(super) fn required(&mut self, key: &'static str) -> Result<String, Error> {
        self.text(key)?.ok_or_else(|| Error::definition(self.at(key), "is missing"))
    }

    pub(super) fn integer(&mut self, key: &'static str, least: i64) -> Result<Option<i64>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Integer(number)) if *number >= least => Ok(Some(*number)),
            Some(Value::Integer(number)) => {
                Err(Error::definition(self.at(key), format!("must be at least {least}, and is {number}")))
            }
            Some(other) => Err(self.wrong(key, "a whole number", other)),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, Error> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(|item| self.item(key, item)).collect(),
            Some(other) => Err(self.wrong(key, "a list of texts", other)),
        }
    }

    /// A text, a list of texts, or nothing.
    pub(super) fn text_or_texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) if !items.is_empty() => {
                items.iter().map(|item| self.item(key, item)).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(self.wrong(key, "a text or a list of texts", other)),
        }
    }

    fn item(&self, key: &str, item: &Value) -> Result<String, Error> {
        item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a list of texts", item))
    }

    /// A table of plain values, each as text.
    pub(super) fn scalars(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, Error> {
        let Some(table) = self.table(key)? else { return Ok(BTreeMap::new()) };
        let as_text = |(name, value): (&String, &Value)| {
            let place = format!("{}.{name}", self.at(key));
            if !is_variable(name) {
                return Err(Error::definition(place, "is not a name of letters, digits and `_`"));
            }
            match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                Value::Integer(number) => Ok((name.clone(), number.to_string())),
                Value::Float(number) => Ok((name.clone(), number.to_string())),
                Value::Boolean(flag) => Ok((name.clone(), flag.to_string())),
                Value::Datetime(at) => Ok((name.clone(), at.to_string())),
                Value::Array(_) | Value::Table(_) => {
                    Err(Error::definition(place, "must be a text, a number, a date, true or false"))
                }
            }
        };
        table.iter().map(as_text).collect()
    }

    /// A span of time in microseconds, written `90s`, `10m`, `2h`, `7d`, `500ms`.
    pub(super) fn duration(&mut self, key: &'static str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let problem = || {
            Error::hinted(self.at(key), format!("`{text}` is not a span of time"), "write 500ms, 90s, 10m, 2h or 7d")
        };
        duration_us(&text).map(Some).ok_or_else(problem)
    }

    /// Either a number or a table; which of the two is the caller's business.
    pub(super) fn is_table(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some(Value::Table(_)))
    }

    /// True when the key is there and a plain text.
    pub(super) fn is_text(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some(Value::String(_)))
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some(stranger) = self.table.keys().find(|key| !self.known.contains(&key.as_str())) else { return Ok(()) };
        let hint = match nearest(stranger, &self.known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", self.known.join(", ")),
        };
        Err(Error::hinted(self.at(stranger), "is not a known key", hint))
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> Error {
        Error::definition(self.at(key), format!("must be {expected}, and is of type {}", found.type_str()))
    }
}

/// True for what can be the name of an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The known word that differs least from `word`, if it differs little.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, near) = known.iter().map(|other| (edits(word, other), *other)).min()?;
    (distance <= 1 + word.len() / 3).then_some(near)
}

/// Letters to insert, delete, replace or swap with their neighbour to make one word the other.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut cost = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in cost.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in cost[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(cost[i - 2][j - 2] + 1);
            }
            cost[i][j] = best;
        }
    }
    cost[a.len()][b.len()]
}

fn duration_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let amount: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    amount.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(duration_us(text), expect, "{text}");
        check("500ms", Some(500_000));
        check("90s", Some(90_000_000));
        check("10m", Some(600_000_000));
        check("2 h", Some(7_200_000_000));
        check("7d", Some(604_800_000_000));
        check("7", None);
        check("d", None);
        check("-1s", None);
        check("99999999999999999d", None);
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["retries", "run", "timeout", "outs"];
        let check = |word: &str, expect: Option<&str>| assert_eq!(nearest(word, &known), expect, "{word}");
        check("retires", Some("retries"));
        check("time_out", Some("timeout"));
        check("out", Some("outs"));
        check("environment", None);
    }
}
