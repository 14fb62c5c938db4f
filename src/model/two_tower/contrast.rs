//! Contrast: how much nearer a question is to its own item than to others, and which way is better.

use crate::model::train::gemm::{Matrix, gemm};

/// Questions and items, all of length 1.
pub(super) struct Contrast<'a> {
    /// A row per question.
    pub(super) questions: &'a [f32],
    /// A row per item; the item of question `i` is item `i`, others come after.
    pub(super) items: &'a [f32],
    pub(super) dim: usize,
    /// Per question and item: whether it counts, as its own or as one of the others.
    pub(super) counts: &'a [bool],
    /// Per item, the logarithm of how often it is among the others: what comes often is pushed away
    /// often, and would sink below what it deserves (Yi et al., 2019).
    pub(super) log_q: &'a [f32],
    pub(super) temperature: f32,
}

/// The sum of losses over questions, and the gradients of their mean by questions and by items.
pub(super) struct Slope {
    pub(super) loss: f64,
    pub(super) of_questions: Vec<f32>,
    pub(super) of_items: Vec<f32>,
}

/// The similarities of all questions with all items.
pub(super) fn similarities(questions: &[f32], items: &[f32], dim: usize) -> Vec<f32> {
    let (rows, columns) = (questions.len() / dim, items.len() / dim);
    let mut all = vec![0f32; rows * columns];
    let items = Matrix::new(items, columns, dim);
    gemm(1.0, Matrix::new(questions, rows, dim), items.t(), 0.0, &mut all);
    all
}

impl Contrast<'_> {
    /// Softmax over the items that count, each similarity over the temperature less `log_q`.
    pub(super) fn slope(&self) -> Slope {
        let dim = self.dim;
        let (rows, columns) = (self.questions.len() / dim, self.items.len() / dim);
        let mut scores = similarities(self.questions, self.items, dim);
        let (mut loss, by) = (0f64, 1.0 / (rows as f32 * self.temperature));
        for (own, row) in scores.chunks_exact_mut(columns).enumerate() {
            let counts = &self.counts[own * columns..(own + 1) * columns];
            for ((score, counts), log_q) in row.iter_mut().zip(counts).zip(self.log_q) {
                let logit = *score / self.temperature - log_q;
                *score = if *counts { logit } else { f32::NEG_INFINITY };
            }
            let most = row.iter().fold(f32::NEG_INFINITY, |most, score| most.max(*score));
            let own_logit = row[own];
            let sum: f64 = row.iter().map(|score| f64::from(score - most).exp()).sum();
            loss += sum.ln() + f64::from(most) - f64::from(own_logit);
            for score in row.iter_mut() {
                *score = (f64::from(*score - most).exp() / sum) as f32 * by;
            }
            row[own] -= by;
        }
        let (mut of_questions, mut of_items) = (vec![0f32; rows * dim], vec![0f32; columns * dim]);
        let slopes = Matrix::new(&scores, rows, columns);
        gemm(1.0, slopes, Matrix::new(self.items, columns, dim), 0.0, &mut of_questions);
        gemm(1.0, slopes.t(), Matrix::new(self.questions, rows, dim), 0.0, &mut of_items);
        Slope { loss, of_questions, of_items }
    }
}
