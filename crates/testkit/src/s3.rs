//! An S3 server of a test: `s3s-fs` on a free port, with signatures checked, its files in a directory of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hyper::body::Incoming;
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";
const BUCKET: &str = "test-bucket";

/// A running server with one empty bucket; it stops with this handle.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    task: JoinHandle<()>,
    directory: TempDir,
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a server does with "only if there is none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// As S3 itself.
    Minded,
    /// It writes all the same, as older S3-compatible stores do.
    Ignored,
    /// It answers 501, as some do.
    Refused,
}

impl S3 {
    /// A server that does what S3 does.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with_conditions(Conditions::Minded).await
    }

    /// A server that treats conditional writes in one of the ways that there are.
    pub async fn with_conditions(conditions: Conditions) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("cannot make a directory for an S3 server")?;
        std::fs::create_dir(directory.path().join(BUCKET))?;
        let files = s3s_fs::FileSystem::new(directory.path()).map_err(|error| anyhow!("{error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let front = Arc::new(Front {
            root: directory.path().to_owned(),
            conditions,
            service: service.build(),
            conditional: tokio::sync::Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = kernel::task::spawn("test-s3", async move {
            while let Ok((stream, _)) = listener.accept().await {
                kernel::task::spawn("test-s3-connection", serve(stream, Arc::clone(&front)));
            }
        });
        Ok(Self { address, task, directory })
    }

    /// The URL of a prefix in its bucket, as `Blob::open` takes it.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The variables that lead to it.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// Where it keeps the objects: one file each, named by bucket and key, its own notes in files that begin with a dot.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

struct Front {
    root: PathBuf,
    conditions: Conditions,
    service: S3Service,
    /// The file server looks and writes in two steps, where S3 does both in one.
    conditional: tokio::sync::Mutex<()>,
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Response<s3s::Body> {
        let file = self.root.join(request.uri().path().trim_start_matches('/'));
        if request.method() == Method::HEAD && file.is_dir() && file.parent() != Some(&self.root) {
            // the file server takes its directories for objects that it cannot read
            return plain(StatusCode::NOT_FOUND, "");
        }
        let conditional = request.headers().contains_key(IF_NONE_MATCH);
        let _alone = if conditional { Some(self.conditional.lock().await) } else { None };
        if conditional {
            match self.conditions {
                Conditions::Minded => {}
                Conditions::Ignored => drop(std::fs::remove_file(file)),
                Conditions::Refused => {
                    return plain(StatusCode::NOT_IMPLEMENTED, "<Error><Code>NotImplemented</Code></Error>");
                }
            }
        }
        let answered = self.service.call(request.map(s3s::Body::from)).await;
        answered.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, ""))
    }
}

fn plain(status: StatusCode, body: &'static str) -> Response<s3s::Body> {
    let mut answer = Response::new(s3s::Body::from(body.to_owned()));
    *answer.status_mut() = status;
    answer
}

async fn serve(stream: TcpStream, front: Arc<Front>) {
    let answer = hyper::service::service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    // A connection that breaks is the client's to notice.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
}
