//! Servers that are asked the same questions in turns.

use crate::figures::{Figures, median, say};
use crate::load::{self, Count, Question};
use crate::servers::Server;
use crate::{Effort, Outcome};

/// Connections that are kept busy while answers are counted.
const CONNECTIONS: usize = 16;

const ORDER: &str = r#"{"customer":"Ada","express":true,"lines":[{"article":"bolt","quantity":12,"price":0.25},{"article":"nut","quantity":12,"price":0.1},{"article":"washer","quantity":24,"price":0.05}]}"#;

/// Servers of the same application under the same conditions.
pub(crate) struct Race<'a> {
    pub(crate) key: &'a str,
    pub(crate) name: &'a str,
    /// One of them has the id `uvicorn`: ratios are to it.
    pub(crate) runners: Vec<Runner<'a>>,
    pub(crate) load_cores: &'a [usize],
}

/// One of the servers.
pub(crate) struct Runner<'a> {
    id: &'a str,
    name: &'a str,
    server: Server,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(id: &'a str, name: &'a str, server: Server) -> Self {
        Self { id, name, server }
    }
}

/// What one server did in one round.
struct Round {
    per_second: f64,
    per_cpu_second: f64,
}

impl Race<'_> {
    /// Asks every kind of question.
    pub(crate) fn run(&self, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
        self.ask("get", "GET", &Question::get("/orders/7?verbose=true"), effort, figures)?;
        self.ask("post", "POST + model", &Question::post("/orders", ORDER), effort, figures)
    }

    fn ask(&self, id: &str, title: &str, question: &Question, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
        say(&format!("counting {title} requests, {}", self.name));
        for runner in &self.runners {
            load::count(self.load_cores, runner.server.address, CONNECTIONS, question, effort.warm_up)?;
        }
        let mut rounds: Vec<Vec<Round>> = self.runners.iter().map(|_| Vec::new()).collect();
        for _ in 0..effort.rounds {
            for (runner, rounds) in self.runners.iter().zip(&mut rounds) {
                rounds.push(self.round(&runner.server, question, effort)?);
            }
        }
        let key = format!("{}.{id}", self.key);
        let what = format!("{title}, {}", self.name);
        self.note(&key, &what, "requests/s", &medians(&rounds, |round| round.per_second), figures);
        if self.load_cores.len() == 1 {
            // Says the same on a busy machine. Only for servers of one process each.
            let unit = "requests/s of CPU time";
            self.note(&format!("{key}.cpu"), &what, unit, &medians(&rounds, |round| round.per_cpu_second), figures);
        }
        Ok(())
    }

    fn round(&self, server: &Server, question: &Question, effort: &Effort) -> Outcome<Round> {
        let before = server.cpu_seconds()?;
        let Count { answers, seconds } =
            load::count(self.load_cores, server.address, CONNECTIONS, question, effort.round)?;
        Ok(Round { per_second: answers / seconds, per_cpu_second: answers / (server.cpu_seconds()? - before) })
    }

    fn note(&self, key: &str, what: &str, unit: &'static str, values: &[f64], figures: &mut Figures) {
        let reference = self.runners.iter().position(|runner| runner.id == "uvicorn").map_or(f64::NAN, |at| values[at]);
        for (runner, value) in self.runners.iter().zip(values) {
            let what = format!("{what}: {}", runner.name);
            figures.add_with_ratio(&format!("{key}.{}", runner.id), &what, *value, unit, value / reference);
        }
    }
}

fn medians(rounds: &[Vec<Round>], of: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(|rounds| median(rounds.iter().map(&of).collect())).collect()
}
