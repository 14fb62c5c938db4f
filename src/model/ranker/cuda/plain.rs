//! Plain: what a card computes, without one. The steps of `forward` are tested with it.

use super::{
    card::{Card, Place},
    forward::Runner,
};
use crate::{
    AttrType, Db, Item, Key, Metric, Result, Schema, Timestamp,
    model::{
        Training,
        ranker::{
            Body, Cpu, Device, Examples, Features, FitRanker, RankBatch, Role, Scalar, batch::Items,
        },
    },
    recommend::Request,
};
use std::sync::Arc;

struct Plain;

impl Card for Plain {
    type Floats = Vec<f32>;
    type Words = Vec<u32>;

    fn floats(&self, numbers: &[f32]) -> Result<Vec<f32>> {
        Ok(numbers.to_vec())
    }

    fn words(&self, numbers: &[u32]) -> Result<Vec<u32>> {
        Ok(numbers.to_vec())
    }

    fn zeros(&self, count: usize) -> Result<Vec<f32>> {
        Ok(vec![0.0; count])
    }

    fn read(&self, from: &Vec<f32>, count: usize) -> Result<Vec<f32>> {
        Ok(from[..count].to_vec())
    }

    fn times(
        &self,
        (n, k, m): (usize, usize, usize),
        a: &Vec<f32>,
        b: &Vec<f32>,
        beta: f32,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for i in 0..n * m {
            let sum: f32 = (0..k).map(|j| a[i / m * k + j] * b[j * m + i % m]).sum();
            out[i] = sum + beta * out[i];
        }
        Ok(())
    }

    fn nulls(
        &self,
        out: &mut Vec<f32>,
        there: &Vec<u32>,
        null: &Vec<f32>,
        (rows, wide): (usize, usize),
    ) -> Result<()> {
        for row in (0..rows).filter(|row| there[*row] == 0) {
            out[row * wide..][..wide].copy_from_slice(&null[..wide]);
        }
        Ok(())
    }

    fn pick(
        &self,
        held: Option<(&Vec<f32>, usize)>,
        fresh: &Vec<f32>,
        rows: &Vec<u32>,
        to: Place,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        for at in 0..to.rows {
            let row = rows[at] as usize;
            let (from, row) = match held {
                Some((held, many)) if row < many => (held, row),
                Some((_, many)) => (fresh, row - many),
                None => (fresh, row),
            };
            let row = &from[row * to.wide..][..to.wide];
            out[at * to.stride + to.at..][..to.wide].copy_from_slice(row);
        }
        Ok(())
    }

    fn product(&self, out: &mut Vec<f32>, a: usize, b: usize, to: Place) -> Result<()> {
        for row in out.chunks_exact_mut(to.stride) {
            (0..to.wide).for_each(|i| row[to.at + i] = row[a + i] * row[b + i]);
        }
        Ok(())
    }

    fn relu(
        &self,
        out: &mut Vec<f32>,
        bias: &Vec<f32>,
        (rows, wide): (usize, usize),
    ) -> Result<()> {
        (0..rows * wide).for_each(|i| out[i] = (out[i] + bias[i % wide]).max(0.0));
        Ok(())
    }

    fn cross(
        &self,
        (rows, wide): (usize, usize),
        whole: &Vec<f32>,
        (high, bias): (&Vec<f32>, &Vec<f32>),
        now: &Vec<f32>,
    ) -> Result<Vec<f32>> {
        let one = |i: usize| whole[i] * (high[i] + bias[i % wide]) + now[i];
        Ok((0..rows * wide).map(one).collect())
    }
}

/// Six items, one without a vector; requests with a query and without.
fn examples() -> Examples {
    let schema = Schema::new().space("text", 3, Metric::Dot).attr("stars", AttrType::Float);
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for id in 1..=6u64 {
        let (x, item) = (id as f32 / 6.0, Item::new(id).attr("stars", id as f64));
        batch.put(if id == 4 { item } else { item.vector("text", [x, 1.0 - x, x * x]) });
    }
    batch.commit().unwrap();
    let features = Features::new()
        .tasks(["search", "for-you"])
        .query("text")
        .source("text")
        .item("text")
        .scalar(Scalar::Attr { name: "stars".into(), otherwise: 0.0 })
        .scalar(Scalar::Similarity { role: Role::Query, space: "text".into() });
    let mut examples = Examples::new(features, &db.snapshot()).unwrap();
    for at in 0..5u64 {
        let task = if at % 2 == 0 { "search" } else { "for-you" };
        let request = Request::new(9, Timestamp(9)).item(1 + at).task(task);
        let request = match at {
            3 => request,
            _ => request.query("text", [at as f32, 0.5, -1.0]),
        };
        let all = (1..=4 + at % 3).map(|id| (Key::Id(id), f32::from(u8::from(id == 1 + at % 4))));
        examples.push(&request, &all.collect::<Vec<_>>()).unwrap();
    }
    examples
}

/// Goal: the steps on a card are those on the processor. Method: a plain card; rows of a table that it
/// holds, rows of one that it does not, rows beyond its end, and columns.
#[test]
fn the_steps_on_a_card_are_those_on_the_processor() {
    let examples = examples();
    let hidden = vec![7, 4];
    for body in [Body::Mlp { hidden: hidden.clone() }, Body::Dcn { layers: 2, rank: 3, hidden }] {
        let fit = FitRanker { width: 5, epochs: 30, learning_rate: 0.02, ..FitRanker::of(body) };
        let model = Arc::new(fit.train(&examples, None, &mut Training::new(5)).unwrap());
        let batch = examples.batch();
        let mut expected = vec![f32::NAN; batch.len()];
        Cpu.load(&model).unwrap().rank(batch, &mut expected).unwrap();
        let mut runner = Runner::new(Plain, model).unwrap();
        let compare = |runner: &Runner<Plain>, batch: &RankBatch| {
            let mut scores = vec![f32::NAN; batch.len()];
            runner.rank(batch, &mut scores).unwrap();
            for (score, expected) in scores.iter().zip(&expected) {
                assert!((score - expected).abs() <= 1e-4, "{score}, not {expected}");
            }
        };
        let mixed = mixed(batch);
        compare(&runner, batch);
        compare(&runner, &batch.dense());
        compare(&runner, &mixed);
        runner.hold(batch.rows().unwrap().0).unwrap();
        compare(&runner, batch);
        compare(&runner, &batch.dense());
        compare(&runner, &mixed);
    }
}

/// The same, with every second candidate as one that the table has not yet.
fn mixed(batch: &RankBatch) -> RankBatch {
    let (Items::Dense(fresh), Some((table, rows))) = (batch.dense().items, batch.rows()) else {
        panic!("rows of a table become columns");
    };
    let beyond = |at: usize| (table.len() + at) as u32;
    let rows = rows.iter().enumerate();
    let rows = rows.map(|(at, row)| if at % 2 == 0 { *row } else { beyond(at) }).collect();
    RankBatch { items: Items::Rows(table.clone(), rows, fresh), ..batch.clone() }
}
