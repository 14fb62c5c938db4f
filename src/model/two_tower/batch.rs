//! Batch: questions and items through the towers, and the gradient back.

use super::{
    contrast::Contrast,
    mlp::Pass,
    shape::{Input, Shape},
};

/// What goes in: users first, then queries, then items, of which the first are the questions' own.
pub(super) struct Batch<'a> {
    pub(super) users: Vec<f32>,
    pub(super) queries: Vec<f32>,
    pub(super) items: Vec<&'a Input>,
}

/// What has gone through.
pub(super) struct Through<'a> {
    shape: &'a Shape,
    theta: &'a [f32],
    batch: &'a Batch<'a>,
    filled: Vec<f32>,
    user: Pass,
    query: Pass,
    item: Pass,
    /// The vectors of users and queries, end to end.
    pub(super) questions: Vec<f32>,
}

impl<'a> Through<'a> {
    pub(super) fn new(shape: &'a Shape, theta: &'a [f32], batch: &'a Batch<'a>) -> Through<'a> {
        let filled = shape.filled(theta, batch.items.iter().copied());
        let users = batch.users.len() / shape.input();
        let user = shape.user().forward(&theta[shape.of_user()], &batch.users, users);
        // Without a query tower there is nothing to go through it.
        let query = match shape.query {
            0 => shape.user().forward(&theta[shape.of_user()], &[], 0),
            dim => {
                let count = batch.queries.len() / dim as usize;
                shape.query().forward(&theta[shape.of_query()], &batch.queries, count)
            }
        };
        let item = shape.item().forward(&theta[shape.of_item()], &filled, batch.items.len());
        let mut questions = user.out.clone();
        questions.extend(&query.out);
        Through { shape, theta, batch, filled, user, query, item, questions }
    }

    /// The vectors of items.
    pub(super) fn items(&self) -> &[f32] {
        &self.item.out
    }

    /// The sum of losses, and the gradient of their mean by everything that is learned.
    pub(super) fn slope(
        &self,
        counts: &[bool],
        log_q: &[f32],
        temperature: f32,
    ) -> (f64, Vec<f32>) {
        let (shape, theta, dim) = (self.shape, self.theta, self.shape.dim as usize);
        let (questions, items) = (&self.questions[..], self.items());
        let slope = Contrast { questions, items, dim, counts, log_q, temperature }.slope();
        let mut grad = vec![0f32; shape.size()];
        let (of_users, of_queries) = slope.of_questions.split_at(self.user.out.len());
        let part = shape.of_user();
        let users = (&self.batch.users[..], &self.user);
        shape.user().backward(&theta[part.clone()], users, of_users, &mut grad[part], false);
        if shape.query > 0 {
            let part = shape.of_query();
            let queries = (&self.batch.queries[..], &self.query);
            let tower = shape.query();
            tower.backward(&theta[part.clone()], queries, of_queries, &mut grad[part], false);
        }
        let part = shape.of_item();
        let items = (&self.filled[..], &self.item);
        let tower = shape.item();
        let back =
            tower.backward(&theta[part.clone()], items, &slope.of_items, &mut grad[part], true);
        let missing = &mut grad[shape.of_missing()];
        let back = back.unwrap_or_default();
        for (item, back) in self.batch.items.iter().zip(back.chunks_exact(shape.input())) {
            for (range, _) in shape.ranges().zip(&item.there).filter(|(_, there)| !**there) {
                let numbers = missing[range.clone()].iter_mut().zip(&back[range]);
                numbers.for_each(|(missing, back)| *missing += back);
            }
        }
        (slope.loss, grad)
    }
}
