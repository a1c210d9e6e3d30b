//! Values: what goes in comes out, on both engines.

use db::{Error, Value};
use kernel::error::{Classified as _, Kind};
use testkit::on_both;

use super::SCHEMA;

const INSERT: &str = "INSERT INTO rows (id, number, amount, flag, raw) VALUES ($1, $2, $3, $4, $5)";

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    on_both(SCHEMA, |db| async move {
        let params = [
            Value::from("ünï\u{1F600}"),
            i64::MIN.into(),
            f64::MIN_POSITIVE.into(),
            true.into(),
            vec![0_u8, 255, 10].into(),
        ];
        db.write(move |tx| tx.execute(INSERT, &params)).await?;
        let row = db.read(|tx| tx.query_opt("SELECT * FROM rows", &[])).await?.unwrap();
        assert_eq!(row.text("id")?, "ünï\u{1F600}");
        assert_eq!(row.i64("number")?, i64::MIN);
        assert_eq!(row.f64("amount")?, f64::MIN_POSITIVE);
        assert!(row.bool("flag")?);
        assert_eq!(row.bytes("raw")?, [0, 255, 10]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn missing_values_are_missing_in_every_type() {
    on_both(SCHEMA, |db| async move {
        let params = [Value::from("a"), Value::I64(None), Value::F64(None), Value::Bool(None), Value::Bytes(None)];
        db.write(move |tx| tx.execute(INSERT, &params)).await?;
        let row = db.read(|tx| tx.query_opt("SELECT * FROM rows WHERE id = $1", &["a".into()])).await?.unwrap();
        assert_eq!((row.opt_i64("number")?, row.opt_f64("amount")?), (None, None));
        assert_eq!((row.opt_bool("flag")?, row.opt_bytes("raw")?), (None, None));
        let error = row.i64("number").unwrap_err();
        assert_eq!(error.to_string(), "column number is null, expected an integer");
        assert_eq!(db.read(|tx| tx.query_opt("SELECT id FROM rows WHERE id = 'b'", &[])).await?, None::<db::Row>);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn sums_means_and_truths_have_the_types_one_expects() {
    on_both(SCHEMA, |db| async move {
        let row = db
            .write(|tx| {
                for (id, number) in [("a", 1_i64), ("b", 4_000_000_000_000)] {
                    tx.execute(
                        "INSERT INTO rows (id, number, amount) VALUES ($1, $2, $3)",
                        &[
                            id.into(),
                            number.into(),
                            // an integer for a float column is widened
                            number.into(),
                        ],
                    )?;
                }
                tx.query_opt(
                    "SELECT sum(number) AS total, avg(number) AS mean, sum(amount) AS amount, count(*) AS n,
                            max(number) > $1 AS large, EXISTS (SELECT 1 FROM rows WHERE id = $2) AS has_a FROM rows",
                    &[5_i64.into(), "a".into()],
                )
            })
            .await?
            .unwrap();
        assert_eq!(row.i64("total")?, 4_000_000_000_001);
        assert_eq!(row.f64("mean")?, 2_000_000_000_000.5);
        assert_eq!(row.f64("amount")?, 4_000_000_000_001.0);
        assert_eq!(row.i64("n")?, 2);
        assert!(row.bool("large")? && row.bool("has_a")?);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn placeholders_may_repeat_and_come_in_any_order() {
    on_both(SCHEMA, |db| async move {
        let row = db
            .read(|tx| {
                tx.query_opt("SELECT $2 || '-' || $1 || '-' || $2 || '$1' AS joined", &["one".into(), "two".into()])
            })
            .await?
            .unwrap();
        assert_eq!(row.text("joined")?, "two-one-two$1");
        for params in [vec![], vec![Value::from("a"), Value::from("b")]] {
            let given = params.len();
            let wrong = db.read(move |tx| tx.query("SELECT id FROM rows WHERE id = $1", &params)).await;
            assert!(wrong.is_err(), "{given} values were accepted for one placeholder");
        }
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn wrong_names_and_types_are_told() {
    on_both(SCHEMA, |db| async move {
        let row = db.read(|tx| tx.query_opt("SELECT 'x' AS word, 1 AS one", &[])).await?.unwrap();
        let check = |error: Error, expect: &str| assert_eq!(error.to_string(), expect);
        check(row.i64("word").unwrap_err(), "column word is text, expected an integer");
        check(row.text("one").unwrap_err(), "column one is an integer, expected text");
        check(row.text("two").unwrap_err(), "the row has no column two (it has word, one)");
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_nul_in_a_text_is_refused_by_both() {
    on_both(SCHEMA, |db| async move {
        let error = db.write(|tx| tx.execute("INSERT INTO rows (id) VALUES ($1)", &["a\0b".into()])).await.unwrap_err();
        assert!(matches!(error, Error::NulInText), "{error:?}");
        assert_eq!(error.kind(), Kind::Invalid);
    })
    .await;
}
