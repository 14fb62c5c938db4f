//! Cross: the cross layers of DCN-v2, `x' = x0 * (x D U + b) + x`, with matrices of low rank.

use super::{Input, Net};
use crate::model::train::{
    exp::add,
    gemm::{Matrix, gemm},
};

/// What one layer read and said.
#[derive(Debug)]
pub(crate) struct Trace {
    input: Vec<f32>,
    low: Vec<f32>,
    high: Vec<f32>,
}

/// The sizes of the layers: inputs, and rank.
fn sizes(net: &Net) -> (usize, usize) {
    let width = net.shape.request_width() + net.shape.item_width();
    (width, net.part("cross.0.down").len() / width.max(1))
}

/// Adds to each score what the layers say.
pub(super) fn forward(net: &Net, input: &Input<'_>, trace: &mut super::Trace, scores: &mut [f32]) {
    let ((width, rank), count) = (sizes(net), input.candidates());
    let widths = (net.shape.request_width(), net.shape.item_width());
    let mut whole = Vec::with_capacity(count * width);
    for (request, range) in input.ranges.iter().enumerate() {
        for row in range.clone() {
            whole.extend_from_slice(&trace.request[request * widths.0..][..widths.0]);
            whole.extend_from_slice(&trace.item[row * widths.1..][..widths.1]);
        }
    }
    let mut now = whole.clone();
    for layer in 0.. {
        let down = net.part(&format!("cross.{layer}.down"));
        if down.is_empty() {
            break;
        }
        let up = net.matrix(&format!("cross.{layer}.up"));
        let bias = net.part(&format!("cross.{layer}.bias"));
        let (mut low, mut high) = (vec![0f32; count * rank], Vec::with_capacity(count * width));
        gemm(1.0, Matrix::new(&now, count, width), Matrix::new(down, width, rank), 0.0, &mut low);
        (0..count).for_each(|_| high.extend_from_slice(bias));
        gemm(1.0, Matrix::new(&low, count, rank), up, 1.0, &mut high);
        let next = now.iter().zip(&high).zip(&whole).map(|((x, u), x0)| x0 * u + x).collect();
        trace.cross.push(Trace { input: now, low, high });
        now = next;
    }
    let out = net.part("cross.out");
    gemm(1.0, Matrix::new(&now, count, width), Matrix::new(out, 1, width).t(), 1.0, scores);
    // The way back needs what the last layer said; it is the input of the output.
    trace.cross.push(Trace { input: now, low: Vec::new(), high: Vec::new() });
    trace.whole = whole;
}

/// Adds to the gradients of the layers' parameters, and returns those of the inputs.
pub(super) fn backward(
    net: &Net,
    trace: &super::Trace,
    by_score: &[f32],
    grads: &mut [f32],
) -> Vec<f32> {
    let ((width, rank), count) = (sizes(net), by_score.len());
    let Some((last, layers)) = trace.cross.split_last() else { return Vec::new() };
    let out = net.part("cross.out");
    let mut by_next: Vec<f32> = Vec::with_capacity(count * width);
    by_score.iter().for_each(|grad| by_next.extend(out.iter().map(|x| grad * x)));
    let to_out = &mut grads[net.range("cross.out")];
    for (grad, row) in by_score.iter().zip(last.input.chunks_exact(width)) {
        add(to_out, row, *grad);
    }
    let mut by_whole = vec![0f32; count * width];
    for (at, layer) in layers.iter().enumerate().rev() {
        let product = by_next.iter().zip(&layer.high);
        by_whole.iter_mut().zip(product).for_each(|(sum, (grad, u))| *sum += grad * u);
        let by_high: Vec<f32> = by_next.iter().zip(&trace.whole).map(|(g, x0)| g * x0).collect();
        let high = Matrix::new(&by_high, count, width);
        let to_bias = &mut grads[net.range(&format!("cross.{at}.bias"))];
        by_high.chunks_exact(width).for_each(|row| add(to_bias, row, 1.0));
        let low = Matrix::new(&layer.low, count, rank);
        gemm(1.0, low.t(), high, 1.0, &mut grads[net.range(&format!("cross.{at}.up"))]);
        let mut by_low = vec![0f32; count * rank];
        gemm(1.0, high, net.matrix(&format!("cross.{at}.up")).t(), 0.0, &mut by_low);
        let by_low = Matrix::new(&by_low, count, rank);
        let input = Matrix::new(&layer.input, count, width);
        gemm(1.0, input.t(), by_low, 1.0, &mut grads[net.range(&format!("cross.{at}.down"))]);
        gemm(1.0, by_low, net.matrix(&format!("cross.{at}.down")).t(), 1.0, &mut by_next);
    }
    by_whole.iter_mut().zip(&by_next).for_each(|(sum, grad)| *sum += grad);
    by_whole
}
