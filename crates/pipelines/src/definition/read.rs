//! From TOML to the types of [`super`], one function for each table of the file.

use toml::Table;

use super::section::{Section, is_variable, nearest};
use super::{Cause, Command, Pipeline, Retries, Step, Trigger};
use crate::Error;

pub(super) fn pipeline(text: &str) -> Result<Pipeline, Error> {
    let file: Table =
        text.parse().map_err(|error: toml::de::Error| Error::Syntax(error.to_string().trim_end().to_owned()))?;
    let mut root = Section::new("", &file);
    let (head, steps, triggers) = (root.table("pipeline")?, root.table("step")?, root.table("trigger")?);
    root.finish()?;

    let head =
        head.ok_or_else(|| Error::hinted("pipeline", "is missing", "begin with [pipeline] and name = \"...\""))?;
    let mut head = Section::new("pipeline", head);
    let name = head.required("name")?;
    check_name("pipeline.name", &name)?;
    let (model, description, venv) = (head.text("model")?, head.text("description")?, head.text("venv")?);
    head.finish()?;

    let steps = named(steps, "step", |name, table| step(name, table, venv.as_deref()))?;
    if steps.is_empty() {
        return Err(Error::hinted("step", "is missing", "a pipeline has at least one [step.NAME] with run = \"...\""));
    }
    let triggers = named(triggers, "trigger", trigger)?;
    Ok(Pipeline { name, model, description, steps, triggers })
}

fn named<T>(
    tables: Option<&Table>,
    group: &str,
    read: impl Fn(&str, &Table) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let Some(tables) = tables else { return Ok(Vec::new()) };
    let one = |(name, value): (&String, &toml::Value)| {
        check_name(&format!("{group}.{name}"), name)?;
        let table = value.as_table().ok_or_else(|| {
            Error::hinted(format!("{group}.{name}"), "must be a table", format!("write [{group}.NAME] above its keys"))
        })?;
        read(name, table)
    };
    tables.iter().map(one).collect()
}

fn step(name: &str, table: &Table, venv: Option<&str>) -> Result<Step, Error> {
    let mut section = Section::new(format!("step.{name}"), table);
    let run = command(&mut section)?;
    let step = Step {
        name: name.to_owned(),
        run,
        needs: section.texts("needs")?,
        deps: paths(&mut section, "deps")?,
        outs: paths(&mut section, "outs")?,
        params: section.scalars("params")?,
        env: section.scalars("env")?,
        inherit: section.texts("inherit")?,
        venv: section.text("venv")?.or_else(|| venv.map(str::to_owned)),
        timeout_us: section.duration("timeout")?,
        retries: retries(&mut section)?,
        always: section.flag("always")?,
    };
    if let Some(bad) = step.inherit.iter().find(|name| !is_variable(name)) {
        return Err(Error::definition(section.at("inherit"), format!("`{bad}` is not the name of a variable")));
    }
    if let Some(ours) = step.env.keys().find(|name| name.starts_with("RONDO_")) {
        return Err(Error::definition(
            section.at("env"),
            format!("`{ours}` is not yours to set: names in RONDO_ are ours"),
        ));
    }
    section.finish()?;
    Ok(step)
}

fn command(section: &mut Section<'_>) -> Result<Command, Error> {
    if section.is_text("run") {
        return Ok(Command::Shell(section.required("run")?));
    }
    let missing =
        Error::hinted(section.at("run"), "is missing", "say what the step runs, such as run = \"python train.py\"");
    section.text_or_texts("run")?.map(Command::Words).ok_or(missing)
}

fn retries(section: &mut Section<'_>) -> Result<Retries, Error> {
    if !section.is_table("retries") {
        let max = section.integer("retries", 0)?.unwrap_or(0);
        return Ok(Retries { max, ..Retries::default() });
    }
    let place = section.at("retries");
    let Some(table) = section.table("retries")? else { return Ok(Retries::default()) };
    let mut inner = Section::new(place, table);
    let max = inner.integer("max", 0)?.unwrap_or(1);
    let backoff_us = inner.duration("backoff")?.unwrap_or(Retries::default().backoff_us);
    inner.finish()?;
    Ok(Retries { max, backoff_us })
}

/// Paths stay inside the folder of the pipeline, and are compared as written: no `.`, no `..`, no doubled slash.
fn paths(section: &mut Section<'_>, key: &'static str) -> Result<Vec<String>, Error> {
    let mut paths = section.texts(key)?;
    for path in &mut paths {
        while path.len() > 1 && path.ends_with('/') {
            path.pop();
        }
        let plain = path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '\0']);
        if !plain {
            return Err(Error::hinted(
                section.at(key),
                format!("`{path}` is not a plain path inside the pipeline's folder"),
                "write it relative to the folder, without `.` and `..`",
            ));
        }
    }
    Ok(paths)
}

fn trigger(name: &str, table: &Table) -> Result<Trigger, Error> {
    let mut section = Section::new(format!("trigger.{name}"), table);
    let kind = section.required("kind")?;
    let cause = match kind.as_str() {
        "manual" => Cause::Manual,
        "cron" => cron(&mut section)?,
        "data" => Cause::Data {
            deployment: section.required("deployment")?,
            min_new_rows: section
                .integer("min_new_rows", 1)?
                .ok_or_else(|| Error::definition(section.at("min_new_rows"), "is missing"))?,
            cooldown_us: section.duration("cooldown")?.unwrap_or(0),
        },
        "alert" => Cause::Alert {
            monitor: section.required("monitor")?,
            rule: section.text("rule")?,
            cooldown_us: section.duration("cooldown")?.unwrap_or(0),
            repeat_us: section.duration("repeat")?,
        },
        other => {
            let kinds = ["manual", "cron", "data", "alert"];
            let hint = nearest(other, &kinds)
                .map_or_else(|| format!("known: {}", kinds.join(", ")), |near| format!("did you mean `{near}`?"));
            return Err(Error::hinted(section.at("kind"), format!("`{other}` is not a kind of trigger"), hint));
        }
    };
    section.finish()?;
    Ok(Trigger { name: name.to_owned(), cause })
}

fn cron(section: &mut Section<'_>) -> Result<Cause, Error> {
    let cron = section.required("cron")?;
    let timezone = section.text("timezone")?.unwrap_or_else(|| "UTC".to_owned());
    crate::trigger::cron::Schedule::parse(&cron, &timezone).map_err(|problem| match problem {
        crate::trigger::cron::Problem::Expression(text) => {
            Error::hinted(section.at("cron"), text, "five fields: minute hour day month weekday, such as `0 3 * * *`")
        }
        crate::trigger::cron::Problem::Timezone => {
            Error::hinted(section.at("timezone"), format!("`{timezone}` is not a time zone"), "such as `Europe/Berlin`")
        }
    })?;
    Ok(Cause::Cron { cron, timezone })
}

fn check_name(place: &str, name: &str) -> Result<(), Error> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.len() <= 100 && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(Error::hinted(
        place,
        format!("`{name}` cannot be a name"),
        "use letters, digits, `-`, `_` and `.`, at most 100, beginning with a letter or a digit",
    ))
}
