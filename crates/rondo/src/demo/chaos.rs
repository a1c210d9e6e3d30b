//! Random moments at which the server is killed; the same seed gives the same moments.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::server::Server;

/// One kill: so long after the beginning of a day of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) day: i64,
    pub(super) delay: Duration,
}

/// Draws `times` moments within the days from `first` to before `end`, in order. A day without a retraining takes some
/// hundredths of a second, one with a retraining some seconds: two thirds of the delays hit requests, one third what follows.
pub(super) fn plan(times: u32, seed: u64, first: i64, end: i64) -> Vec<Kill> {
    let mut state = seed;
    let days = u64::try_from(end - first).unwrap_or(0).max(1);
    let mut kills: Vec<Kill> = (0..times)
        .map(|_| {
            let day = first + i64::try_from(draw(&mut state) % days).unwrap_or(0);
            let longest_ms = if draw(&mut state).is_multiple_of(3) { 6_000 } else { 60 };
            Kill { day, delay: Duration::from_micros(draw(&mut state) % (longest_ms * 1_000)) }
        })
        .collect();
    kills.sort_by_key(|kill| (kill.day, kill.delay));
    kills
}

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Kills the server when the time has come.
pub(super) fn arm(server: &Arc<Server>, kill: Kill) -> JoinHandle<()> {
    let server = Arc::clone(server);
    kernel::task::spawn("chaos", async move {
        tokio::time::sleep(kill.delay).await;
        if let Err(error) = server.kill().await {
            tracing::warn!(%error, "a kill missed");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_moments_and_another_gives_others() {
        let kills = plan(50, 1, 10, 306);
        assert_eq!(kills, plan(50, 1, 10, 306));
        assert_ne!(kills, plan(50, 2, 10, 306));
        assert_eq!(kills.len(), 50);
        assert!(kills.iter().all(|kill| (10..306).contains(&kill.day)));
        assert!(kills.is_sorted_by_key(|kill| kill.day));
    }
}
