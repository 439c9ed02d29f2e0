//! A process that runs, as the system sees it.

use std::time::Duration;

use super::RunningHost;

impl RunningHost {
    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Room in the table of the process's open descriptors, which grows in powers of two and never shrinks. Everybody
    /// may read it; the descriptors themselves are hidden from all but root.
    #[must_use]
    pub fn descriptor_room(&self) -> usize {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    /// Resident memory. Unit: KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was resident at once. Unit: KiB.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The time the process took of a core so far, to a hundredth of a second.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let line = fs_err::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in brackets may hold anything; the times in user and in system are 12 and 13 fields after it.
        let (_, fields) = line.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Open descriptors, for who may see them: root.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs_err::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }
}
