//! Load on a tracking server: `track JSON`, one JSON line with what came back.
//!
//! Like `load`, but every request is another one: digits inside a prepared body are counted up (`"digits"`), so that no point is
//! logged twice, at the cost of a few bytes written. One thread, keep-alive connections, one request in flight on each.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rondo_bench::{content_length, quantile_ms};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What stands in a body where a number is to be counted up; ten digits wide.
const MARK: &[u8] = b"##########";
const WIDTH: usize = 10;

#[derive(Deserialize)]
struct Wanted {
    /// `127.0.0.1:5000`
    address: String,
    path: String,
    /// `POST` if it is not said.
    #[serde(default = "post")]
    method: String,
    /// One file for each connection; a connection takes them in turn if there are fewer.
    bodies: Vec<String>,
    connections: usize,
    seconds: f64,
    /// Where counting begins.
    first: u64,
}

fn post() -> String {
    "POST".to_owned()
}

#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    failures: Vec<String>,
    answer_bytes: usize,
    highest: u64,
}

struct Template {
    request: Vec<u8>,
    marks: Vec<usize>,
    next: u64,
}

impl Template {
    fn read(wanted: &Wanted, file: &str) -> Result<Self> {
        let body = std::fs::read(file).with_context(|| format!("reading {file}"))?;
        let mut request = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            wanted.method,
            wanted.path,
            wanted.address,
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let mut marks = Vec::new();
        let mut at = 0;
        while let Some(rest) = request.get(at..) {
            if rest.starts_with(MARK) {
                marks.push(at);
                at += WIDTH;
            } else {
                at += 1;
            }
        }
        Ok(Self { request, marks, next: wanted.first })
    }

    /// The next request: every mark has a number of its own.
    fn fill(&mut self) -> &[u8] {
        for &mark in &self.marks {
            let mut number = self.next;
            if let Some(digits) = self.request.get_mut(mark..mark + WIDTH) {
                for digit in digits.iter_mut().rev() {
                    *digit = b'0' + (number % 10) as u8;
                    number /= 10;
                }
            }
            self.next += 1;
        }
        &self.request
    }
}

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).context("what to do is missing: track JSON")?;
    let wanted: Wanted = serde_json::from_str(&wanted)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let seen = runtime.block_on(tokio::task::LocalSet::new().run_until(fire(&wanted)))?;
    report(seen, started.elapsed());
    Ok(())
}

async fn fire(wanted: &Wanted) -> Result<Seen> {
    let until = Instant::now() + Duration::from_secs_f64(wanted.seconds);
    let mut tasks = Vec::new();
    for file in wanted.bodies.iter().cycle().take(wanted.connections) {
        let template = Template::read(wanted, file)?;
        let address: Rc<str> = wanted.address.as_str().into();
        tasks.push(tokio::task::spawn_local(connection(address, template, until)));
    }
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await?;
        all.latencies_us.extend(seen.latencies_us);
        all.failures.extend(seen.failures);
        all.answer_bytes = all.answer_bytes.max(seen.answer_bytes);
        all.highest = all.highest.max(seen.highest);
    }
    Ok(all)
}

/// One connection; opened anew when the server closes it, as some do between requests.
async fn connection(address: Rc<str>, mut template: Template, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut stream: Option<TcpStream> = None;
    while Instant::now() < until {
        let request = template.fill();
        let started = Instant::now();
        match exchange(&address, &mut stream, request, &mut buffer).await {
            Ok(200) => seen.latencies_us.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX)),
            Ok(status) => seen.failures.push(status.to_string()),
            Err(error) => {
                seen.failures.push(error.to_string());
                stream = None;
            }
        }
        seen.answer_bytes = seen.answer_bytes.max(buffer.len());
    }
    seen.highest = template.next;
    seen
}

/// Sends the request and reads one answer; returns its status.
async fn exchange(address: &str, kept: &mut Option<TcpStream>, request: &[u8], buffer: &mut Vec<u8>) -> Result<u16> {
    let mut stream = if let Some(stream) = kept.take() {
        stream
    } else {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream
    };
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
        let close = text.to_ascii_lowercase().contains("connection: close");
        while buffer.len() < need {
            if stream.read_buf(buffer).await? == 0 {
                bail!("the server closed the connection inside an answer");
            }
        }
        if !close {
            *kept = Some(stream);
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
        "seconds": took.as_secs_f64(),
        "per_second": seen.latencies_us.len() as f64 / took.as_secs_f64(),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "answer_bytes": seen.answer_bytes,
        "next": seen.highest,
        "failed": failed,
        "failures": seen.failures.iter().take(5).collect::<Vec<_>>(),
    });
    #[expect(clippy::print_stdout, reason = "the report is the output of this program")]
    {
        println!("{line}");
    }
}
