//! `par policy test`: which rule decides about one thing.

use std::net::IpAddr;

use par_policy::name::VariableName;
use par_policy::outbound::OutboundTarget;
use par_policy::policy::{Policy, Requested};
use par_policy::secret::SecretName;
use par_policy::{AbovePolicy, Denial, Grants, Limits, Mode, Origin, RuleId};

use super::line::{line_for, line_for_path, line_for_secret, literal};

/// One thing an agent might do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Make a request: method and URL.
    Request(String, String),
    /// Dial an address, whatever name it stands for.
    Address(IpAddr),
    /// Read a variable.
    Variable(String),
    /// Put a secret into a header of a request to this URL.
    Secret(String, String),
    /// Open a path.
    Path(String),
}

/// Words that are no questions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAQuestion {
    /// A word that means nothing here.
    #[error("`{}` is neither a URL, nor an absolute path, nor an address", par_apkg::Quoted(.0))]
    Word(String),
    /// Something is missing behind a word.
    #[error("`{0}` needs {1} behind it")]
    Missing(&'static str, &'static str),
    /// There is no question.
    #[error("there is nothing to test")]
    Nothing,
}

impl Question {
    /// Reads what was typed: URLs, `env NAME`, `secret NAME URL`, paths and addresses.
    ///
    /// # Errors
    /// [`NotAQuestion`] for the first word that is none of them.
    pub fn parse(words: &[String], method: &str) -> Result<Vec<Self>, NotAQuestion> {
        let mut words = words.iter();
        let mut questions = Vec::new();
        while let Some(word) = words.next() {
            let mut next = |word, what| words.next().cloned().ok_or(NotAQuestion::Missing(word, what));
            questions.push(match word.as_str() {
                "env" => Self::Variable(next("env", "the name of a variable")?),
                "secret" => Self::Secret(
                    next("secret", "the name of a secret and a URL")?,
                    next("secret", "the name of a secret and a URL")?,
                ),
                url if url.contains("://") => Self::Request(method.to_owned(), url.to_owned()),
                path if path.starts_with('/') => Self::Path(path.to_owned()),
                other => match other.trim_matches(['[', ']']).parse() {
                    Ok(address) => Self::Address(address),
                    Err(_) => return Err(NotAQuestion::Word(other.to_owned())),
                },
            });
        }
        if questions.is_empty() { Err(NotAQuestion::Nothing) } else { Ok(questions) }
    }
}

/// What comes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The agent may.
    Allowed,
    /// A package may that asks for it.
    WhenAsked,
    /// It may not.
    Denied,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::WhenAsked => "when asked",
            Self::Denied => "denied",
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked, without the query of a URL.
    pub question: String,
    /// What comes of it.
    pub outcome: Outcome,
    /// The rule that decides; `None` where no rule does.
    pub rule: Option<RuleId>,
    /// Why, as a sentence.
    pub because: String,
    /// The stable code of a denial.
    pub code: Option<&'static str>,
    /// What to add to the policy for it to be allowed.
    pub add: Option<String>,
}

/// A policy, and the package it is asked about.
#[derive(Debug)]
pub struct Judge<'a> {
    policy: &'a Policy,
    grants: Grants,
}

impl<'a> Judge<'a> {
    /// Judges for a package that asks for this. Without a package, for one that asks for nothing.
    ///
    /// # Errors
    /// [`AbovePolicy`] when the package would not start.
    pub fn new(requested: &Requested, policy: &'a Policy, base: Limits) -> Result<Self, AbovePolicy> {
        Ok(Self { policy, grants: Grants::resolve(requested, policy, base)? })
    }

    /// Answers one question.
    #[must_use]
    pub fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Request(method, url) => self.request(method, url),
            Question::Address(address) => self.address(*address),
            Question::Variable(name) => self.variable(name),
            Question::Secret(name, url) => self.secret(name, url),
            Question::Path(path) => self.path(path),
        }
    }

    fn request(&self, method: &str, url: &str) -> Answer {
        let target = match OutboundTarget::parse(method, url) {
            Ok(target) => target,
            Err(denial) => return denied("request".to_owned(), &denial),
        };
        let question = target.to_string();
        let address = literal(&target);
        match self.grants.outbound().judge(&target) {
            Ok(granted) => {
                if let Some(denial) = address.and_then(|address| self.grants.outbound().judge_address(address).err()) {
                    return denied(question, &denial);
                }
                let then = if address.is_none() { "; every address the name has is judged as well" } else { "" };
                let because = format!("the rule `{}` grants it{then}", granted.value);
                allowed(question, granted.origin, granted.rule.clone(), because)
            }
            Err(denial) => {
                let when_asked = self.policy.allow.outbound.iter().find(|line| line.value.is_for(&target));
                if let Some(line) = when_asked.filter(|_| denial.code().may_be_observed()) {
                    let because = format!("the rule `{}` gives it to a package that asks for it", line.value);
                    return self::when_asked(question, line.rule.clone(), because);
                }
                let mut answer = Answer { add: line_for(&target, denial.code()), ..denied(question, &denial) };
                if self.policy.mode == Mode::Observe && denial.code().may_be_observed() {
                    answer.because.push_str("; it happens all the same, because the policy only observes");
                }
                answer
            }
        }
    }

    fn address(&self, address: IpAddr) -> Answer {
        let question = format!("address {address}");
        if let Err(denial) = self.grants.outbound().judge_address(address) {
            return denied(question, &denial);
        }
        let named = self.grants.outbound().addresses().iter().find(|granted| granted.value.contains(address));
        match named {
            Some(granted) => {
                let because = format!("the range `{}` names it", granted.value);
                allowed(question, granted.origin, granted.rule.clone(), because)
            }
            None => {
                Answer { rule: None, ..allowed(question, Origin::Unasked, RuleId::new(""), "it is public".to_owned()) }
            }
        }
    }

    fn variable(&self, name: &str) -> Answer {
        let question = format!("env {name}");
        if let Some(rule) = self.grants.denied_variable(name) {
            let because = "a rule under `deny` names it".to_owned();
            return Answer { rule: Some(rule.clone()), ..not_granted(question, "denied_by_policy", because) };
        }
        let parsed = match VariableName::parse(name) {
            Ok(parsed) => parsed,
            Err(error) => return not_granted(question, "variable_not_granted", error.to_string()),
        };
        if let Some(variable) = self.grants.variables().iter().find(|variable| variable.name == parsed) {
            let source = &variable.source;
            return allowed(question, source.origin, source.rule.clone(), "the agent sees it".to_owned());
        }
        if let Some((_, secret)) = self.grants.secrets().iter().find(|(secret, _)| secret.as_str() == name) {
            let because = "the agent sees a placeholder in the place of the secret".to_owned();
            return allowed(question, secret.origin, secret.rule.clone(), because);
        }
        if let Some(line) = self.policy.allow.env.iter().find(|line| line.value.grants(&parsed)) {
            let because = format!("`{}` gives it to a package that asks for it", line.value);
            return when_asked(question, line.rule.clone(), because);
        }
        let because = "no rule grants it: of the operator's environment the agent does not see it".to_owned();
        let add = Some(format!("grant: {{env: {{{name}: {{from: {name}}}}}}}"));
        Answer { add, ..not_granted(question, "variable_not_granted", because) }
    }

    fn secret(&self, name: &str, url: &str) -> Answer {
        let target = match OutboundTarget::parse("GET", url) {
            Ok(target) => target,
            Err(denial) => return denied(format!("secret {name}"), &denial),
        };
        let question = format!("secret {name} to {}", target.authority());
        let Some(parsed) = SecretName::parse(name) else {
            return not_granted(question, "secret_not_granted", "it cannot be the name of a secret".to_owned());
        };
        match self.grants.secrets().judge(&parsed, &target) {
            Ok(granted) => {
                let because = "the secret is bound to it; the request needs a rule under `outbound` as well".to_owned();
                allowed(question, granted.origin, granted.rule.clone(), because)
            }
            Err(denial) => {
                let known = self.policy.allow.secrets.iter().find(|line| line.value.name == parsed);
                let bound =
                    |hosts: &[par_policy::outbound::OutboundRule]| hosts.iter().any(|rule| rule.is_for(&target));
                match known.filter(|line| bound(&line.value.binding.hosts) && denial.rule().is_none()) {
                    Some(line) => {
                        let because = "it is given to a package that asks for it".to_owned();
                        when_asked(question, line.rule.clone(), because)
                    }
                    None => {
                        let add = line_for_secret(&parsed, &target, denial.code());
                        Answer { add, ..denied(question, &denial) }
                    }
                }
            }
        }
    }

    fn path(&self, path: &str) -> Answer {
        let question = format!("path {path}");
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return not_granted(question, "not_there", "write the path without `.` and `..`".to_owned());
        }
        let within = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if let Some(top) = ["/agent", "/deps", "/python", "/platform"].into_iter().find(|top| within(top)) {
            let because = format!("every agent reads what is in `{top}`, and nobody writes there");
            return Answer { rule: None, ..allowed(question, Origin::Unasked, RuleId::new(""), because) };
        }
        for (name, granted) in self.grants.data() {
            let because = if within(&name.guest_path()) {
                format!("the agent reads `{}` of the operator's there", granted.value)
            } else if within(granted.value.as_str()) {
                format!("the agent reads it at `{}`", path.replacen(granted.value.as_str(), &name.guest_path(), 1))
            } else {
                continue;
            };
            return allowed(question, granted.origin, granted.rule.clone(), because);
        }
        if let Some(limit) = self.grants.scratch().filter(|_| within(Grants::scratch_path())) {
            let because = format!("the agent reads and writes there, {} MiB at most", limit.value.mib());
            return allowed(question, limit.origin, limit.rule.clone(), because);
        }
        let allow = &self.policy.allow;
        let data = allow.data.iter().find(|line| within(&line.value.0.guest_path()) || within(line.value.1.as_str()));
        let data = data.map(|line| &line.rule);
        let scratch = allow.scratch.as_ref().filter(|_| within(Grants::scratch_path())).map(|line| &line.rule);
        if let Some(rule) = data.or(scratch) {
            let because = "it is given to a package that asks for it".to_owned();
            return when_asked(question, rule.clone(), because);
        }
        let because = "the path does not exist for the agent".to_owned();
        Answer { add: line_for_path(path), ..not_granted(question, "not_there", because) }
    }
}

fn allowed(question: String, origin: Origin, rule: RuleId, because: String) -> Answer {
    let because = match origin {
        Origin::Asked => format!("{because}; the package asks for it"),
        Origin::Unasked => because,
    };
    Answer { question, outcome: Outcome::Allowed, rule: Some(rule), because, code: None, add: None }
}

fn when_asked(question: String, rule: RuleId, because: String) -> Answer {
    Answer { question, outcome: Outcome::WhenAsked, rule: Some(rule), because, code: None, add: None }
}

fn denied(question: String, denial: &Denial) -> Answer {
    Answer {
        question,
        outcome: Outcome::Denied,
        rule: denial.rule().cloned(),
        because: denial.sentence().to_owned(),
        code: Some(denial.code().as_str()),
        add: None,
    }
}

fn not_granted(question: String, code: &'static str, because: String) -> Answer {
    Answer { question, outcome: Outcome::Denied, rule: None, because, code: Some(code), add: None }
}
