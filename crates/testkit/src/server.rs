//! The PostgreSQL server of a test run.
//!
//! Tests run in many processes, so the server belongs to none of them: the first that needs it starts it under a small shell
//! supervisor, all others find it by its socket, and the supervisor stops it and removes its data when nobody has asked for a
//! database for some minutes. `RONDO_TEST_POSTGRES` names another server to use instead (a URL of its database `postgres`).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use postgres::{Client, NoTls};

const ADMIN: &str = "postgres";
const START_TIME: Duration = Duration::from_mins(1);

/// Settings of a server whose data nobody will miss.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "max_connections=400",
    "shared_buffers=64MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "log_min_messages=error",
    "log_min_error_statement=panic",
];

/// `$1` the directory, `$2` the server's program, then its arguments. Stops it when `used` has not been touched for 5 minutes.
const SUPERVISOR: &str = r#"
dir=$1; shift
"$@" & server=$!
while sleep 5 && kill -0 $server 2>/dev/null; do
    [ -n "$(find "$dir/used" -mmin -5 2>/dev/null)" ] || kill -INT $server
done
wait $server
rm -rf "$dir/data"
"#;

/// A database on the server of this test run; dropped with this handle.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be dropped goes with the server.
        let _ = command(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Makes an empty database, starting the server if need be.
pub(crate) fn fresh_database() -> anyhow::Result<Database> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = match std::env::var("RONDO_TEST_POSTGRES") {
        Ok(url) if !url.is_empty() => url,
        _ => running_server()?,
    };
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("t{}_{number}_{}", std::process::id(), &kernel::id::random_hex()[..8]);
    command(&server, &format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'"))
        .with_context(|| format!("cannot make a test database on {server}"))?;
    Ok(Database { server, name })
}

/// Runs one command; on a thread of its own, because the driver must not block inside an async runtime.
fn command(url: &str, sql: &str) -> anyhow::Result<()> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let worker = thread::spawn(move || -> anyhow::Result<()> {
        Client::connect(&url, NoTls)?.batch_execute(&sql)?;
        Ok(())
    });
    worker.join().map_err(|_| anyhow::anyhow!("the thread of the driver died"))?
}

fn with_database(server: &str, name: &str) -> String {
    let (base, query) =
        server.split_once('?').map_or((server, String::new()), |(base, query)| (base, format!("?{query}")));
    let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
    format!("{base}/{name}{query}")
}

/// The server that all test processes of this user share.
fn running_server() -> anyhow::Result<String> {
    let owner = owner();
    let directory = directory(owner.as_ref())?;
    let host = directory.display().to_string().replace('%', "%25").replace('/', "%2F");
    let url = format!("postgres://{ADMIN}@{host}/{ADMIN}");
    let used =
        || fs::write(directory.join("used"), b"").context("cannot touch the file that keeps the test server alive");
    used()?;
    if command(&url, "SELECT 1").is_ok() {
        return Ok(url);
    }
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("cannot lock the directory of the test server")?;
    used()?;
    if command(&url, "SELECT 1").is_err() {
        start(&directory, owner.as_ref(), &url)?;
    }
    Ok(url)
}

fn start(directory: &Path, owner: Option<&Owner>, url: &str) -> anyhow::Result<()> {
    let programs = reachable(programs()?, directory, owner)?;
    let data = directory.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    let mut initdb = as_owner(&programs.join("initdb"), owner);
    initdb
        .args(["--no-sync", "--auth=trust", "--locale=C", "--encoding=UTF8", "--username", ADMIN, "--pgdata"])
        .arg(&data);
    let output = initdb.current_dir(directory).output().context("cannot run initdb")?;
    ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());

    let log = File::create(directory.join("log"))?;
    let mut supervisor = as_owner(Path::new("sh"), owner);
    supervisor.arg("-c").arg(SUPERVISOR).arg("supervisor").arg(directory).arg(programs.join("postgres"));
    supervisor.arg("-D").arg(&data).arg("-k").arg(directory);
    supervisor.env("LD_LIBRARY_PATH", programs.with_file_name("lib"));
    supervisor.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    // A group of its own, and none of our pipes: the server outlives the test that started it.
    supervisor.process_group(0).current_dir(directory).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    supervisor.spawn().context("cannot start the test server")?;

    let since = Instant::now();
    while let Err(error) = command(url, "SELECT 1") {
        if since.elapsed() > START_TIME {
            let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
            return Err(error.context(format!("the test server does not start: {}", log.trim())));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The user that runs the server when we are root, which PostgreSQL refuses to be.
#[derive(Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

fn owner() -> Option<Owner> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let fields: Vec<&str> =
            users.lines().map(|line| line.split(':').collect()).find(|user: &Vec<_>| user[0] == name)?;
        Some(Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    };
    find("postgres").or_else(|| find("nobody")).or(Some(Owner { uid: 65_534, gid: 65_534 }))
}

fn as_owner(program: &Path, owner: Option<&Owner>) -> Command {
    let mut command = Command::new(program);
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    if let Some(home) = program.parent().and_then(Path::parent) {
        // A copy of a relocated installation finds its libraries beside it.
        command.env("LD_LIBRARY_PATH", home.join("lib"));
    }
    command.env_remove("PGDATA").env_remove("PGHOST").env_remove("PGPORT").env_remove("PGUSER");
    command
}

/// The programs where the owner of the server can run them: what lies in a home that is closed to others is copied.
fn reachable(programs: PathBuf, directory: &Path, owner: Option<&Owner>) -> anyhow::Result<PathBuf> {
    let probe = as_owner(&programs.join("postgres"), owner).arg("--version").current_dir(directory).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Ok(programs);
    }
    let (home, copy) = (programs.parent().context("the programs lie in no directory")?, directory.join("programs"));
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    let status = Command::new("cp").arg("-R").arg(home).arg(&copy).status().context("cannot run cp")?;
    ensure!(status.success(), "cannot copy {} to {}", home.display(), copy.display());
    Ok(copy.join(programs.file_name().unwrap_or_default()))
}

/// The directory of the shared server. Its path is short, because a socket's path may have 107 bytes only.
fn directory(owner: Option<&Owner>) -> anyhow::Result<PathBuf> {
    let me = rustix::process::getuid().as_raw();
    let mut root = std::env::temp_dir();
    if root.as_os_str().len() > 60 {
        root = PathBuf::from("/tmp");
    }
    let directory = root.join(format!("rondo-test-pg-{me}"));
    let uid = owner.map_or(me, |owner| owner.uid);
    match fs::create_dir(&directory) {
        Ok(()) => {
            fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
            if let Some(owner) = owner {
                std::os::unix::fs::chown(&directory, Some(owner.uid), Some(owner.gid))?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::metadata(&directory)?;
            // Another process may be between the two calls above.
            ensure!(found.uid() == uid || found.uid() == me, "{} belongs to somebody else", directory.display());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", directory.display())),
    }
    Ok(directory)
}

/// Where `postgres` and `initdb` are.
fn programs() -> anyhow::Result<PathBuf> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    candidates.extend(std::env::var_os("RONDO_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from));
    candidates.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut packaged: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        packaged.push((version, entry.path().join("bin")));
    }
    packaged.sort();
    candidates.extend(packaged.into_iter().rev().map(|(_, path)| path));
    for candidate in candidates {
        if let (Ok(server), Ok(initdb)) =
            (candidate.join("postgres").canonicalize(), candidate.join("initdb").canonicalize())
            && let (Some(home), true) = (server.parent(), server.parent() == initdb.parent())
        {
            return Ok(home.to_owned());
        }
    }
    bail!(
        "PostgreSQL is needed for this test and was not found: `cargo xtask test` installs it, or set RONDO_PG_BIN to the \
         directory of `postgres` and `initdb`, or RONDO_TEST_POSTGRES to the URL of a running server"
    )
}
