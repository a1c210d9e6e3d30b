//! PostgreSQL.

use crate::database::Lanes;
use crate::{Error, Migration};

pub(crate) fn open(_url: &str, _layers: &[Vec<Migration>], _lanes: &Lanes) -> Result<(), Error> {
    Err(Error::Open { url: "postgres".to_owned(), reason: "not built yet".to_owned() })
}
