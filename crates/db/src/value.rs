//! What is bound to a placeholder. A missing value is typed too, because PostgreSQL wants to know what it is that is missing.

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// For BIGINT, INTEGER and, widened, DOUBLE PRECISION.
    I64(Option<i64>),
    /// For DOUBLE PRECISION. SQLite stores NaN as NULL: keep a flag beside a column that may be NaN.
    F64(Option<f64>),
    /// For TEXT; must hold no NUL.
    Text(Option<String>),
    /// For BOOLEAN.
    Bool(Option<bool>),
    /// For BYTEA.
    Bytes(Option<Vec<u8>>),
}

impl Value {
    /// True for a missing value of any type.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::I64(None) | Self::F64(None) | Self::Text(None) | Self::Bool(None) | Self::Bytes(None))
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident($name:ident) $convert:expr;)*) => {$(
        impl From<$source> for Value {
            fn from($name: $source) -> Self {
                Self::$variant(Some($convert))
            }
        }
        impl From<Option<$source>> for Value {
            fn from(value: Option<$source>) -> Self {
                Self::$variant(value.map(|$name| $convert))
            }
        }
    )*};
}

from! {
    i64 => I64(value) value;
    i32 => I64(value) i64::from(value);
    u32 => I64(value) i64::from(value);
    f64 => F64(value) value;
    bool => Bool(value) value;
    String => Text(value) value;
    &str => Text(value) value.to_owned();
    &String => Text(value) value.clone();
    Vec<u8> => Bytes(value) value;
    &[u8] => Bytes(value) value.to_vec();
}
