//! The replay: day by day the flights are predicted, then the truths of that day are told, then the watermark moves; and before the
//! next day begins, everything that follows from it has been done.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kernel::clock::{DAY_US, parse_us, rfc3339};
use kernel::event::Event;
use serde_json::{Value, json};

use super::api::Api;
use super::flights::{DAYS, Flights, START_US};
use super::progress::{self, Step};
use super::{NAME, chaos, tell};

/// Flights in one request.
const BATCH: usize = 512;
/// Outcomes in one request.
const TRUTHS: usize = 2_048;

/// What this replay did, as the sender knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Replayed {
    /// Predictions that this program was answered.
    pub(super) predicted: u64,
    /// Time that those answers took.
    pub(super) predicting: Duration,
    /// Time of the whole replay.
    pub(super) took: Duration,
    /// How often the server was killed.
    pub(super) kills: u32,
    /// The longest time until it was ready again.
    pub(super) slowest_start: Duration,
}

/// Replays what is not done yet.
pub(super) async fn run(api: &Api, flights: &Flights, (times, seed): (u32, u64)) -> anyhow::Result<Replayed> {
    let first_day = days_done(api).await?;
    if first_day >= DAYS {
        return Ok(Replayed::default());
    }
    let begun = Instant::now();
    let step = progress::days("replay", DAYS.unsigned_abs());
    let mut kills = chaos::plan(times, seed, first_day, DAYS).into_iter().peekable();
    let mut armed = Vec::new();
    let mut news = News::from_now(api).await?;
    let mut replayed = Replayed::default();
    for day in first_day..DAYS {
        while let Some(kill) = kills.next_if(|kill| kill.day == day) {
            armed.push(chaos::arm(api.server(), kill));
        }
        show(&step, day, &replayed);
        send(api, flights, day, &mut replayed).await?;
        settle(api, &step, day).await?;
        news.tell(api, &step).await?;
    }
    for kill in armed {
        kill.await?;
    }
    // A day for the truths of the last window, then all is known.
    watermark(api, START_US + (DAYS + 1) * DAY_US).await?;
    rest(api).await?;
    news.tell(api, &step).await?;
    replayed.took = begun.elapsed();
    (replayed.kills, replayed.slowest_start) = api.server().kills().await;
    let rate = rate(&replayed).map_or_else(String::new, |rate| format!(", {rate} predictions per second"));
    step.done(format!("{} flights{rate}", tell::thousands(replayed.predicted)));
    Ok(replayed)
}

/// The days that are done, as the deployment's watermark has it.
async fn days_done(api: &Api) -> anyhow::Result<i64> {
    let deployment = api.get(&format!("/api/v1/deployments/{NAME}")).await?;
    let Some(mark) = deployment["watermark"].as_str() else { return Ok(0) };
    let mark_us = parse_us(mark).with_context(|| format!("`{mark}` is no watermark"))?;
    Ok(((mark_us - START_US) / DAY_US).max(0))
}

/// Sends the flights of a day, then the truths that became known on it.
async fn send(api: &Api, flights: &Flights, day: i64, replayed: &mut Replayed) -> anyhow::Result<()> {
    for batch in flights.of_day(day).chunks(BATCH) {
        let body = flights.predict(batch);
        let begun = Instant::now();
        let answer = api.post(&format!("/deployments/{NAME}/predict"), body).await?;
        replayed.predicting += begun.elapsed();
        let answered = answer["predictions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let same =
            answered.iter().map(|one| one["id"].as_str()).eq(batch.iter().map(|flight| Some(flight.id.as_str())));
        ensure!(same, "the answer is not to the flights that were asked about");
        replayed.predicted += batch.len() as u64;
    }
    let truths: Vec<Value> = flights.known_on(day).filter_map(super::flights::Flight::told).collect();
    for batch in truths.chunks(TRUTHS) {
        let answer = api.post("/api/v1/outcomes", json!({ "outcomes": batch }).to_string()).await?;
        ensure!(answer["accepted"] == json!(batch.len()), "not all outcomes were accepted: {answer}");
    }
    Ok(())
}

/// Says that the day is over, and waits until nothing is left to do about it.
async fn settle(api: &Api, step: &Step, day: i64) -> anyhow::Result<()> {
    watermark(api, START_US + (day + 1) * DAY_US).await?;
    rest_with(api, |pending| {
        if pending.contains("pipeline") {
            step.note(format!("{}  retraining", date(day)));
        }
    })
    .await
}

async fn watermark(api: &Api, at_us: i64) -> anyhow::Result<()> {
    let body = json!({ "event_time": rfc3339(at_us) }).to_string();
    api.post(&format!("/api/v1/deployments/{NAME}/watermark"), body).await.map(drop)
}

/// Waits until the loop is at rest.
pub(super) async fn rest(api: &Api) -> anyhow::Result<()> {
    rest_with(api, |_| {}).await
}

async fn rest_with(api: &Api, pending: impl Fn(&str)) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        let state = api.get("/api/v1/loop").await?;
        if state["idle"] == json!(true) {
            return Ok(());
        }
        pending(&state["pending"].to_string());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn show(step: &Step, day: i64, replayed: &Replayed) {
    step.at(day.unsigned_abs());
    let rate = rate(replayed).map_or_else(String::new, |rate| format!("  {rate} predictions/s"));
    step.note(format!("{}{rate}", date(day)));
}

/// The date of a day of the replay.
fn date(day: i64) -> String {
    tell::date(START_US + day * DAY_US)
}

/// Predictions per second of waiting for them.
pub(super) fn rate(replayed: &Replayed) -> Option<String> {
    let seconds = replayed.predicting.as_secs_f64();
    (seconds > 0.0).then(|| tell::thousands((replayed.predicted as f64 / seconds) as u64))
}

/// What Rondo decided meanwhile, told as it happens.
struct News {
    seen: i64,
}

impl News {
    async fn from_now(api: &Api) -> anyhow::Result<Self> {
        let last = api.get("/api/v1/events?limit=1").await?;
        Ok(Self { seen: last["events"][0]["seq"].as_i64().unwrap_or(-1) })
    }

    async fn tell(&mut self, api: &Api, step: &Step) -> anyhow::Result<()> {
        let answer = api.get(&format!("/api/v1/events?after={}&limit=1000", self.seen)).await?;
        let events: Vec<Event> = serde_json::from_value(answer["events"].clone()).context("the events")?;
        for event in events {
            self.seen = self.seen.max(event.seq);
            if let Some(headline) = tell::headline(&event) {
                step.tell(&tell::line_of(&headline));
            }
        }
        Ok(())
    }
}
