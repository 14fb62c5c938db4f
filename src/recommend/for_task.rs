//! ForTask: a source of candidates for some surfaces only.

use crate::{
    error::Result,
    recommend::{Allowed, Context, Found, Retrieve},
};

/// A retriever that is asked for requests of some [purposes](crate::recommend::Request::purpose) only, and
/// finds nothing for others.
///
/// One recommender can so have the sources of all surfaces, and one scorer for all of them. Its name is
/// that of the retriever.
///
/// ```
/// use bowerbird::recommend::*;
/// let all = Recommender::new()
///     .summarize(Recent::new("text", 10))
///     .retrieve(ForTask::new(["similar"], SimilarTo::new("text", 100)))
///     .retrieve(ForTask::new(["for-you", "home"], NearInterests::new("text", 100)));
/// ```
pub struct ForTask {
    tasks: Vec<String>,
    source: Box<dyn Retrieve>,
}

impl ForTask {
    /// For requests whose task is one of these.
    pub fn new<'t>(
        tasks: impl IntoIterator<Item = &'t str>,
        source: impl Retrieve + 'static,
    ) -> ForTask {
        let tasks = tasks.into_iter().map(str::to_owned).collect();
        ForTask { tasks, source: Box::new(source) }
    }
}

impl std::fmt::Debug for ForTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ForTask({:?}, {})", self.tasks, self.source.name())
    }
}

impl Retrieve for ForTask {
    fn name(&self) -> String {
        self.source.name()
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        match self.tasks.iter().any(|task| task == cx.request.purpose()) {
            true => self.source.retrieve(cx, allowed, found),
            false => Ok(()),
        }
    }
}
