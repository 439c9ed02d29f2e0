//! A review as headings and tables: what is written the same way for every reader.

use super::model::{Decided, Review, Verdict};

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// A value as it is, of whoever.
    Value(String),
    /// Several values, one below the other.
    Values(Vec<String>),
    /// A sentence of ours. What stands between backticks is a value.
    Prose(String),
    /// Whether the agent has it.
    Verdict(bool),
}

/// One question and its answer.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Names it in links.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the table shows, in a sentence.
    pub(super) caption: String,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said in the place of a table without rows.
    pub(super) empty: &'static str,
}

/// A review as a page.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) title: String,
    /// Whether the package gets what it asks for.
    pub(super) granted: bool,
    pub(super) verdict: String,
    /// What weakens the verdict, such as a policy that only observes.
    pub(super) warnings: Vec<String>,
    pub(super) sections: Vec<Section>,
    /// Words, and what they mean here.
    pub(super) glossary: &'static [(&'static str, &'static str)],
}

const GLOSSARY: &[(&str, &str)] = &[
    (
        "asked",
        "the keys in the package that ask for it: `sandbox.outbound[0]` is the first item of `outbound` under `sandbox`",
    ),
    ("unasked", "the operator grants it to every package; this one did not ask for it"),
    ("always", "every agent has it, whatever the policy says; or the package sets it itself"),
    (
        "decided by",
        "the keys in the policy that decide, and their line: under `grant` is what every package gets, under `allow` what \
         one gets that asks for it",
    ),
    ("default", "neither the package nor the policy sets it; a variable of PAR may, else PAR's own default holds"),
    (
        "not listed",
        "what is not on this page is denied: sockets, other hosts, other files, other variables, processes, threads, \
         and native code do not exist in the sandbox",
    ),
];

/// Everything a reviewer asks, in the order they ask it.
pub(super) fn page(review: &Review) -> Page {
    let granted = review.verdict == Verdict::Granted;
    let observing = review.policy.mode == "observe";
    let count = review.differences.len();
    let verdict = if granted {
        "The package gets what it asks for, and what the policy grants to every package.".to_owned()
    } else {
        format!(
            "PAR does not start this agent: it asks for {count} {} the policy does not allow. The tables below show \
             what it would get without asking for {}.",
            if count == 1 { "thing" } else { "things" },
            if count == 1 { "it" } else { "them" },
        )
    };
    let warnings = observing.then(|| {
        "The policy says `mode: observe`: outbound requests that no rule grants happen as well, and are on the record."
            .to_owned()
    });
    let refused = (!granted).then(|| differences(review));
    let answers = [
        package(review),
        policy(review),
        hosts(review),
        addresses(review),
        secrets(review),
        files(review),
        environment(review),
        limits(review),
        backend(review),
        determinism(review),
        dependencies(review),
        denied(review),
        remarks(review),
    ];
    Page {
        title: format!("What {} {} may touch", review.package.name, review.package.version),
        granted,
        verdict,
        warnings: warnings.into_iter().collect(),
        sections: refused.into_iter().chain(answers).collect(),
        glossary: GLOSSARY,
    }
}

fn value(text: impl Into<String>) -> Cell {
    Cell::Value(text.into())
}

fn prose(text: impl Into<String>) -> Cell {
    Cell::Prose(text.into())
}

/// The last three columns of most tables.
const DECIDED: [&str; 3] = ["Granted", "Asked", "Decided by"];

fn decided(decided: &Decided) -> [Cell; 3] {
    let asked = match (&decided.asked_at, decided.origin) {
        (Some(line), _) => format!("`{line}`"),
        (None, Some(origin)) => origin.to_owned(),
        (None, None) => "always".to_owned(),
    };
    let by = match (&decided.rule, decided.line, &decided.because, decided.code) {
        (Some(rule), Some(line), ..) => format!("`{rule}`, line {line}"),
        (Some(rule), None, ..) => format!("`{rule}`"),
        (None, _, Some(because), Some(code)) => format!("{because} (`{code}`)"),
        (None, _, Some(because), None) => because.clone(),
        (None, ..) => String::new(),
    };
    [Cell::Verdict(decided.granted), prose(asked), prose(by)]
}

fn with<const N: usize>(cells: [Cell; N], facts: &Decided) -> Vec<Cell> {
    cells.into_iter().chain(decided(facts)).collect()
}

fn differences(review: &Review) -> Section {
    let row = |refused: &super::model::Refused| {
        vec![
            value(refused.capability),
            prose(&refused.asked),
            value(&refused.asked_at),
            prose(format!("the policy {}", refused.policy)),
            value(refused.code),
        ]
    };
    Section {
        id: "difference",
        title: "What is above the policy",
        caption: "What the package asks for and does not get. An operator may add it under allow, or the package may \
                  ask for less."
            .to_owned(),
        columns: &["Capability", "Asked for", "Asked at", "The policy", "Code"],
        rows: review.differences.iter().map(row).collect(),
        empty: "",
    }
}

fn package(review: &Review) -> Section {
    let about = &review.package;
    let mut rows = vec![
        vec![prose("Name and version"), value(format!("{} {}", about.name, about.version))],
        vec![prose("File"), value(&about.file)],
    ];
    let digest = about.sha256.as_ref().map(|digest| format!("sha256:{digest}"));
    rows.push(vec![prose("Digest"), digest.map_or_else(|| prose("none: it is a directory"), value)]);
    for (name, text) in [("Description", &about.description), ("Author", &about.author)] {
        rows.extend((!text.is_empty()).then(|| vec![prose(name), value(text)]));
    }
    rows.extend(about.license.as_ref().map(|license| vec![prose("Licence"), value(license)]));
    for surface in &about.surfaces {
        let name = match surface.surface {
            "rest" => "Answers REST with",
            "a2a" => "Answers A2A with",
            _ => "Answers the UI with",
        };
        rows.push(vec![prose(name), value(&surface.answers)]);
    }
    let asks = if about.asks { "yes" } else { "no: what it has, the operator grants to every package" };
    rows.push(vec![prose("Asks for capabilities"), prose(asks)]);
    Section {
        id: "package",
        title: "The package",
        caption: "Which package this page is about.".to_owned(),
        columns: &["What", "Value"],
        rows,
        empty: "",
    }
}

fn policy(review: &Review) -> Section {
    let policy = &review.policy;
    let source = policy.source.as_ref().map_or_else(|| prose("none: nothing is granted and nothing allowed"), value);
    let mut rows = vec![vec![prose("Policy"), source]];
    rows.extend(policy.sha256.as_ref().map(|digest| vec![prose("Digest"), value(format!("sha256:{digest}"))]));
    rows.push(vec![prose("Mode"), value(policy.mode)]);
    rows.push(vec![prose("Judged by"), value(format!("par {}", review.par))]);
    Section {
        id: "policy",
        title: "The policy",
        caption: "Under which policy of the operator.".to_owned(),
        columns: &["What", "Value"],
        rows,
        empty: "",
    }
}

fn hosts(review: &Review) -> Section {
    let row = |grant: &super::model::OutboundGrant| {
        let methods = grant.methods.as_ref().map_or_else(|| prose("all"), |methods| value(methods.join(", ")));
        with([value(&grant.url), methods], &grant.decided)
    };
    Section {
        id: "hosts",
        title: "Which hosts can it reach?",
        caption:
            "Outbound HTTP requests it may make. Each rule is for one scheme, host and port; a path covers what is \
                  below it; `*.` stands for every name below. Redirects are judged again."
                .to_owned(),
        columns: &["Rule", "Methods", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.outbound.iter().map(row).collect(),
        empty: "None. It can make no request to anybody.",
    }
}

fn addresses(review: &Review) -> Section {
    Section {
        id: "addresses",
        title: "Which addresses that are not public?",
        caption: "Private, loopback and link-local addresses the hosts above may have. Those that serve metadata and \
                  credentials of the machine are always denied."
            .to_owned(),
        columns: &["Range", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.outbound_addresses.iter().map(|grant| with([value(&grant.range)], &grant.decided)).collect(),
        empty: "None. Whatever a host resolves to, only public addresses are dialled.",
    }
}

fn secrets(review: &Review) -> Section {
    let row = |secret: &super::model::SecretGrant| {
        let from = secret.value_from.as_ref().map_or_else(|| prose("nowhere"), value);
        with([value(&secret.name), Cell::Values(secret.hosts.clone()), from], &secret.decided)
    };
    Section {
        id: "secrets",
        title: "Which secrets, towards which hosts?",
        caption:
            "The agent holds a placeholder. PAR puts the value into headers of requests to these places and to no \
                  others; the agent never sees it."
                .to_owned(),
        columns: &["Secret", "Sent to", "Value from", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.secrets.iter().map(row).collect(),
        empty: "None.",
    }
}

fn files(review: &Review) -> Section {
    let row = |file: &super::model::FileGrant| {
        with([value(&file.path), value(file.access), value(&file.what)], &file.decided)
    };
    Section {
        id: "files",
        title: "Which files?",
        caption: "Every directory that exists for the agent. There are no others.".to_owned(),
        columns: &["Directory", "Access", "What it is", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.files.iter().map(row).collect(),
        empty: "None.",
    }
}

fn environment(review: &Review) -> Section {
    let row = |variable: &super::model::VariableGrant| {
        with([value(&variable.name), value(&variable.from)], &variable.decided)
    };
    Section {
        id: "variables",
        title: "Which variables?",
        caption: "Every environment variable the agent sees. Values are not shown: any of them may be a secret."
            .to_owned(),
        columns: &["Variable", "Value from", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.environment.iter().map(row).collect(),
        empty: "None.",
    }
}

fn limits(review: &Review) -> Section {
    let row = |limit: &super::model::LimitFact| {
        let shown = if limit.value == u64::MAX { prose("none") } else { value(limit.value.to_string()) };
        let by = match limit.decided_by.contains('.') {
            true => value(&limit.decided_by),
            false => prose(&limit.decided_by),
        };
        vec![value(limit.key), shown, by, prose(limit.reached)]
    };
    Section {
        id: "limits",
        title: "Which limits?",
        caption: "How much of everything it may use. The unit is in the name.".to_owned(),
        columns: &["Limit", "Value", "Decided by", "When it is reached"],
        rows: review.limits.iter().map(row).collect(),
        empty: "",
    }
}

fn backend(review: &Review) -> Section {
    let backend = &review.backend;
    Section {
        id: "backend",
        title: "Which backend?",
        caption: "Where its code runs.".to_owned(),
        columns: &["What", "Value"],
        rows: vec![
            vec![
                prose("Backend"),
                value(format!("{}: WebAssembly, without sockets, processes and threads", backend.backend)),
            ],
            vec![prose("`native` of the policy"), value(backend.native.join(", "))],
            vec![prose("Why"), prose(&backend.because)],
        ],
        empty: "",
    }
}

fn determinism(review: &Review) -> Section {
    let row = |fixed: &super::model::FixedGrant| {
        let shown = match (&fixed.fixed, fixed.what) {
            (Some(value), "clock") => format!("stands at {value}"),
            (Some(value), _) => format!("repeat for the seed {value}"),
            (None, "clock") => "the time".to_owned(),
            (None, _) => "random".to_owned(),
        };
        with([value(fixed.what), value(shown)], &fixed.decided)
    };
    Section {
        id: "determinism",
        title: "Clock and random numbers",
        caption: "What it can know of the time and of chance.".to_owned(),
        columns: &["What", "Value", DECIDED[0], DECIDED[1], DECIDED[2]],
        rows: review.determinism.iter().map(row).collect(),
        empty: "As every agent.",
    }
}

fn dependencies(review: &Review) -> Section {
    let dependencies = &review.dependencies;
    let mut rows: Vec<Vec<Cell>> =
        dependencies.requirements.iter().map(|name| vec![value(name), prose("a requirement")]).collect();
    let native = "machine code in the package, which does not run in the sandbox";
    rows.extend(dependencies.native_files.iter().map(|file| vec![value(file), prose(native)]));
    let caption = match (dependencies.source, dependencies.locked) {
        (_, true) => "`pylock.toml` of the package pins every file with its digest. What it asks for:".to_owned(),
        (Some(source), false) => {
            format!("As `{source}` of the package says. Versions are chosen when it is installed: nothing pins them.")
        }
        (None, false) => "The package requires nothing.".to_owned(),
    };
    Section {
        id: "dependencies",
        title: "What is installed for it?",
        caption,
        columns: &["What", "Why it is listed"],
        rows,
        empty: "Nothing.",
    }
}

fn denied(review: &Review) -> Section {
    let row = |rule: &super::model::DeniedRule| vec![value(rule.capability), value(&rule.what), value(&rule.rule)];
    Section {
        id: "denied",
        title: "What is denied whoever asks?",
        caption: "Rules under `deny`. They win over everything above.".to_owned(),
        columns: &["Capability", "What", "Decided by"],
        rows: review.denied.iter().map(row).collect(),
        empty: "No rule. What is not granted is denied all the same.",
    }
}

fn remarks(review: &Review) -> Section {
    Section {
        id: "remarks",
        title: "Remarks",
        caption: "What is odd about the package and yet accepted.".to_owned(),
        columns: &["Remark"],
        rows: review.remarks.iter().map(|remark| vec![prose(remark)]).collect(),
        empty: "None.",
    }
}

/// A sentence in pieces: `true` for what stands between backticks. An unpaired one is a letter.
pub(super) fn pieces(sentence: &str) -> Vec<(bool, &str)> {
    let paired = sentence.matches('`').count() & !1;
    let mut pieces = Vec::new();
    let (mut rest, mut quoted) = (sentence, false);
    for _ in 0..paired {
        if let Some((before, after)) = rest.split_once('`') {
            pieces.push((quoted, before));
            (rest, quoted) = (after, !quoted);
        }
    }
    pieces.push((false, rest));
    pieces.retain(|(_, text)| !text.is_empty());
    pieces
}
