//! Webhooks: what is kept of them, who waits for what, and what is left for them in the trail.

use kernel::event::kind;
use rondo_registry::tag::{IS_PROMPT, Tag};
use rondo_registry::version::{self, NewVersion};
use rondo_registry::webhook::{self, Change};
use rondo_registry::{Error, MIGRATIONS, model};
use serde_json::{Value, json};

use super::{events, on_day, refused, register, write};

fn hook(name: &str, topics: &[&str]) -> Change {
    Change {
        name: Some(name.to_owned()),
        url: Some("https://example.com/hook".to_owned()),
        topics: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        secret: Some("s3cret".to_owned()),
        ..Change::default()
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

async fn announced(db: &db::Db) -> Vec<Value> {
    events(db)
        .await
        .into_iter()
        .filter(|event| event.kind == kind::REGISTRY_ANNOUNCED)
        .map(|event| event.payload)
        .collect()
}

#[tokio::test]
async fn a_webhook_is_made_read_changed_and_deleted() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let made = write(&db, |tx| {
            webhook::create(tx, &on_day(1), hook("ci", &["model_version_alias.created", "registered_model.created"]))
        })
        .await;
        assert_eq!(made.topics, ["registered_model.created", "model_version_alias.created"]);
        assert!(made.active && made.description.is_none() && made.created_ms == 86_400_000);
        let id = made.webhook_id.clone();
        write(&db, |tx| {
            let second = webhook::create(tx, &on_day(2), hook("second", &["prompt.created"]))?;
            let page = webhook::list(tx, &on_day(2), 1, None)?;
            assert_eq!(page.items[0], second, "the newest first");
            let rest = webhook::list(tx, &on_day(2), 1, page.next_token.as_deref())?;
            assert_eq!((rest.items, rest.next_token), (vec![made], None));
            webhook::delete(tx, &on_day(2), &second.webhook_id)
        })
        .await;
        let change = Change { active: Some(false), secret: Some(String::new()), ..Change::default() };
        write(&db, move |tx| {
            let changed = webhook::update(tx, &on_day(3), &id, change)?;
            assert_eq!((changed.name.as_str(), changed.active, changed.updated_ms), ("ci", false, 3 * 86_400_000));
            assert!(webhook::target(tx, &on_day(3), &id, false)?.is_none());
            let target = webhook::target(tx, &on_day(3), &id, true)?.unwrap();
            assert_eq!((target.url.as_str(), target.secret), ("https://example.com/hook", None));
            webhook::delete(tx, &on_day(3), &id)?;
            assert!(matches!(webhook::get(tx, &on_day(3), &id), Err(Error::WebhookNotFound(_))));
            Ok(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_breaks_the_rules_is_named() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let long: &'static str = "x".repeat(64).leak();
        for name in ["", "-a", "a-", "a b", "ü", long] {
            let error = refused(&db, move |tx| webhook::create(tx, &on_day(1), hook(name, &["prompt.created"]))).await;
            assert!(error.to_string().starts_with("Webhook name"), "{name}: {error}");
        }
        for (topics, text) in
            [(&[][..], "non-empty"), (&["model_version.set"][..], "Invalid webhook event 'model_version.set'")]
        {
            let error = refused(&db, move |tx| webhook::create(tx, &on_day(1), hook("a", topics))).await;
            assert!(error.to_string().contains(text), "{error}");
        }
        for most in [0, 1_001] {
            let error = refused(&db, move |tx| webhook::list(tx, &on_day(1), most, None)).await;
            assert_eq!(error.to_string(), "max_results must be between 1 and 1000.");
        }
    })
    .await;
}

#[tokio::test]
async fn models_and_prompts_are_announced_in_mlflows_terms_to_those_who_wait() {
    testkit::on_both(MIGRATIONS, |db| async move {
        write(&db, |tx| model::create(tx, &on_day(1), "before", Vec::new(), None)).await;
        assert!(announced(&db).await.is_empty(), "nobody waits");
        write(&db, |tx| webhook::create(tx, &on_day(1), hook("all", &webhook::TOPICS))).await;
        write(&db, |tx| {
            let ctx = on_day(2);
            model::create(tx, &ctx, "m", vec![tag("k", "v")], Some("d"))?;
            register(tx, &ctx, "m")?;
            version::set_tag(tx, &ctx, "m", "1", &tag("a", "b"))?;
            version::delete_tag(tx, &ctx, "m", "1", "a")?;
            model::set_tag(tx, &ctx, "m", &tag("not", "told"))?;
            model::set_alias(tx, &ctx, "m", "champion", "1", "")?;
            model::delete_alias(tx, &ctx, "m", "champion", "")?;
            model::create(tx, &ctx, "p", vec![tag(IS_PROMPT, "true"), tag("k", "v")], None)?;
            let new = NewVersion {
                name: "p".to_owned(),
                source: "prompt-template".to_owned(),
                tags: vec![tag(IS_PROMPT, "true"), tag("mlflow.prompt.text", "Hi {{name}}"), tag("t", "1")],
                ..NewVersion::default()
            };
            version::create(tx, &ctx, new)?;
            model::set_tag(tx, &ctx, "p", &tag("x", "y"))?;
            model::delete_tag(tx, &ctx, "p", "x")?;
            version::set_tag(tx, &ctx, "p", "1", &tag("a", "b"))?;
            model::set_alias(tx, &ctx, "p", "live", "1", "")
        })
        .await;
        let source = "mlflow-artifacts:/0/r1/artifacts/model";
        let expect = [
            ("registered_model.created", json!({"name": "m", "tags": {"k": "v"}, "description": "d"})),
            (
                "model_version.created",
                json!({"name": "m", "version": "1", "source": source, "run_id": null, "tags": {}, "description": null}),
            ),
            ("model_version_tag.set", json!({"name": "m", "version": "1", "key": "a", "value": "b"})),
            ("model_version_tag.deleted", json!({"name": "m", "version": "1", "key": "a"})),
            ("model_version_alias.created", json!({"name": "m", "alias": "champion", "version": "1"})),
            ("model_version_alias.deleted", json!({"name": "m", "alias": "champion"})),
            ("prompt.created", json!({"name": "p", "tags": {"k": "v"}, "description": ""})),
            (
                "prompt_version.created",
                json!({"name": "p", "version": "1", "template": "Hi {{name}}", "tags": {"t": "1"}, "description": null}),
            ),
            ("prompt_tag.set", json!({"name": "p", "key": "x", "value": "y"})),
            ("prompt_tag.deleted", json!({"name": "p", "key": "x"})),
            ("prompt_version_tag.set", json!({"name": "p", "version": "1", "key": "a", "value": "b"})),
            ("prompt_alias.created", json!({"name": "p", "alias": "live", "version": "1"})),
        ];
        let expect: Vec<Value> = expect.into_iter().map(|(topic, data)| json!({"topic": topic, "data": data})).collect();
        assert_eq!(announced(&db).await, expect);
    })
    .await;
}
