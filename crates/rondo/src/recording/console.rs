//! What a command writes: to the terminal as it is, to a file, and from there to the server while the command runs.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::stream::{self, Stream};
use kernel::task::Shutdown;
use tokio::io::AsyncReadExt as _;

use super::sender::locked;
use super::{Sender, artifact_path};

/// How often the server is shown what is new, at most.
const SHOW: Duration = Duration::from_secs(1);
/// The whole file is sent each time, so a long one more rarely: at most so many bytes a second.
const RATE: u64 = 2 << 20;
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// The file of an attempt, in the spool.
pub(super) fn file_name(attempt: u32) -> String {
    if attempt <= 1 { "console.log".to_owned() } else { format!("console-{attempt}.log") }
}

/// Opens the file of an attempt.
pub(super) fn open(path: &Path) -> std::io::Result<Arc<Mutex<File>>> {
    Ok(Arc::new(Mutex::new(File::options().create(true).append(true).open(path)?)))
}

/// Copies what comes to the terminal and to the file until it ends. A terminal that is gone does not end the command. The terminal has
/// everything at once; the file has whole lines, because the two streams of a command share it and Python, for one, writes the end of
/// a line apart.
pub(super) fn copy(mut from: impl Read, mut to: impl Write, file: &Mutex<File>) {
    let mut piece = vec![0; PIECE];
    let mut line = Vec::new();
    let mut listening = true;
    // A disk that is full costs the record of the output, not the run.
    let keep = |bytes: &[u8]| drop(locked(file).write_all(bytes));
    loop {
        let read = match from.read(&mut piece) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            _ => return keep(&line),
        };
        let bytes = piece.get(..read).unwrap_or_default();
        listening = listening && to.write_all(bytes).and_then(|()| to.flush()).is_ok();
        line.extend_from_slice(bytes);
        // A bar of progress ends its lines by going back.
        let ended = line.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let whole = if line.len() - ended > PIECE { line.len() } else { ended };
        keep(line.get(..whole).unwrap_or_default());
        line.drain(..whole);
    }
}

/// Shows the server what was written, again and again, until it is time to stop. The last word is not ours: the end of the run
/// puts the whole file into the spool.
pub(super) async fn keep_showing(sender: Arc<Sender>, attempt: u32, mut shutdown: Shutdown) {
    let path = sender.spool().dir().join(file_name(attempt));
    let place = artifact_path(attempt, "console.log");
    let (mut shown, mut next) = (0, Instant::now());
    while !shutdown.is_stopping() {
        tokio::select! {
            () = tokio::time::sleep(SHOW / 4) => {}
            () = shutdown.wait() => return,
        }
        let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        if size == shown || Instant::now() < next {
            continue;
        }
        let Some(target) = sender.about().target else { continue };
        if sender.put(&target, &place, &path, Some(size)).await.is_ok() {
            shown = size;
        }
        next = Instant::now() + SHOW.max(Duration::from_millis(size * 1_000 / RATE));
    }
}

/// The first bytes of a file, piece by piece. A file that is shorter ends early, which the receiver notices.
pub(super) fn pieces(file: tokio::fs::File, size: u64) -> impl Stream<Item = std::io::Result<Vec<u8>>> {
    stream::try_unfold((file, size), |(mut file, left)| async move {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if want == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; want];
        let read = file.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        piece.truncate(read);
        Ok(Some((piece, (file, left - read as u64))))
    })
}

/// The last line that says something.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(8_192))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one piece at each read; between the first and the second the other stream says its line.
    struct Halting<'a> {
        pieces: Vec<&'static [u8]>,
        file: &'a Mutex<File>,
    }

    impl Read for Halting<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.pieces.len() == 1 {
                copy(&b"the other\n"[..], std::io::sink(), self.file);
            }
            let piece = self.pieces.pop().unwrap_or_default();
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn lines_of_two_streams_stay_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        let file = open(&path).unwrap();
        let mut terminal = Vec::new();
        copy(Halting { pieces: vec![b"\nend", b"one"], file: &file }, &mut terminal, &file);
        assert_eq!(terminal, b"one\nend");
        assert_eq!(std::fs::read(&path).unwrap(), b"the other\none\nend");
    }
}
