//! What health answers: the phase of the process and how each surface stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::lifecycle::{Lifecycle, Phase};

/// How one surface stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The agent does not have this surface.
    Absent,
    /// It is configured and does not listen, not yet or not any more.
    Down,
    /// It listens and answers.
    Up,
}

impl Standing {
    /// Whether the surface answers.
    #[must_use]
    pub fn is_up(self) -> bool {
        self == Self::Up
    }

    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Absent,
            1 => Self::Down,
            _ => Self::Up,
        }
    }
}

/// One of the three surfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurfaceName {
    /// HTTP on the REST port.
    Rest,
    /// gRPC on the A2A port.
    A2a,
    /// The UI, on the REST port or its own.
    Ui,
}

impl SurfaceName {
    /// The name in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::A2a => "a2a",
            Self::Ui => "ui",
        }
    }
}

/// The state of the process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The phase.
    pub phase: Phase,
    /// REST, where the agent has it.
    pub rest: Standing,
    /// A2A, where the agent has it.
    pub a2a: Standing,
    /// The UI, where the agent has it.
    pub ui: Standing,
    /// Whether the agent runs outside the sandbox.
    pub is_native: bool,
}

impl Snapshot {
    /// Whether health answers 200: the process is ready and nothing it serves is down.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.phase == Phase::Ready && ![self.rest, self.a2a, self.ui].contains(&Standing::Down)
    }

    /// Whether requests reach the agent.
    #[must_use]
    pub fn serves_agent(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Draining)
    }
}

/// The state of the process. Clones look at the same process; looking is cheap enough for every
/// request.
#[derive(Debug, Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    life: Lifecycle,
    surfaces: [AtomicU8; 3],
    is_native: AtomicBool,
}

impl Health {
    /// The phase of the process, and its way forward.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.shared.life
    }

    /// Notes how a surface stands now.
    pub fn set(&self, surface: SurfaceName, standing: Standing) {
        self.shared.surfaces[surface as usize].store(standing as u8, Ordering::Release);
    }

    /// Notes that the agent runs outside the sandbox.
    pub fn set_native(&self) {
        self.shared.is_native.store(true, Ordering::Release);
    }

    /// The state now.
    #[must_use]
    pub fn look(&self) -> Snapshot {
        let [rest, a2a, ui] = [0, 1, 2]
            .map(|surface: usize| Standing::from_number(self.shared.surfaces[surface].load(Ordering::Acquire)));
        Snapshot {
            phase: self.shared.life.phase(),
            rest,
            a2a,
            ui,
            is_native: self.shared.is_native.load(Ordering::Acquire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_ok_only_while_ready_and_everything_configured_is_up() {
        let health = Health::default();
        health.set(SurfaceName::Rest, Standing::Up);
        health.set(SurfaceName::A2a, Standing::Up);
        assert!(!health.look().is_ok(), "starting");

        health.lifecycle().advance(Phase::Ready);
        assert!(health.look().is_ok(), "an absent surface is not missed");

        health.set(SurfaceName::A2a, Standing::Down);
        assert!(!health.look().is_ok(), "a surface that died");

        health.set(SurfaceName::A2a, Standing::Up);
        health.lifecycle().advance(Phase::Draining);
        assert!(!health.look().is_ok() && health.look().serves_agent(), "draining");
    }

    #[test]
    fn each_surface_stands_for_itself() {
        let health = Health::default();
        health.set(SurfaceName::Ui, Standing::Up);
        health.set(SurfaceName::A2a, Standing::Down);

        let now = health.look();

        assert_eq!((now.rest, now.a2a, now.ui), (Standing::Absent, Standing::Down, Standing::Up));
    }
}
