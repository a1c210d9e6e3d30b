//! `rondo config`.

use crate::cli;
use crate::config::Config;
use crate::term;

pub(crate) fn run(what: &cli::Config, config: &Config, json: bool) -> anyhow::Result<()> {
    match what {
        cli::Config::Show if json => term::json(&config.values()),
        cli::Config::Show => {
            let row = |value: &crate::config::Entry| {
                let shown = if value.value.is_empty() { "(empty)" } else { &value.value };
                vec![value.key.to_owned(), shown.to_owned(), value.origin.clone(), value.meaning.to_owned()]
            };
            let rows: Vec<Vec<String>> = config.values().iter().map(row).collect();
            term::table(&["setting", "value", "from", "meaning"], &rows);
            Ok(())
        }
    }
}
