//! What to do, from the command line.

use super::Outcome;
use std::{path::PathBuf, time::Duration};

pub(crate) const USAGE: &str = "\
usage: semantic_ids (--vectors FILE.npy[,FILE.npy...] | --import INDEX.json [--first N])
                    [--interactions FILE] [--titles FILE.tsv]
                    [--levels N] [--codes N] [--balanced yes|no] [--refine yes|no]
                    [--codebook kmeans|rqvae|fsq] [--epochs N] [--network N,N,...] [--rate X]
                    [--attributes FILE.json] [--collaborative WEIGHT]
                    [--cold SHARE] [--towers yes|no] [--decoder yes|no] [--beams N]
                    [--html FILE] [--seed N] [--threads N] [--time-budget SECONDS]

  --vectors       rows by item, float16 or float32; a first row of zeros is nobody's
  --import        an index of open TIGER, LETTER or MiniOneRec instead of fitting one; items are
                  numbered from --first, 1 unless said; of open TIGER's codes the last, which only
                  tells apart what shares the others, is left out unless --levels says 4
  --interactions  a line for each user: its number, then its items in time order
  --titles        a table whose header has `item` and `title`
  --attributes    words that items have, JSON of lists of numbers by item, as one more space
  --collaborative reads what users did as one more space, of this weight beside the others: vectors of
                  a sequence model, which has some for new items, too
  --codebook      how codes are made: by k-means of the content, or behind a network that learns them
                  with what it says: RQ-VAE, FSQ (of which each level has four numbers of four values)
  --epochs        passes of that network over all items
  --network       what its layers say; the last is for RQ-VAE alone
  --rate          how large its first steps are
  --refine        learns from the interactions which content goes together, before the codes
  --towers        trains two towers over the vectors: how well do they find what came next?
  --cold          that share of items is never seen in training: how are they found?";

#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) vectors: Vec<PathBuf>,
    pub(crate) import: Option<PathBuf>,
    pub(crate) first: u64,
    pub(crate) interactions: Option<PathBuf>,
    pub(crate) titles: Option<PathBuf>,
    pub(crate) levels: Option<usize>,
    pub(crate) codes: usize,
    pub(crate) balanced: bool,
    pub(crate) refine: bool,
    pub(crate) codebook: String,
    pub(crate) epochs: usize,
    pub(crate) network: Vec<usize>,
    pub(crate) rate: f32,
    pub(crate) attributes: Option<PathBuf>,
    pub(crate) collaborative: f32,
    pub(crate) cold: f64,
    pub(crate) towers: bool,
    pub(crate) decoder: bool,
    pub(crate) beams: usize,
    pub(crate) html: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) time_budget: Option<Duration>,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Args> {
        let mut args = Args {
            vectors: Vec::new(),
            import: None,
            first: 1,
            interactions: None,
            titles: None,
            levels: None,
            codes: 256,
            balanced: true,
            refine: false,
            codebook: "kmeans".into(),
            epochs: 100,
            network: vec![256, 128, 32],
            rate: 1e-3,
            attributes: None,
            collaborative: 0.0,
            cold: 0.0,
            towers: false,
            decoder: true,
            beams: 50,
            html: None,
            seed: 7,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            time_budget: None,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            let number = || value.parse::<u64>().map_err(|e| format!("{word} {value}: {e}"));
            match word.as_str() {
                "--vectors" => args.vectors = value.split(',').map(PathBuf::from).collect(),
                "--import" => args.import = Some(PathBuf::from(&value)),
                "--first" => args.first = number()?,
                "--interactions" => args.interactions = Some(PathBuf::from(&value)),
                "--titles" => args.titles = Some(PathBuf::from(&value)),
                "--levels" => args.levels = Some(number()?.max(1) as usize),
                "--codes" => args.codes = number()?.max(1) as usize,
                "--attributes" => args.attributes = Some(PathBuf::from(&value)),
                "--collaborative" => {
                    args.collaborative =
                        value.parse().map_err(|e| format!("--collaborative {value}: {e}"))?;
                }
                "--codebook" => args.codebook = value,
                "--epochs" => args.epochs = number()?.max(1) as usize,
                "--network" => {
                    let widths: Result<Vec<usize>, _> = value.split(',').map(str::parse).collect();
                    args.network = widths.map_err(|e| format!("--network {value}: {e}"))?;
                }
                "--rate" => {
                    args.rate = value.parse().map_err(|e| format!("--rate {value}: {e}"))?;
                }
                "--refine" => args.refine = value == "yes",
                "--towers" => args.towers = value == "yes",
                "--decoder" => args.decoder = value == "yes",
                "--balanced" => args.balanced = value == "yes",
                "--cold" => {
                    args.cold = value.parse().map_err(|e| format!("--cold {value}: {e}"))?;
                    if !(0.0..0.9).contains(&args.cold) {
                        return Err("--cold is a share, 0 to 0.9".into());
                    }
                }
                "--beams" => args.beams = number()?.max(1) as usize,
                "--html" => args.html = Some(PathBuf::from(&value)),
                "--seed" => args.seed = number()?,
                "--threads" => args.threads = number()?.max(1) as usize,
                "--time-budget" => args.time_budget = Some(Duration::from_secs(number()?)),
                _ => return Err(format!("{word}: not known\n{USAGE}").into()),
            }
        }
        if !["kmeans", "rqvae", "fsq"].contains(&args.codebook.as_str()) {
            return Err(format!("--codebook {}: kmeans, rqvae or fsq", args.codebook).into());
        }
        if args.refine && args.codebook != "kmeans" {
            return Err("--refine makes codes by k-means: leave --codebook out".into());
        }
        match args.vectors.is_empty() && args.import.is_none() {
            true => Err(format!("neither --vectors nor --import\n{USAGE}").into()),
            false => Ok(args),
        }
    }
}
