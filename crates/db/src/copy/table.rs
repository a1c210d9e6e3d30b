//! One table as the database describes it, and its rows as both engines understand them.

use super::{Copied, Rows, refused};
use crate::row::Cell;
use crate::{Engine, Error, Row, Sql, Tx, Value};

/// Rows of one page, and values of one INSERT: SQLite takes 32,766, PostgreSQL 65,535.
const PAGE_ROWS: i64 = 2_000;
const INSERT_VALUES: usize = 8_000;
/// The tables that each side keeps for itself.
const OWN: [&str; 4] = ["schema_migrations", "schema_versions", "leases", "replicas"];

/// The types of the portable subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    I64,
    F64,
    Text,
    Bool,
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Type,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<Column>,
    /// Which columns are the primary key, in its order.
    key: Vec<usize>,
}

/// Rows in the order of the primary key.
pub(super) struct Page(Rows);

/// Count and digest of rows in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    rows: u64,
    digest: u128,
}

impl Sum {
    pub(super) fn add(&mut self, page: &Page) {
        for row in &page.0 {
            let mut digest = kernel::digest::Builder::default();
            for value in row {
                match value {
                    Value::I64(Some(value)) => digest.piece(b"i").piece(&value.to_be_bytes()),
                    // SQLite does not keep the sign of a zero
                    Value::F64(Some(value)) => digest.piece(b"f").piece(&(value + 0.0).to_bits().to_be_bytes()),
                    Value::Text(Some(value)) => digest.piece(b"t").piece(value.as_bytes()),
                    Value::Bool(Some(value)) => digest.piece(b"b").piece(&[u8::from(*value)]),
                    Value::Bytes(Some(value)) => digest.piece(b"x").piece(value),
                    _ => digest.piece(b"n"),
                };
            }
            let digest = digest.finish();
            let number = digest.get(..32).and_then(|text| u128::from_str_radix(text, 16).ok()).unwrap_or_default();
            self.digest = self.digest.wrapping_add(number);
            self.rows += 1;
        }
    }

    pub(super) fn told(self, table: &str) -> Copied {
        Copied { table: table.to_owned(), rows: self.rows, digest: format!("{:032x}", self.digest) }
    }
}

impl Table {
    /// Every table in the order in which they were made, so that what is referred to comes first.
    pub(super) fn all(tx: &mut Tx<'_>, engine: Engine) -> Result<Vec<Self>, Error> {
        let names = match engine {
            Engine::Sqlite => tx.query(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid",
                &[],
            )?,
            Engine::Postgres => tx.query(
                "SELECT relname::text AS name FROM pg_class
                 WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid",
                &[],
            )?,
        };
        let mut tables = Vec::with_capacity(names.len());
        for row in names {
            let name = row.text("name")?;
            if !OWN.contains(&name.as_str()) {
                tables.push(Self::describe(tx, engine, name)?);
            }
        }
        Ok(tables)
    }

    fn describe(tx: &mut Tx<'_>, engine: Engine, name: String) -> Result<Self, Error> {
        let rows = match engine {
            Engine::Sqlite => tx.query(
                "SELECT name, type AS kind, pk FROM pragma_table_info($1) ORDER BY name",
                &[name.as_str().into()],
            )?,
            Engine::Postgres => tx.query(
                "SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS kind,
                        COALESCE(array_position(i.indkey::int2[], a.attnum), -1)::bigint + 1 AS pk
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
                 WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace
                   AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attname::text COLLATE \"C\"",
                &[name.as_str().into()],
            )?,
        };
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for (index, row) in rows.iter().enumerate() {
            let kind = kind(&name, row)?;
            columns.push(Column { name: row.text("name")?, kind });
            let place = row.i64("pk")?;
            if place > 0 {
                key.push((place, index));
            }
        }
        key.sort_unstable();
        if key.is_empty() {
            return Err(refused(format!("the table `{name}` has no primary key")));
        }
        Ok(Self { name, columns, key: key.into_iter().map(|(_, index)| index).collect() })
    }

    /// The rows after a key; `None` when there are no more.
    pub(super) fn page(&self, tx: &mut Tx<'_>, after: Option<&[Value]>) -> Result<Option<Page>, Error> {
        let mut sql = Sql::new();
        sql.push("SELECT ");
        names(&mut sql, self.columns.iter().map(|column| column.name.as_str()));
        sql.push(" FROM ").name(&self.name);
        let key = || self.key.iter().map(|index| self.columns[*index].name.as_str());
        if let Some(after) = after {
            sql.push(" WHERE (");
            names(&mut sql, key());
            sql.push(") > ").bind_list(after.iter().cloned());
        }
        sql.push(" ORDER BY ");
        names(&mut sql, key());
        sql.push(" LIMIT ").bind(PAGE_ROWS);
        let rows = tx.query_built(&sql)?;
        let rows = rows.iter().map(|row| self.values(row)).collect::<Result<Rows, _>>()?;
        Ok(if rows.is_empty() { None } else { Some(Page(rows)) })
    }

    /// Where the next page begins.
    pub(super) fn key_of_last(&self, page: &Page) -> Vec<Value> {
        page.0.last().map(|row| self.key.iter().map(|index| row[*index].clone()).collect()).unwrap_or_default()
    }

    pub(super) fn insert(&self, tx: &mut Tx<'_>, page: &Page) -> Result<(), Error> {
        for rows in page.0.chunks((INSERT_VALUES / self.columns.len().max(1)).max(1)) {
            let mut sql = Sql::new();
            sql.push("INSERT INTO ").name(&self.name).push(" (");
            names(&mut sql, self.columns.iter().map(|column| column.name.as_str()));
            sql.push(") VALUES ");
            for (number, row) in rows.iter().enumerate() {
                sql.push(if number == 0 { "" } else { ", " }).bind_list(row.iter().cloned());
            }
            tx.execute_built(&sql)?;
        }
        Ok(())
    }

    pub(super) fn clear(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut sql = Sql::new();
        sql.push("DELETE FROM ").name(&self.name);
        tx.execute_built(&sql).map(drop)
    }

    pub(super) fn sum(&self, tx: &mut Tx<'_>) -> Result<Sum, Error> {
        let (mut sum, mut after) = (Sum::default(), None);
        while let Some(page) = self.page(tx, after.as_deref())? {
            sum.add(&page);
            after = Some(self.key_of_last(&page));
        }
        Ok(sum)
    }

    fn values(&self, row: &Row) -> Result<Vec<Value>, Error> {
        let cells = self.columns.iter().zip(&row.cells);
        cells.map(|(column, cell)| value(column, cell)).collect()
    }
}

fn names<'a>(sql: &mut Sql, columns: impl Iterator<Item = &'a str>) {
    for (index, column) in columns.enumerate() {
        sql.push(if index == 0 { "" } else { ", " }).name(column);
    }
}

/// By the type that the migration declared; PostgreSQL writes it in small letters.
fn kind(table: &str, row: &Row) -> Result<Type, Error> {
    let declared = row.str("kind")?.to_ascii_uppercase();
    match declared.as_str() {
        "BIGINT" | "INTEGER" | "SMALLINT" => Ok(Type::I64),
        "DOUBLE PRECISION" | "REAL" => Ok(Type::F64),
        "TEXT" => Ok(Type::Text),
        "BOOLEAN" => Ok(Type::Bool),
        "BYTEA" | "BLOB" => Ok(Type::Bytes),
        _ => Err(refused(format!("the table `{table}` has a column of the type {declared}"))),
    }
}

fn value(column: &Column, cell: &Cell) -> Result<Value, Error> {
    Ok(match (column.kind, cell) {
        (Type::I64, Cell::Null) => Value::I64(None),
        (Type::F64, Cell::Null) => Value::F64(None),
        (Type::Text, Cell::Null) => Value::Text(None),
        (Type::Bool, Cell::Null) => Value::Bool(None),
        (Type::Bytes, Cell::Null) => Value::Bytes(None),
        (Type::I64, Cell::I64(value)) => Value::I64(Some(*value)),
        (Type::F64, Cell::F64(value)) => Value::F64(Some(*value)),
        (Type::F64, Cell::I64(value)) => Value::F64(Some(*value as f64)),
        (Type::Text, Cell::Text(value)) => Value::Text(Some(value.clone())),
        (Type::Bool, Cell::Bool(value)) => Value::Bool(Some(*value)),
        (Type::Bool, Cell::I64(value)) => Value::Bool(Some(*value != 0)),
        (Type::Bytes, Cell::Bytes(value)) => Value::Bytes(Some(value.clone())),
        (_, other) => return Err(Error::corrupt(&column.name, format!("{other:?} is not of its type"))),
    })
}
