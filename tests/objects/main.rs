//! An S3-compatible store for containers: `par-objects DIRECTORY ADDRESS` serves the buckets of a directory, prints
//! the address it has, and ends when it is killed. It checks signatures, as S3 does.

use std::error::Error;
use std::io::Write as _;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use par_tests::ObjectStore;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("expected a directory and an address".into());
    };
    let mut builder = S3ServiceBuilder::new(FileSystem::new(directory).map_err(|error| format!("{error:?}"))?);
    builder.set_auth(SimpleAuth::from_single(ObjectStore::KEY_ID, ObjectStore::KEY));
    let service = builder.build();
    let listener = TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // A client that breaks off is its own affair.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
