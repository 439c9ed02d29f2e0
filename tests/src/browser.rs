//! A real browser, driven through its own driver: pages are opened as a person would open them.
//!
//! Chromium speaks to a proxy that serves nothing, so that nothing leaves the machine, neither of a page nor of the
//! browser itself. What a page wants is what the browser's network log says.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::built::variable;

/// A browser with an empty profile. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    _proxy: JoinHandle<()>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one. Fails with how to get it where there is none.
    ///
    /// A browser that does not come up, for a port or for memory, is started again; what a page does is never
    /// tried twice.
    pub async fn start() -> Self {
        let mut reasons = Vec::new();
        for _ in 0..3 {
            match Self::try_start().await {
                Ok(browser) => return browser,
                Err(reason) => reasons.push(reason),
            }
        }
        panic!("the browser does not start: {reasons:#?}");
    }

    async fn try_start() -> Result<Self, String> {
        let (browser, driver) = (installed("chromium"), installed("chromedriver"));
        let profile = tempfile::Builder::new().prefix("par-browser-").tempdir().unwrap();
        let (proxy, proxying) = deaf_proxy().await;
        let (driver, port) = start_driver(&driver, profile.path()).await?;
        #[expect(clippy::disallowed_methods, reason = "a test is a client")]
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1200,900".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
            format!("--proxy-server=http://{proxy}"),
            // Without this, pages on this machine would go around the proxy.
            "--proxy-bypass-list=<-loopback>".to_owned(),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": browser, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let base = format!("http://127.0.0.1:{port}");
        let sent = client.post(format!("{base}/session")).json(&capabilities).send().await;
        let answer: Value = sent.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())?;
        let id = answer["value"]["sessionId"].as_str().ok_or_else(|| answer.to_string())?;
        let session = format!("{base}/session/{id}");
        Ok(Self { driver, client, session, _proxy: proxying, _profile: profile })
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let sent = self.client.post(format!("{}/{path}", self.session)).json(&body).send().await.unwrap();
        let mut answer: Value = sent.json().await.unwrap();
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    /// Opens a file, or a URL, and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.command("url", json!({"url": url})).await;
    }

    /// Opens a file of this machine.
    pub async fn open_file(&self, path: &Path) {
        self.open(&format!("file://{}", path.display())).await;
    }

    /// What a function body returns in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({"script": script, "args": []})).await
    }

    /// What a function body returns in the page, once it is neither null nor false.
    pub async fn wait_for(&self, what: &str, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0], look = () => {{ const found = (() => {{ {script} }})();
             if (found) done(found); else requestAnimationFrame(look); }}; look();"
        );
        self.command("timeouts", json!({"script": PATIENCE.as_secs() * 1000})).await;
        let found = timeout(PATIENCE, self.command("execute/async", json!({"script": script, "args": []}))).await;
        found.unwrap_or_else(|_| panic!("the page never had {what}"))
    }

    /// Draws pages as on a light or a dark screen, or on paper.
    pub async fn emulate(&self, media: &str, scheme: &str) {
        let params = json!({"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("goog/cdp/execute", json!({"cmd": "Emulation.setEmulatedMedia", "params": params})).await;
    }

    /// Another width of the window. Unit: pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.command("window/rect", json!({"width": width, "height": height})).await;
    }

    /// What the browser wrote to its console since the last time: errors of scripts and of what may be loaded.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.command("se/log", json!({"type": "browser"})).await;
        lines.as_array().unwrap().iter().map(ToString::to_string).collect()
    }

    /// What pages wanted since the last time, from wherever: every URL the browser was about to send a request to,
    /// that is no file, no part of the page and no part of the browser.
    pub async fn wanted(&self) -> Vec<String> {
        let lines = self.command("se/log", json!({"type": "performance"})).await;
        let of_line = |line: &Value| {
            let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let message = &event["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            Some(message["params"]["request"]["url"].as_str().filter(|_| sent)?.to_owned())
        };
        let urls = lines.as_array().unwrap().iter().filter_map(of_line);
        urls.filter(|url| !["file:", "data:", "chrome:"].iter().any(|inside| url.starts_with(inside))).collect()
    }

    /// A picture of the window, as PNG in base64, where `TEST_SCREENSHOTS` names a directory for it.
    pub async fn picture(&self, name: &str) {
        let Some(directory) = variable("TEST_SCREENSHOTS") else { return };
        let answer: Value =
            self.client.get(format!("{}/screenshot", self.session)).send().await.unwrap().json().await.unwrap();
        let file = Path::new(&directory).join(format!("{name}.png.base64"));
        fs_err::write(file, answer["value"].as_str().unwrap()).unwrap();
    }

    /// Ends the browser and its driver.
    pub async fn close(mut self) {
        let _ = self.client.delete(&self.session).send().await;
        let _ = self.driver.kill().await;
        self.session.clear();
    }
}

/// For a test that failed: the driver alone would leave its browser running.
impl Drop for Browser {
    fn drop(&mut self) {
        let Some((host, path)) = self.session.strip_prefix("http://").and_then(|url| url.split_once('/')) else {
            return;
        };
        let ended = TcpStream::connect(host).and_then(|mut driver| {
            driver.set_read_timeout(Some(PATIENCE))?;
            write!(driver, "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
            // It answers when the browser is gone.
            driver.read(&mut [0; 64])
        });
        drop(ended);
    }
}

fn installed(name: &str) -> PathBuf {
    let path = variable("PATH").unwrap_or_default();
    let mut found = path.split(':').map(|directory| Path::new(directory).join(name)).filter(|path| path.is_file());
    found.next().unwrap_or_else(|| {
        panic!("there is no `{name}`, which this test opens pages with; run as root: apt-get install chromium chromium-driver")
    })
}

/// Starts the driver; it says on which port it listens.
async fn start_driver(driver: &Path, home: &Path) -> Result<(Child, u16), String> {
    #[expect(clippy::disallowed_methods, reason = "the browser is a process")]
    let mut command = Command::new(driver);
    command.arg("--port=0").env_clear().env("HOME", home).env("TMPDIR", home);
    command.env("PATH", variable("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = timeout(PATIENCE, async {
        let mut said = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                return rest.trim_end_matches('.').parse().map_err(|_| line);
            }
            said.push_str(&line);
        }
        Err(format!("the driver says no port: {said}"))
    });
    let port = port.await.expect("the driver says something or ends")?;
    // Nobody must stop it from writing.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, port))
}

/// Takes connections and closes them.
async fn deaf_proxy() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection)
        }
    });
    (address, task)
}
