//! The integration tests of PAR: the real program with the real guest, as a platform would run
//! them. Needs `just guest` and a built `par`.
//!
//! A test's doc comment names the rows of the checklist it holds; `ROWS.md` is made from them, and so is
//! `HOSTILE.md` from the hostile cases it names.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod a2a;
mod audit;
mod backends;
mod capabilities;
mod cases;
mod claims;
mod clients;
mod collected;
mod compatibility;
mod compiled;
mod configuration;
mod confinement;
mod control_groups;
mod conventions;
mod dependencies;
mod documentation;
mod edge;
mod endings;
mod endurance;
mod enforcement;
mod examples;
mod extensions;
mod failed_boots;
mod failing;
mod fetch;
mod fetch_s3;
mod fetched;
mod floods;
mod frameworks;
mod hostile;
mod ingress;
mod installed;
mod interrupted;
mod killed;
mod lifecycle;
mod locked;
mod logs;
mod losses;
mod metrics;
mod models;
mod native;
mod outbound;
mod outside;
mod packages;
mod platform;
mod probes;
mod progress;
mod python_page;
mod rest;
mod review;
mod review_page;
mod rolling;
mod rows;
mod sandbox;
mod sdk;
mod shared;
mod sharing;
mod signatures;
mod sources;
mod streaming;
mod suggested;
mod surroundings;
mod table;
mod termination;
mod traces;
mod ui;
mod verdict;
mod waiting;
mod wheelhouse;
mod without_uv;
