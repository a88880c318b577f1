//! The gateway behind the interface that OpenAI's clients know.

use std::sync::Arc;

use assay_openai::{ApiError, Backend, Model, ModelText, Order, Pieces};
use futures::future::BoxFuture;

use crate::{buy, shop::Shop};

pub struct Gateway(pub Arc<Shop>);

impl Gateway {
    fn find(&self, name: &str) -> Result<crate::models::Model, ApiError> {
        let found = self.0.model(name);
        found.ok_or_else(|| match self.0.trouble().chain {
            // Without the chain nothing is known, and that is no fault of the name.
            Some(problem) if self.0.seen().models.is_empty() => {
                ApiError::unavailable(format!("the chain was not reached: {problem}"))
            }
            _ => ApiError::model_not_found(name),
        })
    }
}

impl Backend for Gateway {
    fn models(&self) -> BoxFuture<'_, Result<Vec<Model>, ApiError>> {
        Box::pin(async {
            let seen = self.0.seen();
            let models = seen.models.iter();
            Ok(models.map(|model| model.shown(&seen.facts)).collect())
        })
    }

    fn text<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<ModelText>, ApiError>> {
        Box::pin(async { self.find(model).map(|model| model.text) })
    }

    fn generate(&self, order: Order) -> BoxFuture<'_, Result<Pieces, ApiError>> {
        Box::pin(async {
            let model = self.find(&order.model)?;
            buy::begin(self.0.clone(), model, order).await
        })
    }
}
