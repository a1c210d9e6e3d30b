//! Load over HTTP/1.1: `load ADDRESS PATH BODY_FILE CONNECTIONS SECONDS`, one JSON line with what came back.
//!
//! One thread, keep-alive connections, one request in flight on each; the request is the same bytes every time and of the answer only
//! the status and the length are read, so that the generator costs little beside what it measures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rondo_bench::{content_length, quantile_ms};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Wanted {
    address: String,
    path: String,
    body: Vec<u8>,
    connections: usize,
    seconds: f64,
}

#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    failures: Vec<String>,
}

fn main() -> Result<()> {
    let wanted = arguments()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let seen = runtime.block_on(tokio::task::LocalSet::new().run_until(fire(&wanted)))?;
    report(seen, started.elapsed());
    Ok(())
}

fn arguments() -> Result<Wanted> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &'static str| arguments.next().with_context(|| format!("{name} is missing"));
    Ok(Wanted {
        address: next("ADDRESS")?,
        path: next("PATH")?,
        body: next("BODY_FILE").and_then(|file| std::fs::read(file).context("reading the body"))?,
        connections: next("CONNECTIONS")?.parse()?,
        seconds: next("SECONDS")?.parse()?,
    })
}

async fn fire(wanted: &Wanted) -> Result<Seen> {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        wanted.path,
        wanted.address,
        wanted.body.len()
    );
    let request: std::rc::Rc<[u8]> = [head.as_bytes(), &wanted.body].concat().into();
    let until = Instant::now() + Duration::from_secs_f64(wanted.seconds);
    let mut tasks = Vec::new();
    for _ in 0..wanted.connections {
        let stream = TcpStream::connect(&wanted.address).await?;
        stream.set_nodelay(true)?;
        tasks.push(tokio::task::spawn_local(connection(stream, request.clone(), until)));
    }
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await?;
        all.latencies_us.extend(seen.latencies_us);
        all.failures.extend(seen.failures);
    }
    Ok(all)
}

async fn connection(mut stream: TcpStream, request: std::rc::Rc<[u8]>, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut buffer = Vec::with_capacity(16 << 10);
    while Instant::now() < until {
        let started = Instant::now();
        match exchange(&mut stream, &request, &mut buffer).await {
            Ok(200) => seen.latencies_us.push(started.elapsed().as_micros() as u32),
            Ok(status) => seen.failures.push(status.to_string()),
            Err(error) => {
                seen.failures.push(error.to_string());
                break;
            }
        }
    }
    seen
}

/// Sends the request and reads one answer; returns its status.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<u16> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?;
        let status: u16 = text.get(9..12).context("no status")?.parse()?;
        let need = head + 4 + content_length(text)?;
        while buffer.len() < need {
            if stream.read_buf(buffer).await? == 0 {
                bail!("the server closed the connection inside an answer");
            }
        }
        return Ok(status);
    }
}

fn report(mut seen: Seen, took: Duration) {
    seen.latencies_us.sort_unstable();
    let quantile = |share| quantile_ms(&seen.latencies_us, share);
    seen.failures.sort();
    let failed = seen.failures.len();
    seen.failures.dedup();
    let line = serde_json::json!({
        "requests": seen.latencies_us.len(),
        "per_second": (seen.latencies_us.len() as f64 / took.as_secs_f64()).round(),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "failed": failed,
        "failures": seen.failures,
    });
    #[expect(clippy::print_stdout, reason = "the report is the output of this program")]
    {
        println!("{line}");
    }
}
