//! Backward: from gradients of scores to gradients of parameters.

use super::{Column, Input, Net, Trace, attention, cross};
use crate::model::train::{
    exp::add,
    gemm::{Matrix, gemm},
};

impl Net {
    /// Adds the gradients of all parameters to `grads`, given those of the scores.
    pub(crate) fn backward(
        &self,
        input: &Input<'_>,
        trace: &Trace,
        by_score: &[f32],
        grads: &mut [f32],
    ) {
        let widths = (self.shape.request_width(), self.shape.item_width());
        let (requests, count) = (input.requests(), input.candidates());
        let mut by_request = vec![0f32; requests * widths.0];
        let mut by_item = vec![0f32; count * widths.1];
        self.perceptron_back(input, trace, by_score, (grads, &mut by_request, &mut by_item));
        if !trace.cross.is_empty() {
            let by_whole = cross::backward(self, trace, by_score, grads);
            for (request, range) in input.ranges.iter().enumerate() {
                for row in range.clone() {
                    let grad = &by_whole[row * (widths.0 + widths.1)..][..widths.0 + widths.1];
                    let (of_request, of_item) = grad.split_at(widths.0);
                    add(&mut by_request[request * widths.0..][..widths.0], of_request, 1.0);
                    add(&mut by_item[row * widths.1..][..widths.1], of_item, 1.0);
                }
            }
        }
        if let Some((request, item)) = &trace.kept {
            by_request.iter_mut().zip(request).for_each(|(grad, factor)| *grad *= factor);
            by_item.iter_mut().zip(item).for_each(|(grad, factor)| *grad *= factor);
        }
        self.inputs_back(input, trace, (&by_request, &by_item), grads);
    }

    fn perceptron_back(
        &self,
        input: &Input<'_>,
        trace: &Trace,
        by_score: &[f32],
        (grads, by_request, by_item): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let (requests, count) = (input.requests(), input.candidates());
        let widths = (self.shape.request_width(), self.shape.item_width());
        let out = self.part("out.weight");
        grads[self.range("out.bias")][0] += by_score.iter().sum::<f32>();
        let mut by_next: Vec<f32> = Vec::with_capacity(count * out.len());
        by_score.iter().for_each(|grad| by_next.extend(out.iter().map(|x| grad * x)));
        if let Some(last) = trace.hidden.last() {
            let to = &mut grads[self.range("out.weight")];
            by_score.iter().zip(last.chunks_exact(out.len())).for_each(|(g, row)| add(to, row, *g));
        }
        for at in (0..trace.hidden.len()).rev() {
            let said = &trace.hidden[at];
            let scale = trace.scale;
            let through = |(g, x): (&mut f32, &f32)| *g = if *x > 0.0 { scale * *g } else { 0.0 };
            by_next.iter_mut().zip(said).for_each(through);
            let width = said.len() / count.max(1);
            let to_bias = &mut grads[self.range(&format!("hidden.{at}.bias"))];
            by_next.chunks_exact(width.max(1)).for_each(|row| add(to_bias, row, 1.0));
            let range = self.range(&format!("hidden.{at}.weight"));
            let weight = &self.numbers[range.clone()];
            let by = Matrix::new(&by_next, count, width);
            if at > 0 {
                let before = &trace.hidden[at - 1];
                let from = before.len() / count.max(1);
                gemm(1.0, Matrix::new(before, count, from).t(), by, 1.0, &mut grads[range]);
                let mut by_before = vec![0f32; count * from];
                gemm(1.0, by, Matrix::new(weight, from, width).t(), 0.0, &mut by_before);
                by_next = by_before;
                continue;
            }
            let (of_request, of_item) = weight.split_at(widths.0 * width);
            let (to_request, to_item) = grads[range].split_at_mut(widths.0 * width);
            let item = Matrix::new(&trace.item, count, widths.1);
            gemm(1.0, item.t(), by, 1.0, to_item);
            gemm(1.0, by, Matrix::new(of_item, widths.1, width).t(), 1.0, by_item);
            let mut sums = vec![0f32; requests * width];
            for (request, range) in input.ranges.iter().enumerate() {
                let sum = &mut sums[request * width..][..width];
                let rows = by_next[range.start * width..range.end * width].chunks_exact(width);
                rows.for_each(|row| add(sum, row, 1.0));
            }
            let sums = Matrix::new(&sums, requests, width);
            let request = Matrix::new(&trace.request, requests, widths.0);
            gemm(1.0, request.t(), sums, 1.0, to_request);
            gemm(1.0, sums, Matrix::new(of_request, widths.0, width).t(), 1.0, by_request);
        }
    }

    /// From gradients of the inputs to those of projections, tasks and what is missing.
    fn inputs_back(
        &self,
        input: &Input<'_>,
        trace: &Trace,
        (by_request, by_item): (&[f32], &[f32]),
        grads: &mut [f32],
    ) {
        let p = self.shape.p();
        let widths = (self.shape.request_width(), self.shape.item_width());
        let mut by_context: Vec<Vec<f32>> =
            trace.context.iter().map(|column| vec![0f32; column.len()]).collect();
        let mut by_items: Vec<Vec<f32>> =
            trace.items.iter().map(|column| vec![0f32; column.len()]).collect();
        let mut by_attention = trace.attention.as_ref().map(|a| vec![0f32; a.out.len()]);
        for (request, range) in input.ranges.iter().enumerate() {
            let mut grad = &by_request[request * widths.0..][..widths.0];
            if self.shape.has_task() {
                let (task, rest) = grad.split_at(p);
                let at = self.range("task").start + input.tasks[request] as usize * p;
                add(&mut grads[at..at + p], task, 1.0);
                grad = rest;
            }
            for (column, grad) in by_context.iter_mut().zip(grad.chunks_exact(p)) {
                add(&mut column[request * p..][..p], grad, 1.0);
            }
            for row in range.clone() {
                let mut grads = by_item[row * widths.1..][..widths.1].chunks_exact(p);
                for column in &mut by_items {
                    grads.next().into_iter().for_each(|g| add(&mut column[row * p..][..p], g, 1.0));
                }
                if self.shape.pairs() > 0 {
                    for (context, by_context) in trace.context.iter().zip(&mut by_context) {
                        let here = request * p..(request + 1) * p;
                        let (context, by) = (&context[here.clone()], &mut by_context[here]);
                        for (item, by_item) in trace.items.iter().zip(&mut by_items) {
                            let Some(grad) = grads.next() else { continue };
                            let there = row * p..(row + 1) * p;
                            times(grad, &item[there.clone()], by);
                            times(grad, context, &mut by_item[there]);
                        }
                    }
                }
                if let (Some(by), Some(attention)) = (&mut by_attention, &trace.attention) {
                    let there = row * p..(row + 1) * p;
                    let (Some(plain), Some(product)) = (grads.next(), grads.next()) else {
                        continue;
                    };
                    add(&mut by[there.clone()], plain, 1.0);
                    times(product, &trace.items[0][there.clone()], &mut by[there.clone()]);
                    times(product, &attention.out[there.clone()], &mut by_items[0][there]);
                }
            }
        }
        if let (Some(by), Some(attention)) = (by_attention, &trace.attention) {
            let (first, items) = (&mut by_items[0], &trace.items[0]);
            attention::backward(self, input, (attention, items), by, (grads, first));
        }
        let spaces = &self.shape.spaces;
        for (room, columns, spaces, by) in [
            ("context", &input.context, &spaces.context, &by_context),
            ("item", &input.items, &spaces.items, &by_items),
        ] {
            for (at, ((column, space), by)) in columns.iter().zip(spaces).zip(by).enumerate() {
                self.project_back(column, (*space, &format!("{room}.{at}.null")), by, grads);
            }
        }
    }

    pub(super) fn project_back(
        &self,
        column: &Column<'_>,
        (space, null): (u32, &str),
        by: &[f32],
        grads: &mut [f32],
    ) {
        let Column::Raw(numbers, present) = column else { return };
        let weight = &format!("space.{space}.weight");
        let (p, count) = (self.shape.p(), present.len());
        let mut by = by.to_vec();
        let to = &mut grads[self.range(null)];
        for (row, there) in by.chunks_exact_mut(p).zip(present.iter()) {
            if *there == 0 {
                add(to, row, 1.0);
                row.fill(0.0);
            }
        }
        let dim = self.part(weight).len() / p;
        let from = Matrix::new(numbers, count, dim);
        gemm(1.0, from.t(), Matrix::new(&by, count, p), 1.0, &mut grads[self.range(weight)]);
    }
}

/// Adds a product, number by number.
fn times(a: &[f32], b: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(a).zip(b).for_each(|((to, a), b)| *to += a * b);
}
