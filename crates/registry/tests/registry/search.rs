//! Searching models and versions.

use rondo_registry::model::{self, Search};
use rondo_registry::tag::Tag;
use rondo_registry::version::{self, NewVersion};

use super::{MIGRATIONS, on_day, refused, write};
use db::Db;
use kernel::error::{Classified as _, Kind};

/// Models `a`, `A`, `b_1`, `bx1` and the prompt `greeting`, made and changed on different days; `a` has three versions.
async fn fill(db: &Db) {
    write(db, |tx| {
        let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
        model::create(tx, &on_day(3), "a", vec![tag("team", "red"), tag("n", "1")], None)?;
        model::create(tx, &on_day(1), "A", vec![tag("team", "RED")], None)?;
        model::create(tx, &on_day(2), "b_1", vec![tag("team", "blue"), tag("n", "1")], None)?;
        model::create(tx, &on_day(2), "bx1", Vec::new(), None)?;
        model::create(tx, &on_day(4), "greeting", vec![tag("mlflow.prompt.is_prompt", "true")], None)?;
        for (day, name, run, source, tags) in [
            (5, "a", Some("r1"), "s/1", vec![tag("ok", "yes")]),
            (7, "a", Some("r2"), "s/2", vec![tag("ok", "no")]),
            (6, "a", None, "t/3", vec![]),
            (6, "bx1", Some("r1"), "s/1", vec![tag("ok", "yes"), tag("x", "1")]),
            (8, "greeting", None, "prompt", vec![tag("mlflow.prompt.is_prompt", "true")]),
        ] {
            let run_id = run.map(str::to_owned);
            let new =
                NewVersion { name: name.to_owned(), source: source.to_owned(), run_id, tags, ..NewVersion::default() };
            version::create(tx, &on_day(day), new)?;
        }
        Ok(())
    })
    .await;
}

fn asked(filter: &str, order_by: &[&str]) -> Search {
    let order_by = order_by.iter().map(|item| (*item).to_owned()).collect();
    Search { filter: filter.to_owned(), order_by, max_results: 100, page_token: None }
}

#[tokio::test]
async fn models_are_found_by_name_and_tag() {
    testkit::on_both(MIGRATIONS, |db| async move {
        fill(&db).await;
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["A", "a", "b_1", "bx1"]),
            ("name = 'a'", &[], &["a"]),
            ("attribute.name != 'a'", &[], &["A", "b_1", "bx1"]),
            ("name LIKE 'a%'", &[], &["a"]),
            ("name ILIKE 'a%'", &[], &["A", "a"]),
            ("name LIKE 'b_1'", &[], &["b_1", "bx1"]),
            ("name IN ('a', 'bx1')", &[], &["a", "bx1"]),
            ("name NOT IN ('a', 'bx1')", &[], &["A", "b_1"]),
            ("tags.team = 'red'", &[], &["a"]),
            ("tag.team ILIKE 'red'", &[], &["A", "a"]),
            ("tags.`team` != 'red'", &[], &["A", "b_1"]),
            ("tags.team LIKE '%e%' AND tags.n = '1'", &[], &["a", "b_1"]),
            ("tags.team = 'red' AND tags.team = 'blue'", &[], &[]),
            ("tags.`mlflow.prompt.is_prompt` != 'true'", &[], &["A", "a", "b_1", "bx1"]),
            ("tags.`mlflow.prompt.is_prompt` = 'false'", &[], &["A", "a", "b_1", "bx1"]),
            ("tags.`mlflow.prompt.is_prompt` = 'true'", &[], &["greeting"]),
            ("name = 'greeting'", &[], &[]),
            ("", &["name DESC"], &["bx1", "b_1", "a", "A"]),
            ("", &["creation_timestamp"], &["A", "b_1", "bx1", "a"]),
            ("", &["last_updated_timestamp DESC"], &["a", "bx1", "b_1", "A"]),
            ("", &["timestamp ASC", "name DESC"], &["A", "b_1", "bx1", "a"]),
        ];
        for (filter, order_by, expect) in cases {
            let search = asked(filter, order_by);
            let found = write(&db, move |tx| model::search(tx, &on_day(9), &search)).await;
            let names: Vec<&str> = found.items.iter().map(|model| model.name.as_str()).collect();
            assert_eq!(names, *expect, "{filter} {order_by:?}");
            assert_eq!(found.next_token, None);
        }
        let search = asked("name = 'a'", &[]);
        let found = write(&db, move |tx| model::search(tx, &on_day(9), &search)).await;
        assert_eq!(found.items[0].tags.len(), 2);
        assert_eq!(found.items[0].latest_versions[0].version, "3");
    })
    .await;
}

#[tokio::test]
async fn versions_are_found_by_what_they_are() {
    testkit::on_both(MIGRATIONS, |db| async move {
        fill(&db).await;
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["a/2", "a/3", "bx1/1", "a/1"]),
            ("name = 'a'", &["version_number ASC"], &["a/1", "a/2", "a/3"]),
            ("name='a' and version_number > 1", &[], &["a/2", "a/3"]),
            ("version_number <= 1", &[], &["bx1/1", "a/1"]),
            ("version_number != 1", &["name"], &["a/3", "a/2"]),
            ("run_id = 'r1'", &[], &["bx1/1", "a/1"]),
            ("run_id IN ('r1', 'r2')", &[], &["a/2", "bx1/1", "a/1"]),
            ("run_id NOT IN ('r1')", &[], &["a/2"]),
            ("source_path = 's/1'", &[], &["bx1/1", "a/1"]),
            ("source_path LIKE 's/%'", &["creation_timestamp DESC"], &["a/2", "bx1/1", "a/1"]),
            ("tags.ok = 'yes'", &[], &["bx1/1", "a/1"]),
            ("tags.ok = 'yes' AND tags.x = '1'", &[], &["bx1/1"]),
            ("tags.`mlflow.prompt.is_prompt` = 'true'", &[], &["greeting/1"]),
            ("name = 'greeting'", &[], &[]),
            ("", &["name DESC", "version_number ASC"], &["bx1/1", "a/1", "a/2", "a/3"]),
        ];
        for (filter, order_by, expect) in cases {
            let search = asked(filter, order_by);
            let found = write(&db, move |tx| version::search(tx, &on_day(9), &search)).await;
            let shown: Vec<String> = found.items.iter().map(|one| format!("{}/{}", one.name, one.version)).collect();
            assert_eq!(shown, *expect, "{filter} {order_by:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    testkit::on_both(MIGRATIONS, |db| async move {
        fill(&db).await;
        let mut search = Search { max_results: 3, ..asked("", &[]) };
        let one = search.clone();
        let first = write(&db, move |tx| model::search(tx, &on_day(9), &one)).await;
        assert_eq!(first.items.len(), 3);
        search.page_token = first.next_token;
        let second = write(&db, move |tx| model::search(tx, &on_day(9), &search)).await;
        assert_eq!((second.items[0].name.as_str(), second.items.len(), second.next_token), ("bx1", 1, None));
    })
    .await;
}

#[tokio::test]
async fn searches_that_make_no_sense_are_refused() {
    testkit::on_both(MIGRATIONS, |db| async move {
        for filter in [
            " ",
            "name",
            "name = a",
            "nam = 'a'",
            "name > 'a'",
            "name = 1",
            "metrics.x = 1",
            "tags.x IN ('a')",
            "tags.x = 1",
            "tags.x IS NULL",
            "name = 'a' OR name = 'b'",
            "name LIKE ('a')",
            "name RLIKE 'a'",
        ] {
            let search = asked(filter, &[]);
            let error = refused(&db, move |tx| model::search(tx, &on_day(1), &search)).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("filter")), "{filter}: {error}");
        }
        for filter in ["version_number = 'x'", "version_number = 1.5", "version_number LIKE 1", "source_path IN ('a')"]
        {
            let search = asked(filter, &[]);
            let error = refused(&db, move |tx| version::search(tx, &on_day(1), &search)).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("filter")), "{filter}: {error}");
        }
        for order in ["x", "tags.name", "name SIDEWAYS"] {
            let search = asked("", &[order]);
            let error = refused(&db, move |tx| model::search(tx, &on_day(1), &search)).await;
            assert_eq!(error.kind(), Kind::Invalid, "{order}: {error}");
        }
        let search = asked("", &["timestamp", "last_updated_timestamp"]);
        let error = refused(&db, move |tx| model::search(tx, &on_day(1), &search)).await;
        assert_eq!(error.field(), Some("order_by"));
        for max_results in [0, -1, 1_001] {
            let search = Search { max_results, ..Search::default() };
            let error = refused(&db, move |tx| model::search(tx, &on_day(1), &search)).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("max_results")));
        }
        for token in ["x", "e30=", "eyJvZmZzZXQiOi0xfQ=="] {
            let search = Search { page_token: Some(token.to_owned()), ..asked("", &[]) };
            let error = refused(&db, move |tx| version::search(tx, &on_day(1), &search)).await;
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("page_token")), "{token}");
        }
    })
    .await;
}
