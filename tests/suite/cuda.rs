//! Rankers on a card, where there is one.

use crate::ranked;
use bowerbird::model::{
    Training,
    ranker::{Body, Cpu, Cuda, Device, FitRanker, RankModel},
};
use std::sync::Arc;

fn trained(body: Body) -> Arc<RankModel> {
    let fit = FitRanker { width: 8, epochs: 30, learning_rate: 0.01, ..FitRanker::of(body) };
    Arc::new(fit.train(&ranked::examples(), None, &mut Training::new(3)).unwrap())
}

/// Goal: a card says what the processor says, within 1e-3; without a card there is an error and no panic.
#[test]
fn a_card_scores_as_the_processor() {
    let card = match Cuda::new(0) {
        Ok(card) => card,
        Err(why) => {
            let why = why.to_string();
            assert!(why.contains("CUDA card 0: "), "{why}");
            eprintln!("SKIPPED: nothing was compared on a card: {why}");
            return;
        }
    };
    let (examples, hidden) = (ranked::examples(), vec![12, 6]);
    let batch = examples.batch();
    let bodies = [
        Body::Mlp { hidden: hidden.clone() },
        Body::Dcn { layers: 2, rank: 5, hidden: hidden.clone() },
    ];
    for body in bodies {
        let model = trained(body);
        let ranker = card.load(&model).unwrap();
        let mut expected = vec![f32::NAN; batch.len()];
        Cpu.load(&model).unwrap().rank(batch, &mut expected).unwrap();
        for held in [false, true] {
            if held {
                assert!(ranker.hold(batch.rows().unwrap().0).unwrap());
            }
            for batch in [batch, &batch.dense()] {
                let mut scores = vec![f32::NAN; batch.len()];
                ranker.rank(batch, &mut scores).unwrap();
                for (score, expected) in scores.iter().zip(&expected) {
                    assert!((score - expected).abs() <= 1e-3, "{score}, not {expected}");
                }
            }
        }
        println!("{}: as the processor", ranker.name());
    }
    let attention = trained(Body::Attention { heads: 2, hidden });
    let error = card.load(&attention).err().map(|why| why.to_string()).unwrap_or_default();
    assert!(error.contains("does not run on a card"), "{error}");
}

#[test]
fn a_card_that_is_not_there_is_an_error() {
    let error = Cuda::new(999).unwrap_err().to_string();
    assert!(error.contains("CUDA card 999: "), "{error}");
}
