//! Arrows point down: a crate knows only crates of lower floors, and a heavy dependency lives in one crate.

use std::collections::BTreeSet;

use serde_json::Value;

/// The floors, bottom first.
const FLOORS: &[&[&str]] = &[
    &["kernel"],
    &["db", "blob", "telemetry", "inference"],
    &["access", "tracking", "registry", "serving", "monitoring", "pipelines", "foreign", "record"],
    &["conductor", "api", "web"],
    &["rondo"],
];

/// Arrows within one floor, each with its reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("telemetry", "blob", "closed segments of the log are objects"),
    ("api", "conductor", "the conductor's house is the state of every handler"),
    ("api", "web", "the router serves the embedded app"),
];

/// Crates that stand beside the house: all floors may use them in tests, and they may use all floors.
const BESIDE: &[&str] = &["testkit", "xtask", "bench"];

/// Names that say nothing; such a crate collects everything.
const NAMELESS: &[&str] = &["common", "utils", "util", "types", "helpers", "core", "shared"];

/// Heavy dependencies (a name, or the beginning of names) and the crates that may have them.
const HEAVY: &[(&str, &[&str])] = &[
    ("rusqlite", &["db"]),
    ("postgres", &["db", "testkit"]),
    ("tokio-postgres", &["db", "testkit"]),
    ("object_store", &["blob"]),
    ("arrow", &["telemetry"]),
    ("parquet", &["telemetry"]),
    ("datafusion", &["engine"]),
    ("axum", &["api", "web", "rondo", "bench"]),
    ("tonic", &["api", "rondo"]),
    ("prost", &["api", "rondo"]),
    ("sqlx", &[]),
];

/// Findings about the dependencies that `cargo metadata` tells of.
pub(crate) fn check(metadata: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    for package in array(metadata, "packages") {
        let name = house_name(text(package, "name"));
        if NAMELESS.contains(&name) {
            findings.push(format!("crate {name}: the name says nothing; name it after what it does"));
        }
        for dependency in array(package, "dependencies") {
            let test_only = text(dependency, "kind") == "dev";
            let on = text(dependency, "name");
            if dependency["path"].is_string() {
                findings.extend(arrow(name, house_name(on), test_only));
            } else {
                findings.extend(heavy(name, on));
            }
        }
    }
    findings
}

/// Two majors of arrow would double the build and could not exchange a single array.
pub(crate) fn one_arrow(lock: &str) -> Vec<String> {
    let mut majors = BTreeSet::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name = ") {
            name = value;
        }
        if let Some(version) = quoted(line, "version = ")
            && (name == "arrow" || name.starts_with("arrow-") || name == "parquet")
        {
            majors.insert(version.split('.').next().unwrap_or(version));
        }
    }
    if majors.len() <= 1 {
        return Vec::new();
    }
    let majors: Vec<&str> = majors.into_iter().collect();
    vec![format!("Cargo.lock: arrow in several majors ({}): the whole arrow island moves together", majors.join(", "))]
}

fn arrow(from: &str, to: &str, test_only: bool) -> Option<String> {
    if BESIDE.contains(&from) {
        return None;
    }
    if BESIDE.contains(&to) {
        return (!test_only).then(|| format!("crate {from}: depends on {to} outside of tests"));
    }
    if SIDEWAYS.iter().any(|(have_from, have_to, _)| (*have_from, *have_to) == (from, to)) || from == to {
        return None;
    }
    let (Some(source), Some(target)) = (floor(from), floor(to)) else {
        let stranger = if floor(from).is_none() { from } else { to };
        return Some(format!("crate {stranger}: stands on no floor; give it one in xtask/src/tidy/floors.rs"));
    };
    (target >= source).then(|| {
        let direction = if target > source { "an upward" } else { "a sideways" };
        format!("crate {from}: {direction} arrow to {to}; let them meet through ids, events or the conductor")
    })
}

fn heavy(from: &str, on: &str) -> Option<String> {
    let begins = |name: &str| on == name || on.starts_with(&format!("{name}-")) || on.starts_with(&format!("{name}_"));
    let (name, homes) = HEAVY.iter().find(|(name, _)| begins(name))?;
    let home = if homes.is_empty() { "no crate".to_owned() } else { homes.join(", ") };
    (!homes.contains(&from)).then(|| format!("crate {from}: depends on {on}; {name} lives in {home}"))
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&name))
}

fn house_name(package: &str) -> &str {
    package.strip_prefix("rondo-").unwrap_or(package)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(name: &str, on: &str, kind: Option<&str>, path: Option<&str>) -> Vec<String> {
        let dependency = json!({"name": on, "kind": kind, "path": path});
        check(&json!({"packages": [{"name": name, "dependencies": [dependency]}]}))
    }

    #[test]
    fn arrows_point_down() {
        let check = |from: &str, to: &str, kind: Option<&str>, expect: Option<&str>| {
            let found = one(&format!("rondo-{from}"), &format!("rondo-{to}"), kind, Some("somewhere"));
            match expect {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(words) => assert!(found.len() == 1 && found[0].contains(words), "{from} -> {to}: {found:?}"),
            }
        };
        check("tracking", "db", None, None);
        check("conductor", "registry", None, None);
        check("telemetry", "blob", None, None);
        check("api", "conductor", None, None);
        check("tracking", "testkit", Some("dev"), None);
        check("tracking", "testkit", None, Some("outside of tests"));
        check("db", "tracking", None, Some("an upward arrow"));
        check("db", "tracking", Some("dev"), Some("an upward arrow"));
        check("tracking", "registry", None, Some("a sideways arrow"));
        check("blob", "telemetry", None, Some("a sideways arrow"));
        check("conductor", "api", None, Some("a sideways arrow"));
        check("tracking", "attic", None, Some("stands on no floor"));
    }

    #[test]
    fn heavy_dependencies_have_one_home() {
        assert!(one("rondo-db", "rusqlite", None, None).is_empty());
        assert!(one("rondo-telemetry", "arrow-array", None, None).is_empty());
        let found = one("rondo-tracking", "rusqlite", None, None);
        assert_eq!(found, ["crate tracking: depends on rusqlite; rusqlite lives in db"]);
        let found = one("rondo-serving", "arrow-array", Some("dev"), None);
        assert_eq!(found, ["crate serving: depends on arrow-array; arrow lives in telemetry"]);
        assert_eq!(one("rondo-db", "sqlx", None, None), ["crate db: depends on sqlx; sqlx lives in no crate"]);
    }

    #[test]
    fn a_crate_that_says_nothing_is_refused() {
        let found = check(&json!({"packages": [{"name": "rondo-common", "dependencies": []}]}));
        assert!(found[0].contains("the name says nothing"), "{found:?}");
    }

    #[test]
    fn two_majors_of_arrow_are_found() {
        let lock = |versions: &[&str]| {
            let one = |version: &&str| format!("[[package]]\nname = \"arrow-array\"\nversion = \"{version}\"\n");
            versions.iter().map(one).collect::<String>()
        };
        assert!(one_arrow(&lock(&["59.3.0"])).is_empty());
        assert!(one_arrow(&lock(&["59.3.0", "59.1.0"])).is_empty());
        assert!(one_arrow(&lock(&["59.3.0", "58.0.0"]))[0].contains("58, 59"));
    }
}
