//! What is read, and what is refused with which words.

use super::*;
use kernel::error::Classified;

const FULL: &str = r#"
[pipeline]
name = "flight-delay"
model = "flight-delay"
venv = "../venv"

[step.train]
run = "python train.py"
deps = ["train.py", "data/flights.csv"]
outs = ["out/"]
params = { days = 59, rate = 0.5, deep = true, name = "x" }
env = { LANG = "C" }
inherit = ["HTTPS_PROXY"]
timeout = "10m"
retries = { max = 2, backoff = "5s" }

[step.prepare]
run = ["python", "prepare.py"]
outs = ["data"]
retries = 1
always = true

[step.announce]
run = "true"
needs = ["train"]

[trigger.drift]
kind = "alert"
monitor = "flight-delay"
cooldown = "14d"
repeat = "28d"

[trigger.nightly]
kind = "cron"
cron = "0 3 * * *"
timezone = "America/New_York"

[trigger.rows]
kind = "data"
deployment = "flight-delay"
min_new_rows = 500

[trigger.hand]
kind = "manual"
"#;

#[test]
fn a_full_definition_is_read_and_ordered() {
    let pipeline = parse(FULL).unwrap();
    let names: Vec<&str> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["prepare", "train", "announce"]);
    let train = pipeline.step("train").unwrap();
    assert_eq!(train.needs, ["prepare"], "it reads what prepare makes");
    assert_eq!(train.outs, ["out"]);
    assert_eq!(train.timeout_us, Some(600_000_000));
    assert_eq!(train.retries, Retries { max: 2, backoff_us: 5_000_000 });
    assert_eq!(train.venv.as_deref(), Some("../venv"));
    let params: Vec<(&str, &str)> = train.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, [("days", "59"), ("deep", "true"), ("name", "x"), ("rate", "0.5")]);
    assert_eq!(pipeline.step("prepare").unwrap().retries.max, 1);
    assert_eq!(pipeline.triggers.len(), 4);
    assert_eq!(
        pipeline.trigger("drift").unwrap().cause,
        Cause::Alert {
            monitor: "flight-delay".to_owned(),
            rule: None,
            cooldown_us: 14 * kernel::clock::DAY_US,
            repeat_us: Some(28 * kernel::clock::DAY_US),
        }
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let check = |text: &str, message: &str, hint: &str| {
        let error = parse(text).expect_err(text);
        assert_eq!((error.to_string().as_str(), error.hint().unwrap_or_default().as_str()), (message, hint), "{text}");
    };
    let with = |body: &str| format!("[pipeline]\nname = \"p\"\n{body}");
    check("[step.a]\nrun = \"x\"", "pipeline: is missing", "begin with [pipeline] and name = \"...\"");
    check("[pipline]\nname = \"x\"", "pipline: is not a known key", "did you mean `pipeline`?");
    check(&with(""), "step: is missing", "a pipeline has at least one [step.NAME] with run = \"...\"");
    check(&with("[step.a]\nrun = \"x\"\nretires = 1"), "step.a.retires: is not a known key", "did you mean `retries`?");
    check(
        &with("[step.a]\nrun = \"x\"\nretries = { maximum = 1 }"),
        "step.a.retries.maximum: is not a known key",
        "known here: max, backoff",
    );
    check(&with("[step.a]"), "step.a.run: is missing", "say what the step runs, such as run = \"python train.py\"");
    check(&with("[step.a]\nrun = 3"), "step.a.run: must be a text or a list of texts, and is of type integer", "");
    check(
        &with("[step.a]\nrun = \"x\"\ntimeout = \"10\""),
        "step.a.timeout: `10` is not a span of time",
        "write 500ms, 90s, 10m, 2h or 7d",
    );
    check(&with("[step.a]\nrun = \"x\"\nretries = -1"), "step.a.retries: must be at least 0, and is -1", "");
    for path in ["/etc/passwd", "../x", "a/../b", "./a", "a//b", ""] {
        check(
            &with(&format!("[step.a]\nrun = \"x\"\nouts = [\"{path}\"]")),
            &format!("step.a.outs: `{path}` is not a plain path inside the pipeline's folder"),
            "write it relative to the folder, without `.` and `..`",
        );
    }
    check(
        &with("[step.a]\nrun = \"x\"\nneeds = [\"bb\"]\n[step.b]\nrun = \"x\""),
        "step.a.needs: there is no step `bb`",
        "did you mean `b`?",
    );
    check(
        &with("[trigger.t]\nkind = \"crom\"\n[step.a]\nrun = \"x\""),
        "trigger.t.kind: `crom` is not a kind of trigger",
        "did you mean `cron`?",
    );
    check(
        &with("[trigger.t]\nkind = \"cron\"\ncron = \"0 3 * * *\"\ntimezone = \"Mars\"\n[step.a]\nrun = \"x\""),
        "trigger.t.timezone: `Mars` is not a time zone",
        "such as `Europe/Berlin`",
    );
    check(
        &with("[step.a]\nrun = \"x\"\nenv = { RONDO_URL = \"x\" }"),
        "step.a.env: `RONDO_URL` is not yours to set: names in RONDO_ are ours",
        "",
    );
}

#[test]
fn steps_that_cannot_be_ordered_are_refused() {
    let check = |body: &str, message: &str| {
        let error = parse(&format!("[pipeline]\nname = \"p\"\n{body}")).expect_err(body);
        assert_eq!(error.to_string(), message);
    };
    check("[step.a]\nrun = \"x\"\nneeds = [\"a\"]", "step.a: waits for itself");
    check(
        "[step.a]\nrun = \"x\"\nneeds = [\"b\"]\n[step.b]\nrun = \"x\"\ndeps = [\"o/f\"]\n[step.c]\nrun = \"x\"\nneeds = [\"a\"]\nouts = [\"o\"]",
        "step.a: the steps wait for each other: a -> b -> c -> a",
    );
    check(
        "[step.a]\nrun = \"x\"\nouts = [\"o\"]\n[step.b]\nrun = \"x\"\nouts = [\"o\"]",
        "step.b.outs: `o` is made by step `a` already",
    );
    check(
        "[step.a]\nrun = \"x\"\nouts = [\"o\"]\n[step.b]\nrun = \"x\"\nouts = [\"o/x\"]",
        "step.b.outs: `o/x` overlaps with `o`, which step `a` makes",
    );
    check("[step.a]\nrun = \"x\"\nouts = [\"o\", \"o\"]", "step.a.outs: `o` is listed twice");
}
