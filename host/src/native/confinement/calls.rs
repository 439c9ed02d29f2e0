//! Which system calls the process of an agent may make.
//!
//! Two filters hold for it and for all it starts. The first knows what is allowed, and answers everything else with
//! `ENOSYS`, as an older kernel would: libraries fall back, and a call a later kernel brings is not there. The second
//! answers what reaches out of the process with `EPERM`, some of it because of its arguments.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::process::Pid;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{self, Eq, Ge, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::call_lists::{ALLOWED, DENIED};

/// Namespaces a process could be made in.
const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Commands of `fcntl` that have signals sent to whoever is named.
const SIGNALLING: [i32; 5] = [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX, libc::F_SETLEASE, libc::F_NOTIFY];
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// Requests of `ioctl`: typing into a terminal, taking one over, and having signals sent.
const TERMINAL: [u64; 7] = [TIOCSTI, TIOCLINUX, TIOCSETD, TIOCSCTTY, TIOCCONS, FIOSETOWN, SIOCSPGRP];
const TIOCSCTTY: u64 = 0x540e;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCCONS: u64 = 0x541d;
const TIOCSETD: u64 = 0x5423;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;

/// The bits of a socket's type that are not flags.
const SOCKET_TYPE: u64 = 0xf;

/// The first of the numbers that are negative as a process id.
const NEGATIVE: u64 = 1 << 31;

/// Asks for the personality that is set, and sets none.
const ASK_PERSONALITY: u64 = 0xffff_ffff;

/// Who may be signalled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signals {
    /// Any process by its id: the kernel holds them inside the domain of landlock.
    Scoped,
    /// The process itself and its group.
    Own(Pid),
}

/// Puts the filters in place. They deny signals to `host` in any case.
///
/// # Errors
/// Why they are not.
pub(super) fn restrict(host: Pid, signals: Signals) -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let allowed = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let allowed = SeccompFilter::new(allowed, errno(libc::ENOSYS), SeccompAction::Allow, arch)?;
    let denied = SeccompFilter::new(denied(host, signals)?, SeccompAction::Allow, errno(libc::EPERM), arch)?;
    // Of two answers that are errors, the one of the filter that was put in place last holds.
    for filter in [allowed, denied] {
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

/// Denies a call when all of its arguments named are so.
type Arguments = Vec<(u8, SeccompCmpArgLen, SeccompCmpOp, u64)>;

fn denied(host: Pid, signals: Signals) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<_, _> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, arguments) in by_arguments(host, signals) {
        let conditions = arguments
            .into_iter()
            .map(|(index, length, compare, value)| SeccompCondition::new(index, length, compare, value));
        rules.entry(call).or_default().push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
    }
    Ok(rules)
}

fn by_arguments(host: Pid, signals: Signals) -> Vec<(c_long, Arguments)> {
    let bit = |bit: i32| (0, Qword, MaskedEq(u64::from(bit.unsigned_abs())), u64::from(bit.unsigned_abs()));
    let word = |index, number: i32| (index, Dword, Eq, u64::from(number.unsigned_abs()));
    let own_only = |index| (index, Dword, Ne, 0);
    let mut rules = vec![
        // Pairs of streams only: a datagram socket could be led to another address afterwards.
        (libc::SYS_socketpair, vec![(0, Dword, Ne, u64::from(libc::AF_UNIX.unsigned_abs()))]),
        (libc::SYS_socketpair, vec![(1, Dword, MaskedEq(SOCKET_TYPE), u64::from(libc::SOCK_DGRAM.unsigned_abs()))]),
        (libc::SYS_socketpair, vec![(1, Dword, MaskedEq(SOCKET_TYPE), u64::from(libc::SOCK_RAW.unsigned_abs()))]),
        (libc::SYS_sendto, vec![(4, Qword, Ne, 0)]),
        (libc::SYS_personality, vec![(0, Dword, Ne, 0), (0, Dword, Ne, ASK_PERSONALITY)]),
        // Nobody else may look at the memory of the process, nor take its orphans.
        (libc::SYS_prctl, vec![word(0, libc::PR_SET_DUMPABLE), (1, Qword, Ne, 0)]),
        (libc::SYS_prctl, vec![word(0, libc::PR_SET_CHILD_SUBREAPER)]),
        // Of other processes of the same user, not even limits and priorities.
        (libc::SYS_prlimit64, vec![own_only(0)]),
        (libc::SYS_setpriority, vec![own_only(1)]),
        (libc::SYS_sched_setaffinity, vec![own_only(0)]),
    ];
    rules.extend(NEW_NAMESPACES.map(|flag| (libc::SYS_clone, vec![bit(flag)])));
    rules.extend(SIGNALLING.map(|command| (libc::SYS_fcntl, vec![word(1, command)])));
    rules.extend(TERMINAL.map(|request| (libc::SYS_ioctl, vec![(1, Dword, Eq, request)])));
    rules.extend(signalling(host, signals));
    rules
}

/// A group may be signalled as "mine" only, never by its number.
fn signalling(host: Pid, signals: Signals) -> Vec<(c_long, Arguments)> {
    let number = |pid: Pid| u64::from(pid.as_raw_nonzero().get().unsigned_abs());
    let groups = (libc::SYS_kill, vec![(0, Dword, Ge, NEGATIVE)]);
    let others = match signals {
        Signals::Scoped => [libc::SYS_kill, libc::SYS_tgkill].map(|call| (call, vec![(0, Dword, Eq, number(host))])),
        Signals::Own(own) => [
            (libc::SYS_kill, vec![(0, Dword, Ne, 0), (0, Dword, Ne, number(own))]),
            (libc::SYS_tgkill, vec![(0, Dword, Ne, number(own))]),
        ],
    };
    std::iter::once(groups).chain(others).collect()
}
