//! `just bench-fetch`: a package that is fetched, hashed and unpacked, by PAR and by the programs
//! people would pipe together, from the same server, in turns.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use par_tests::{Answer, Authority, Line, Package, PackageServer, RunningHost, TestHost};
use sha2::{Digest as _, Sha256};

use crate::Outcome;
use crate::figures::{self, Figures, median};

/// Sizes of the packages. Unit: MiB.
const SIZES: [usize; 3] = [1, 20, 100];

/// Letters the data is made of: deflated, it becomes three quarters as large.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Files the data is divided into.
const FILES: usize = 8;

/// Measures `rounds` times and adds the medians.
pub(crate) fn measure(rounds: usize, figures: &mut Figures) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        for mebibytes in SIZES {
            Race::new(mebibytes).await?.run(rounds, figures).await?;
        }
        Ok(())
    })
}

struct Race {
    mebibytes: usize,
    digest: String,
    authority: Authority,
    server: PackageServer,
    place: tempfile::TempDir,
}

impl Race {
    async fn new(mebibytes: usize) -> Outcome<Self> {
        let place = tempfile::tempdir()?;
        let archive = fs_err::read(package(mebibytes).write_archive(place.path()))?;
        let digest = Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect();
        let authority = Authority::new();
        let server = PackageServer::start(&authority, [Answer::Whole(archive)]).await;
        Ok(Self { mebibytes, digest, authority, server, place })
    }

    async fn run(&self, rounds: usize, figures: &mut Figures) -> Outcome<()> {
        figures::say(&format!("fetching {} MiB", self.mebibytes));
        let (mut ours, mut shell, mut kept, mut boots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let cache = tempfile::tempdir()?;
            let first = self.par(cache.path()).start().await;
            let spent = phase(&first, "download")? + phase(&first, "extract")?;
            first.wait_for_event("Package kept for the next start").await;
            drop(first);
            let again = self.par(cache.path()).start().await;
            let (unfetched, boot) = (phase(&again, "download")?, again.ready().await.detail("boot_ms").as_f64());
            drop(again);
            let piped = self.shell()?;
            // The first round warms the machine up.
            if round > 0 {
                ours.push(spent);
                shell.push(piped);
                kept.push(unfetched);
                boots.extend(boot);
            }
        }
        let (size, ours, shell) = (self.mebibytes, median(ours), median(shell));
        figures.add(
            &format!("fetch.{size}.shell"),
            &format!("{size} MiB: `curl \\| tee \\| sha256sum`, `unzip`"),
            shell,
            "ms",
        );
        figures.add(&format!("fetch.{size}.par"), &format!("{size} MiB: fetched, hashed, unpacked by PAR"), ours, "ms");
        figures.add(&format!("fetch.{size}.ratio"), &format!("{size} MiB: PAR / shell"), ours / shell, "");
        figures.add(
            &format!("fetch.{size}.kept"),
            &format!("{size} MiB: a kept package is found and hashed"),
            median(kept),
            "ms",
        );
        figures.add(
            &format!("fetch.{size}.boot"),
            &format!("{size} MiB: start to ready with a kept package"),
            median(boots),
            "ms",
        );
        Ok(())
    }

    fn par(&self, cache: &Path) -> TestHost {
        TestHost::fetching(&self.server.url("/package.apkg"))
            .with_guest()
            .env("SSL_CERT_FILE", self.authority.file())
            .env("PACKAGE_INTERNAL_HOSTS", "localhost")
            .env("PACKAGE_SHA256", &self.digest)
            .env("MAX_PACKAGE_SIZE_MB", "200")
            .env("PAR_CACHE_DIR", cache)
    }

    /// The same with the programs of the machine.
    #[expect(clippy::disallowed_methods, reason = "what PAR is compared with is programs")]
    fn shell(&self) -> Outcome<f64> {
        let script = "curl -sS --fail --cacert \"$CA\" \"$URL\" | tee \"$PLACE/package\" | sha256sum > \"$PLACE/digest\" \
                      && grep -q \"$DIGEST\" \"$PLACE/digest\" && unzip -q \"$PLACE/package\" -d \"$PLACE/unpacked\"";
        let place = tempfile::tempdir_in(self.place.path())?;
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("CA", self.authority.file()).env("URL", self.server.url("/package.apkg"));
        command.env("PLACE", place.path()).env("DIGEST", &self.digest);
        let begun = Instant::now();
        let status = command.status()?;
        let spent = begun.elapsed().as_secs_f64() * 1e3;
        if status.success() { Ok(spent) } else { Err("the shell pipeline failed; it needs curl and unzip".into()) }
    }
}

/// An agent that answers, and data it never looks at.
fn package(mebibytes: usize) -> Package {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        LETTERS[usize::from(state.to_le_bytes()[5] & 63)]
    };
    // Three quarters of it come out of deflate; the archive is to have the size.
    let each = mebibytes * (1 << 20) * 4 / 3 / FILES;
    (0..FILES).fold(Package::example("stdlib"), |package, number| {
        let data: Vec<u8> = (0..each).map(|_| letter()).collect();
        package.file(&format!("data/{number}.txt"), data)
    })
}

/// How long a phase of the boot took.
fn phase(host: &RunningHost, name: &str) -> Outcome<f64> {
    let is_wanted = |line: &&Line| line.text_of("phase") == name;
    let lines = host.events("Boot phase completed");
    let line = lines.iter().find(is_wanted).ok_or("the log lacks a phase of the boot")?;
    line.detail("duration_ms").as_f64().ok_or_else(|| "a phase without its time".into())
}
