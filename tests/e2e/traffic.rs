//! Clients: one request at a time, and load with a report.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::tool;

/// HTTP status and body of one request with a connection of its own.
pub async fn request(method: &str, address: &str, path: &str) -> Result<(u16, String), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(15), exchange).await;
    let answer = answer.map_err(|_| "no answer within 15 s")?.map_err(|error| error.to_string())?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("not HTTP: {answer:?}"))?;
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// Load on some services, until it is asked for the report.
pub struct Load {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

/// What it has seen.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Requests that opened a connection.
    pub new: u64,
    /// Requests over a connection that stays.
    pub kept: u64,
    /// Those without the answer 200.
    pub failed: u64,
    /// When and why.
    pub causes: BTreeMap<String, u64>,
    /// Who answered.
    pub versions: BTreeMap<String, u64>,
    /// The slowest answer, in milliseconds.
    pub slowest: u64,
}

impl Load {
    /// Starts it: for each address so many workers with new and with kept connections, who pause for so many
    /// milliseconds after each request.
    pub fn on(addresses: &[String], workers: usize, pause: u64) -> Self {
        Self::at("/work", addresses, workers, pause)
    }

    /// The same at this path.
    pub fn at(path: &str, addresses: &[String], workers: usize, pause: u64) -> Self {
        let urls = addresses.iter().map(|address| format!("http://{address}{path}"));
        let mut process = Command::new(tool("shop"))
            .arg("load")
            .args([format!("--new={workers}"), format!("--kept={workers}"), format!("--pause={pause}ms")])
            .args(urls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the load starts: make node-tools builds it");
        let mut output = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its output is text");
        assert_eq!(line, "started\n");
        Self { process, output }
    }

    /// Ends it.
    pub fn report(mut self) -> Report {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("its output is text");
        serde_json::from_str(&text).expect("the report is JSON")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Report {
    /// All requests.
    pub fn total(&self) -> u64 {
        self.new + self.kept
    }

    /// Every request has been answered with 200.
    pub fn assert_perfect(&self) {
        assert_eq!(self.failed, 0, "of {} requests: {self:#?}", self.total());
    }
}
