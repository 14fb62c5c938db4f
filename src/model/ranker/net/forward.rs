//! Forward: from features to scores.

use super::{Column, Input, Net, attention, cross};
use crate::model::{
    ranker::net::shape::Body,
    train::{
        dice::Dice,
        exp::add,
        gemm::{Matrix, gemm},
    },
};

/// Everything that was computed on the way, which the way back needs.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// By vector: projections, one row for each request, and for each candidate.
    pub(super) context: Vec<Vec<f32>>,
    pub(super) items: Vec<Vec<f32>>,
    pub(super) attention: Option<attention::Trace>,
    /// The inputs of requests and of candidates.
    pub(super) request: Vec<f32>,
    pub(super) item: Vec<f32>,
    /// Of cross layers: the inputs of all, and what each made of them.
    pub(super) whole: Vec<f32>,
    pub(super) cross: Vec<cross::Trace>,
    /// What each layer of the perceptron says.
    pub(super) hidden: Vec<Vec<f32>>,
    /// What the inputs of requests and of candidates were multiplied by, if some were dropped.
    pub(super) kept: Option<(Vec<f32>, Vec<f32>)>,
    /// What was kept of the hidden layers was multiplied by this.
    pub(super) scale: f32,
}

/// Leaves out numbers by chance in training, so that none is relied on alone (dropout, Srivastava et al.
/// 2014): inputs and what layers say.
#[derive(Debug)]
pub(crate) struct Dropout {
    pub(crate) dice: Dice,
    /// The share that is left out; below 1.
    pub(crate) share: f32,
}

impl Dropout {
    fn scale(&self) -> f32 {
        1.0 / (1.0 - self.share)
    }

    /// Factors of so many numbers: 0, or what makes up for the others.
    fn factors(&mut self, count: usize) -> Vec<f32> {
        let scale = self.scale();
        (0..count).map(|_| if self.dice.unit() < self.share { 0.0 } else { scale }).collect()
    }
}

fn times(numbers: &mut [f32], factors: &[f32]) {
    numbers.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
}

impl Net {
    /// Writes a score for each candidate.
    pub(crate) fn forward(&self, input: &Input<'_>, scores: &mut [f32]) {
        self.pass(input, None, scores);
    }

    /// The same, with some numbers left out; says what was computed on the way.
    pub(crate) fn pass(
        &self,
        input: &Input<'_>,
        mut dropout: Option<Dropout>,
        scores: &mut [f32],
    ) -> Trace {
        let mut trace = Trace { scale: 1.0, ..Trace::default() };
        let spaces = &self.shape.spaces;
        let context = input.context.iter().zip(&spaces.context).enumerate();
        let project = |(at, (column, space)): (usize, (&Column<'_>, &u32))| {
            self.project(column, *space, &format!("context.{at}.null"))
        };
        trace.context = context.map(project).collect();
        let items = input.items.iter().enumerate();
        trace.items = items.map(|(at, column)| self.project_item(column, at)).collect();
        if self.shape.attends() {
            trace.attention = Some(attention::forward(self, input, &trace.items[0]));
        }
        trace.request = self.request_inputs(input, &trace);
        trace.item = self.item_inputs(input, &trace);
        if let Some(dropout) = &mut dropout {
            let request = dropout.factors(trace.request.len());
            let item = dropout.factors(trace.item.len());
            times(&mut trace.request, &request);
            times(&mut trace.item, &item);
            trace.scale = dropout.scale();
            trace.kept = Some((request, item));
        }
        self.perceptron(input, dropout, &mut trace);
        let (last, out) = (trace.hidden.last(), self.part("out.weight"));
        let scores = &mut scores[..input.candidates()];
        scores.fill(self.part("out.bias")[0]);
        if let Some(last) = last {
            let last = Matrix::new(last, scores.len(), out.len());
            gemm(1.0, last, Matrix::new(out, 1, out.len()).t(), 1.0, scores);
        }
        if let Body::Dcn { .. } = self.shape.body {
            cross::forward(self, input, &mut trace, scores);
        }
        trace
    }

    /// The rows of a column in the width of the net; missing ones are what was learned for them.
    pub(super) fn project(&self, column: &Column<'_>, space: u32, null: &str) -> Vec<f32> {
        let (numbers, present) = match column {
            Column::Projected(rows) => return rows.clone(),
            Column::Raw(numbers, present) => (numbers, present),
        };
        let (p, null) = (self.shape.p(), self.part(null));
        let weight = &format!("space.{space}.weight");
        let (dim, weight) = (self.part(weight).len() / p, self.matrix(weight));
        let mut rows = vec![0f32; present.len() * p];
        gemm(1.0, Matrix::new(numbers, present.len(), dim), weight, 0.0, &mut rows);
        for (row, there) in rows.chunks_exact_mut(p).zip(present.iter()) {
            if *there == 0 {
                row.copy_from_slice(null);
            }
        }
        rows
    }

    /// The rows of a candidate's vector, projected.
    pub(crate) fn project_item(&self, column: &Column<'_>, at: usize) -> Vec<f32> {
        self.project(column, self.shape.spaces.items[at], &format!("item.{at}.null"))
    }

    fn request_inputs(&self, input: &Input<'_>, trace: &Trace) -> Vec<f32> {
        let (p, width) = (self.shape.p(), self.shape.request_width());
        let mut rows = Vec::with_capacity(input.requests() * width);
        for request in 0..input.requests() {
            if self.shape.has_task() {
                let task = input.tasks[request] as usize;
                rows.extend_from_slice(&self.part("task")[task * p..][..p]);
            }
            for column in &trace.context {
                rows.extend_from_slice(&column[request * p..][..p]);
            }
            rows.extend(input.context.iter().map(|c| f32::from(c.present()[request])));
        }
        rows
    }

    fn item_inputs(&self, input: &Input<'_>, trace: &Trace) -> Vec<f32> {
        let (p, width) = (self.shape.p(), self.shape.item_width());
        let scalars = self.shape.scalars as usize;
        let mut rows = Vec::with_capacity(input.candidates() * width);
        for (request, range) in input.ranges.iter().enumerate() {
            let scales = self.scales(input.tasks[request]);
            for row in range.clone() {
                for column in &trace.items {
                    rows.extend_from_slice(&column[row * p..][..p]);
                }
                if self.shape.pairs() > 0 {
                    for context in &trace.context {
                        let context = &context[request * p..][..p];
                        for column in &trace.items {
                            let item = &column[row * p..][..p];
                            rows.extend(context.iter().zip(item).map(|(a, b)| a * b));
                        }
                    }
                }
                if let Some(attention) = &trace.attention {
                    let (found, item) =
                        (&attention.out[row * p..][..p], &trace.items[0][row * p..]);
                    rows.extend_from_slice(found);
                    rows.extend(found.iter().zip(item).map(|(a, b)| a * b));
                }
                let raw = &input.scalars[row * scalars..][..scalars];
                rows.extend(raw.iter().zip(scales).map(|(x, (mean, by))| (x - mean) * by));
                rows.extend(input.flags.iter().map(|there| f32::from(there[row])));
            }
        }
        rows
    }

    /// All layers but the last.
    fn perceptron(&self, input: &Input<'_>, mut dropout: Option<Dropout>, trace: &mut Trace) {
        let (requests, count) = (input.requests(), input.candidates());
        let widths = (self.shape.request_width(), self.shape.item_width());
        for (at, hidden) in self.shape.body.hidden().iter().enumerate() {
            let width = *hidden as usize;
            let weight = self.part(&format!("hidden.{at}.weight"));
            let bias = self.part(&format!("hidden.{at}.bias"));
            let mut next = vec![0f32; count * width];
            match trace.hidden.last() {
                None => {
                    let (of_request, of_item) = weight.split_at(widths.0 * width);
                    let mut shared = vec![0f32; requests * width];
                    let request = Matrix::new(&trace.request, requests, widths.0);
                    gemm(1.0, request, Matrix::new(of_request, widths.0, width), 0.0, &mut shared);
                    let item = Matrix::new(&trace.item, count, widths.1);
                    gemm(1.0, item, Matrix::new(of_item, widths.1, width), 0.0, &mut next);
                    for (request, range) in input.ranges.iter().enumerate() {
                        let shared = &shared[request * width..][..width];
                        for row in
                            next[range.start * width..range.end * width].chunks_exact_mut(width)
                        {
                            add(row, shared, 1.0);
                        }
                    }
                }
                Some(last) => {
                    let from = weight.len() / width;
                    let last = Matrix::new(last, count, from);
                    gemm(1.0, last, Matrix::new(weight, from, width), 0.0, &mut next);
                }
            }
            for row in next.chunks_exact_mut(width) {
                row.iter_mut().zip(bias).for_each(|(x, bias)| *x = (*x + bias).max(0.0));
            }
            if let Some(dropout) = &mut dropout {
                let factors = dropout.factors(next.len());
                times(&mut next, &factors);
            }
            trace.hidden.push(next);
        }
    }
}
