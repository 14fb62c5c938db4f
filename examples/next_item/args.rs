//! What to do, from the command line.

use super::Outcome;
use std::{path::PathBuf, time::Duration};

pub(crate) const USAGE: &str = "\
usage: next_item --data FILE [--format leave-one-out|sessions] [--test FILE]
                 [--method popularity|sequential-rules|markov|item-knn|vs-knn|ease|als|
                           item2vec|gru4rec|sasrec|bert4rec; several, joined by +,
                           are fused by rank]
                 [--epochs N] [--dim N] [--seed N] [--threads N] [--time-budget SECONDS]
                 [--train-on-validation] [--curve FILE.svg]";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    LeaveOneOut,
    Sessions,
}

#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) data: PathBuf,
    pub(crate) format: Format,
    pub(crate) test: Option<PathBuf>,
    pub(crate) method: String,
    pub(crate) epochs: Option<usize>,
    pub(crate) dim: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) time_budget: Option<Duration>,
    pub(crate) train_on_validation: bool,
    pub(crate) curve: Option<PathBuf>,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Args> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut data = None;
        let mut args = Args {
            data: PathBuf::new(),
            format: Format::LeaveOneOut,
            test: None,
            method: "sequential-rules".into(),
            epochs: None,
            dim: None,
            seed: 42,
            threads: cores,
            time_budget: None,
            train_on_validation: false,
            curve: None,
        };
        while let Some(word) = words.next() {
            if word == "--train-on-validation" {
                args.train_on_validation = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            let number = || value.parse::<u64>().map_err(|e| format!("{word} {value}: {e}"));
            match word.as_str() {
                "--data" => data = Some(PathBuf::from(&value)),
                "--format" => {
                    args.format = match value.as_str() {
                        "leave-one-out" => Format::LeaveOneOut,
                        "sessions" => Format::Sessions,
                        _ => return Err(format!("--format {value}: not known\n{USAGE}").into()),
                    }
                }
                "--test" => args.test = Some(PathBuf::from(&value)),
                "--method" => args.method = value.clone(),
                "--epochs" => args.epochs = Some(number()?.max(1) as usize),
                "--dim" => args.dim = Some(number()?.max(1) as usize),
                "--seed" => args.seed = number()?,
                "--threads" => args.threads = number()?.max(1) as usize,
                "--time-budget" => args.time_budget = Some(Duration::from_secs(number()?)),
                "--curve" => args.curve = Some(PathBuf::from(&value)),
                _ => return Err(format!("{word}: not known\n{USAGE}").into()),
            }
        }
        args.data = data.ok_or_else(|| format!("--data is missing\n{USAGE}"))?;
        if args.test.is_some() && args.format == Format::LeaveOneOut {
            return Err("--test goes with --format sessions".into());
        }
        Ok(args)
    }
}
