//! Dense: the vectors of candidates as columns of their own, for rankers that hold no table.

use super::{
    batch::{Items, RankBatch},
    cells::Cells,
};

impl RankBatch {
    /// The same with the vectors of its candidates in it, copied from the table where they are rows of one:
    /// then [`RankBatch::items`] has them.
    ///
    /// ```
    /// use bowerbird::{*, model::ranker::*};
    /// # fn main() -> Result<()> {
    /// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
    /// db.batch().put(Item::new(1u64).vector("text", [1.0, 2.0])).commit()?;
    /// let features = Features::new().item("text");
    /// let mut examples = Examples::new(features, &db.snapshot())?;
    /// examples.push(&recommend::Request::new(1, Timestamp(0)).user(7), &[(Key::Id(1), 1.0)])?;
    /// assert!(examples.batch().items(0).is_none());
    /// let dense = examples.batch().dense();
    /// assert_eq!(dense.items(0), Some((2, &[1.0, 2.0][..], &[1u8][..])));
    /// # Ok(()) }
    /// ```
    pub fn dense(&self) -> RankBatch {
        let Items::Rows(..) = &self.items else { return self.clone() };
        let columns = self.dims.items.iter().enumerate().map(|(slot, dim)| {
            let mut cells = Cells::new(*dim as usize);
            (0..self.len()).for_each(|row| cells.push(self.item(slot, row)));
            cells
        });
        let items = Items::Dense(columns.collect());
        RankBatch {
            features: self.features.clone(),
            dims: self.dims.clone(),
            starts: self.starts.clone(),
            tasks: self.tasks.clone(),
            context: self.context.clone(),
            history: self.history.clone(),
            lived: self.lived.clone(),
            items,
            scalars: self.scalars.clone(),
            cancelled: self.cancelled.clone(),
        }
    }
}
