//! What a process weighs.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Memory counts as settled when it grew by less than this between two looks.
const NOISE_MIB: f64 = 0.5;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Memory of one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All pages in memory, shared ones included.
    pub(crate) resident_mib: f64,
    /// Pages it has written to. Clean ones, such as the guest's code, are shared with whoever else
    /// maps the same files.
    pub(crate) private_mib: f64,
}

/// The memory of a process once its instances have started, which they do in the background.
pub(crate) fn settled(process: u32) -> Outcome<Memory> {
    let start = Instant::now();
    let mut before = now(process)?;
    loop {
        sleep(BETWEEN_LOOKS);
        let after = now(process)?;
        if (after.resident_mib - before.resident_mib).abs() < NOISE_MIB {
            return Ok(after);
        }
        if start.elapsed() > LONGEST {
            return Err("memory keeps growing while nothing is asked".into());
        }
        before = after;
    }
}

fn now(process: u32) -> Outcome<Memory> {
    // Not `smaps_rollup`: of a process that must not be dumped, only root may read that.
    let status = fs_err::read_to_string(format!("/proc/{process}/status"))?;
    let mib = |key: &str| -> Outcome<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("`status` lacks a line")?;
        let kib = line.trim().trim_end_matches("kB").trim_end();
        Ok(f64::from(kib.parse::<u32>()?) / 1024.0)
    };
    Ok(Memory { resident_mib: mib("VmRSS:")?, private_mib: mib("RssAnon:")? })
}
